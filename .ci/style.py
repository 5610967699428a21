"""Finds words that a native technical writer would not use, in all texts of this tree, and functions that are too long.

python .ci/style.py

It reads the comments and strings of Python files, docstrings included, and all of each Markdown file. The list has what
was written here before, each with the better word; it does not judge style in general.
"""

import ast
import io
import re
import statistics
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TREE = Path(__file__).parents[1]

#: What is not to be written, and what is better.
WORDS = {
    r'(?i)(?<!there\s)\b(is|are|was|were) no (?!more\b|less\b|longer\b|fewer\b|one\b|later\b|earlier\b)\w+': 'is not a',
    r'\bmend(s|ed|ing)?\b': 'fix, correct',
    r'\banew\b': 'again',
    r'\bhow many it (is|was|were)\b': 'how many there are',
    r'\btells? (the|all|its|of the) (options|last|schemas?)\b': 'lists, shows',
    r'\b(what|as) (is|was) heard\b|\bheard of (it|them)\b': 'the event, the message',
    r'\bfor which reason\b': 'so, therefore',
    r'\bpretend(s|ed|ing)?\b': 'simulator, simulated',
    r'\b(lies?|stands?) (beside|here|there|under|as wanted|first|for itself|behind)\b': 'is',
    r'\bbehind (its name|the name|a savepoint|each of|those it depends)\b': 'after',
    r'(^|[.:;]\s+)Who (wants|does|gets|closes|hangs|ends|loses|opens|reads|waits)\b(?![^.]*[?])': 'Whoever',
    r'\bnone of Asterisk\b|\bto and fro\b': 'cannot come from Asterisk; back and forth',
    r', for (it|they|he|this|that|there|nobody|nothing|what|such) (is|are|has|have|was|were|may|can)\b': 'because',
    r'\bbut for (the|those|that|these|some|its)\b': 'except',
    r'\bmay just be\b': 'may be',
    r'\bis there already\b|\bis there: choose\b': 'already exists',
}

#: Files whose words are not ours, or quote what is not to be written.
NOT_READ = ('.ci/style.py', 'build/', 'tests/frozen/', 'tests/transcripts/', 'docs/reference/')


class Finding(NamedTuple):
    file: str
    line: int
    found: str
    better: str

    def __str__(self) -> str:
        return f'{self.file}:{self.line}: {self.found!r}; better: {self.better}'


def main() -> int:
    found = [*_words(), *_sizes()]
    print(*found, sep='\n')
    print(f'{len(found)} to correct')
    return bool(found)


def _words() -> Iterator[Finding]:
    for file in sorted(_files('*.md')):
        yield from _found_in(file, 1, file.read_text())
    for file in sorted(_files('*.py')):
        for line, text in _texts(file):
            yield from _found_in(file, line, text)


def _files(pattern: str) -> Iterator[Path]:
    for file in TREE.rglob(pattern):
        name = file.relative_to(TREE).as_posix()
        hidden = name.startswith('.') and not name.startswith('.ci/')
        if not hidden and not name.startswith(NOT_READ) and '/build/' not in name:
            yield file


def _texts(file: Path) -> Iterator[tuple[int, str]]:
    """The comments and strings of a Python file, each with its line; comments in a row are one text."""
    comments: list[str] = []
    start = last = 0
    for token in tokenize.generate_tokens(io.StringIO(file.read_text()).readline):
        if token.type == tokenize.COMMENT:
            if comments and token.start[0] != last + 1:
                yield start, '\n'.join(comments)
                comments.clear()
            start, last = start if comments else token.start[0], token.start[0]
            comments.append(token.string.lstrip('#: '))
        elif token.type in _STRINGS:
            yield token.start[0], token.string.strip('\'"')
    yield start, '\n'.join(comments)


#: An f-string has pieces of its own since Python 3.12.
_STRINGS = {tokenize.STRING, getattr(tokenize, 'FSTRING_MIDDLE', tokenize.STRING)}


#: A blank between two words may also be the end of a line.
_PATTERNS = {re.compile(words.replace(' ', r'\s+'), re.MULTILINE): better for words, better in WORDS.items()}


def _found_in(file: Path, line: int, text: str) -> Iterator[Finding]:
    for pattern, better in _PATTERNS.items():
        for match in pattern.finditer(text):
            at = line + text.count('\n', 0, match.start())
            yield Finding(file.relative_to(TREE).as_posix(), at, ' '.join(match[0].split())[:60], better)


#: Lines that a function of the package may have: the longest, half of them, and nine in ten.
LONGEST, MEDIAN, NINETY = 45, 6, 15


def _sizes() -> Iterator[Finding]:
    """Functions of the package that are too long; prints how long they are."""
    sizes = sorted((size, place) for file in _files('*.py') for size, place in _functions(file))
    lines = [size for size, _ in sizes]
    median, ninety = statistics.median(lines), lines[len(lines) * 9 // 10]
    print(f'{len(lines)} functions: median {median:g} lines, nine in ten at most {ninety}, the longest {lines[-1]}')
    for size, (name, line) in sizes:
        if size > LONGEST:
            yield Finding(name, line, f'a function of {size} lines', f'{LONGEST} at most')
    if median > MEDIAN or ninety > NINETY:
        yield Finding('hitcounter', 0, f'functions of {median:g} and {ninety} lines', f'{MEDIAN} and {NINETY} at most')


def _functions(file: Path) -> Iterator[tuple[int, tuple[str, int]]]:
    name = file.relative_to(TREE).as_posix()
    if not name.startswith('hitcounter/'):
        return
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1, (name, node.lineno)


if __name__ == '__main__':
    sys.exit(main())
