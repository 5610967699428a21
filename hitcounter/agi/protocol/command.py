"""Command lines: words in, one line that Asterisk reads as those words, or a refusal."""

import functools
import re

from ...errors import CommandRefused

#: Bytes in a line that Asterisk reads as one, newline included (AGI_BUF_LEN in res_agi.c). It would run the rest of
#: a longer line as further commands. The limit of Asterisk 16 is 2047.
LINE_LIMIT = 8191

#: Words in a line (MAX_ARGS in res_agi.c). Asterisk drops further ones, or overruns its table and crashes.
WORD_LIMIT = 127

#: The commands that Asterisk carries out on a dead channel too (its help says "Runs Dead: Yes").
RUN_DEAD = frozenset(
    (
        'ASYNCAGI BREAK',
        'DATABASE DEL',
        'DATABASE DELTREE',
        'DATABASE GET',
        'DATABASE PUT',
        'EXEC',
        'GET FULL VARIABLE',
        'GET VARIABLE',
        'NOOP',
        'SET VARIABLE',
        'SPEECH DESTROY',
        'SPEECH UNLOAD GRAMMAR',
        'VERBOSE',
    )
)

_PLAIN = re.compile(r'[^\s"\\\x00]+').fullmatch
_FORBIDDEN = re.compile(r'[\n\r\x00]').search


def compose(name: str, *arguments: str, limit: int = LINE_LIMIT) -> bytes:
    r"""The line, newline included, that Asterisk reads as the command `name` and these `arguments`.

    >>> compose('STREAM FILE', 'hello', '')
    b'STREAM FILE hello ""\n'
    >>> compose('SET VARIABLE', 'GREETING', 'say "hi"')
    b'SET VARIABLE GREETING "say \\"hi\\""\n'

    Raises CommandRefused for what a line cannot carry: a newline would begin another command, and a line of more than
    `limit` bytes, or of more words than Asterisk's table has, would be cut or worse.
    """
    try:
        count = _words_of(name) + len(arguments)
    except TypeError:
        raise CommandRefused(f'{name!r} is not the name of a command: give a text') from None
    if count > WORD_LIMIT:
        raise CommandRefused(f'{name} has {count} words, and Asterisk takes {WORD_LIMIT}: join some')
    words = [name, *[quote(argument) for argument in arguments]]  # map() would need more of the thread's stack
    line = encoded(' '.join(words)) + b'\n'
    if len(line) > limit:
        raise CommandRefused(f'{name} makes a line of {len(line)} bytes, Asterisk takes {limit}: shorten it')
    return line


def encoded(text: str) -> bytes:
    """`text` as it is sent. Raises CommandRefused for half of a character, which cannot be encoded."""
    try:
        return text.encode('utf-8', 'surrogateescape')
    except UnicodeEncodeError as error:
        raise CommandRefused(f'{text[error.start]!r} is half of a character: remove it') from error


@functools.lru_cache  # there are few
def _words_of(name: str) -> int:
    """The number of words in the name of a command."""
    if _FORBIDDEN(name) or name[:7].lower() == 'failure' or not name.strip():
        raise CommandRefused(f'{name[:80]!r} is not the name of a command')
    return len(name.split())


def quote(word: str) -> str:
    """`word` as one argument of a command line: as it is, or in double quotes."""
    try:
        if _PLAIN(word):
            return word
    except TypeError:
        raise CommandRefused(f'{word!r} is not a text: give a str') from None
    if _FORBIDDEN(word):
        raise CommandRefused(f'{word[:80]!r} contains a newline, a carriage return or a NUL: remove it')
    return '"' + word.replace('\\', '\\\\').replace('"', '\\"') + '"'


def runs_dead(name: str) -> bool:
    """Whether Asterisk carries out the command `name`, written in any way, on a dead channel too."""
    words = name.upper().split()
    return any(' '.join(words[:count]) in RUN_DEAD for count in (1, 2, 3))
