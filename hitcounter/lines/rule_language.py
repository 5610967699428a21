"""The rule language, in which a station says who wins: `at 9,99 and every 100 and first after 20:00`.

    rule = term {("and" | "and also") term}
    term = "every" number ["from" number] | "at" number {"," number} | "first" number | "first after" time | "last"

Case and blanks do not matter. A time is what `parse_instant` reads.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from ..errors import RulesRefused
from .instants import iso, parse_instant
from .terms import HIGHEST, At, Every, First, FirstAfter, Last, Term

#: Terms that a rule may have: each of them is tried on each call.
MOST_TERMS = 100

_TERMS = 'a rule is made of every 100, every 100 from 50, at 9,99, first 5, first after 20:00 and last, joined by and'
_NUMBER = f'a number from 1 to {HIGHEST:,}, as in 1000'
#: Characters of a wrong text that a message shows.
_SHOWN = 60


def parse_win(text: str, *, zone: str = 'UTC', day: float | None = None) -> tuple[Term, ...]:
    """The terms of a rule. Raises RulesRefused with the place of what is wrong.

    `zone` is that of times without an offset, and `day` an instant on the day of times without a date: the opening.
    """
    parser = _Parser(text, zone, day)
    terms: list[Term] = []
    for term, at in parser.terms():
        if term in terms:
            raise parser.refusal(at, f'has {term_text(term, zone)} again', 'give each term once')
        if len(terms) == MOST_TERMS:
            raise parser.refusal(at, f'has more than {MOST_TERMS} terms', 'give fewer')
        terms.append(term)
    return tuple(terms)


class _Token(NamedTuple):
    text: str
    #: Where it begins, as a person counts: the first character is 1.
    at: int

    @property
    def word(self) -> str:
        return self.text.lower()

    @property
    def end(self) -> int:
        return self.at + len(self.text)


class _Parser:
    """Reads one rule from left to right."""

    def __init__(self, text: str, zone: str, day: float | None) -> None:
        self._text, self._zone, self._day = text, zone, day
        self._tokens = self._split()
        self._next = 0

    def _split(self) -> list[_Token]:
        if not isinstance(self._text, str):
            raise RulesRefused(f'the rule {self._text!r} is not a text: {_TERMS}')
        for at, character in enumerate(self._text, 1):
            if not character.isprintable():
                raise self.refusal(at, f'has {character!r}', 'write it with letters, digits and blanks')
        tokens = [_Token(found[0], found.start() + 1) for found in re.finditer(r',|[^ ,]+', self._text)]
        if not tokens:
            raise RulesRefused(f'the rule {self._text[:_SHOWN]!r} is empty: {_TERMS}')
        return [*tokens, _Token('', len(self._text) + 1)]

    def refusal(self, at: int, what: str, advice: str) -> RulesRefused:
        """The error about what begins at that character; of a long text it shows the part around it."""
        begin = max(0, at - _SHOWN // 2) if len(self._text) > _SHOWN else 0
        end = begin + _SHOWN
        text = f'{"..." if begin else ""}{self._text[begin:end]}{"..." if end < len(self._text) else ""}'
        return RulesRefused(f'the rule {text!r} {what} at character {at}: {advice}')

    def terms(self) -> Iterator[tuple[Term, int]]:
        """Each term, and the character it begins at."""
        yield from self._term()
        while self._peek().text:
            if not self._take('and'):
                raise self._unexpected(self._peek(), _TERMS)
            self._take('also')
            yield from self._term()

    def _term(self) -> Iterator[tuple[Term, int]]:
        token = self._read()
        match token.word:
            case 'every':
                yield self._every(), token.at
            case 'at':
                yield from self._at()
            case 'first':
                yield self._first_after() if self._take('after') else First(self._number()), token.at
            case 'last':
                yield Last(), token.at
            case _:
                raise self._unexpected(token, _TERMS)

    def _every(self) -> Every:
        step = self._number()
        return Every(step, self._number() if self._take('from') else step)

    def _at(self) -> Iterator[tuple[Term, int]]:
        while True:
            at = self._peek().at
            yield At(self._number()), at
            if not self._take(','):
                return

    def _first_after(self) -> FirstAfter:
        begin = self._peek()
        if begin.word in ('', ',', 'and'):
            raise self._unexpected(begin, 'give the time, as in first after 20:00')
        end = begin
        while self._peek().word not in ('', 'and'):
            end = self._read()
        written = self._text[begin.at - 1 : end.end - 1]
        try:
            moment = parse_instant(_as_iso(written), self._zone, day=self._day)
        except RulesRefused as error:
            raise self.refusal(begin.at, 'has a wrong time', str(error)) from error
        return FirstAfter(moment)

    def _number(self) -> int:
        token = self._read()
        if not re.fullmatch('[1-9][0-9]*', token.text, re.ASCII) or len(token.text) > len(str(HIGHEST)):
            raise self._unexpected(token, f'give {_NUMBER}')
        number = int(token.text)
        if number > HIGHEST:
            raise self._unexpected(token, f'give {_NUMBER}')
        return number

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _read(self) -> _Token:
        token = self._peek()
        if token.text:
            self._next += 1
        return token

    def _take(self, word: str) -> bool:
        """Whether `word` comes next; if so, it is read."""
        if self._peek().word != word:
            return False
        self._next += 1
        return True

    def _unexpected(self, token: _Token, advice: str) -> RulesRefused:
        if not token.text:
            return self.refusal(token.at, 'ends', advice)
        cut = token.text if len(token.text) <= _SHOWN else f'{token.text[:_SHOWN]}...'
        return self.refusal(token.at, f'has {cut!r}', advice)


def _as_iso(time: str) -> str:
    """A time as ISO 8601 writes it: with one blank, and large letters after digits."""
    return re.sub(r'(?<=\d)[tz]', lambda letter: letter[0].upper(), re.sub(' +', ' ', time))


def term_text(term: Term, zone: str = 'UTC') -> str:
    """The term in the rule language, with times in `zone` and their offset: it reads back as the same term."""
    match term:
        case Every(step, start):
            return f'every {step}' if start == step else f'every {step} from {start}'
        case At(number):
            return f'at {number}'
        case First(count):
            return f'first {count}'
        case FirstAfter(moment):
            return f'first after {iso(moment, zone)}'
        case Last():
            return 'last'
