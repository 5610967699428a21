"""The rules of a round: who wins, who may take part, and when. They are frozen when the round opens.

Pure: nothing here reads a clock or a database. What decides is given, and what was decided is returned.
"""

import hashlib
import json
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, NamedTuple, get_args

from ..errors import RulesRefused
from .terms import At, Every, First, FirstAfter, Last
from .terms import Term as Term


@dataclass(frozen=True)
class Rules:
    """The rules of one round."""

    win: tuple[Term, ...] = ()
    #: The window, half open, in seconds since 1970, UTC.
    opens: float | None = None
    closes: float | None = None
    #: The time zone in which times are read and shown, as `Europe/Berlin`.
    zone: str = 'UTC'
    #: After this many winners nobody else wins.
    most_winners: int | None = None
    #: Whether the round closes with the last possible winner.
    close_when_won: bool = False
    #: The last number by which a call is counted.
    most_calls: int | None = None
    #: Whether calls that are turned away have a number, too, by which they cannot win.
    count_all: bool = False
    #: Calls of one caller that are counted, at most, in `window`.
    limit: int | None = None
    #: A sliding window in seconds; None is the round.
    window: float | None = None
    #: Seconds for which a winner cannot win again on any line of the group `winners_of`.
    cooldown: float | None = None
    #: The group of lines whose winners are barred; '' is the line itself.
    winners_of: str = ''
    #: What becomes of callers who withhold their number: 'count-no-win', 'count' or 'refuse'.
    withheld: str = 'count-no-win'
    #: The country whose national numbers are made international, as `DE`; '' if they are compared as they are.
    country: str = ''
    #: Whether keyed hashes are stored in place of numbers.
    forget_numbers: bool = False
    #: Seconds after the close in which calls that arrived before it are still taken; then the result is final.
    settle: float = 30.0
    #: Opening hours of the line, when the round has no window of its own; '' is always.
    hours: str = ''


class Progress(NamedTuple):
    """What a round remembers of its wins, made of plain values."""

    winners: int = 0
    #: Indexes into `Rules.win` of terms whose milestone fell on a caller who may not win, for the next who may.
    owed: tuple[int, ...] = ()
    #: For each term how often it was won; () if none was.
    won: tuple[int, ...] = ()


def decide(
    rules: Rules, progress: Progress, number: int, arrived: float, may_win: bool
) -> tuple[tuple[Term, ...], Progress]:
    """The terms that an entry wins by, () if it does not win, and the progress with it.

    `number` is that of the entry in the round. A milestone that falls on a caller who may not win passes to the next
    who may. Whoever gets several at once has one win that names them all. `progress` itself comes back if nothing has
    changed.
    """
    winners, owed, won = progress
    if rules.most_winners is not None and winners >= rules.most_winners:
        return (), progress
    met = [
        index
        for index, term in enumerate(rules.win)
        if term.falls_on(number, arrived, may_win, won[index] if won else 0)
    ]
    if not (met or owed):
        return (), progress
    indexes = tuple(sorted({*owed, *met}))
    if not may_win:
        return (), progress if indexes == owed else Progress(winners, indexes, won)
    return _won(rules, progress, indexes, winners + 1)


def decide_last(rules: Rules, progress: Progress, *, has_won: bool) -> tuple[tuple[Term, ...], Progress]:
    """The terms `last` that the last entry that may win has won by, and the progress with it; for a final round.

    `has_won` says whether that entry has won before: it then has one win still, by more terms.
    """
    if rules.most_winners is not None and progress.winners >= rules.most_winners:
        return (), progress
    indexes = tuple(
        index
        for index, term in enumerate(rules.win)
        if isinstance(term, Last) and not (progress.won and progress.won[index])
    )
    if not indexes:
        return (), progress
    won, after = _won(rules, progress, indexes, progress.winners + (not has_won))
    return won, after._replace(owed=progress.owed)


def _won(rules: Rules, progress: Progress, indexes: tuple[int, ...], winners: int) -> tuple[tuple[Term, ...], Progress]:
    counts = list(progress.won or [0] * len(rules.win))
    for index in indexes:
        counts[index] += 1
    return tuple(rules.win[index] for index in indexes), Progress(winners, (), tuple(counts))


def is_won_out(rules: Rules, progress: Progress) -> bool:
    """Whether no further winner is possible."""
    if rules.most_winners is not None and progress.winners >= rules.most_winners:
        return True
    won = progress.won or (0,) * len(rules.win)
    return all(term.most_wins is not None and wins >= term.most_wins for term, wins in zip(rules.win, won, strict=True))


def to_go(rules: Rules, progress: Progress, number: int) -> int | None:
    """Calls from entry `number` to the next that wins by its number; None if there is none or the winning is over."""
    if rules.most_winners is not None and progress.winners >= rules.most_winners:
        return None
    numbers = [found for term in rules.win if (found := term.next_after(number)) is not None]
    if not numbers:
        return None
    nearest = min(numbers)
    if rules.most_calls is not None and nearest > rules.most_calls:
        return None
    return nearest - number


# The canonical text, in which rules are stored, and by whose hash they are published.

_NAMES: dict[type[Term], str] = {Every: 'every', At: 'at', First: 'first', FirstAfter: 'first-after', Last: 'last'}
_TERMS = {name: kind for kind, name in _NAMES.items()}
_TYPES = {field.name: get_args(field.type) or (field.type,) for field in fields(Rules) if field.name != 'win'}


def canonical(rules: Rules) -> str:
    """The one text of these rules, JSON with all fields in order, from which `from_canonical` makes the same rules."""
    plain = {name: _plain(getattr(rules, name), types) for name, types in _TYPES.items()}
    plain['win'] = [[_NAMES[type(term)], *_values(term)] for term in rules.win]
    try:
        return json.dumps(plain, sort_keys=True, separators=(',', ':'), allow_nan=False)
    except ValueError as error:
        raise RulesRefused(f'the rules have a number that is not finite: {rules!r}') from error


def _values(term: Term) -> list[object]:
    return [_plain(getattr(term, field.name), (field.type,)) for field in fields(term)]


def _plain(value: object, types: tuple[object, ...]) -> object:
    """The value; seconds are floats always, or equal rules would have two texts."""
    return float(value) if type(value) is int and float in types else value


@lru_cache(maxsize=256)
def from_canonical(text: str) -> Rules:
    """The rules of which `canonical` made this text. Raises RulesRefused for any other text."""
    try:
        rules = _rules_of(json.loads(text))
        is_exact = canonical(rules) == text
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise _not_canonical(text) from error
    if not is_exact:
        raise _not_canonical(text)
    return rules


def _rules_of(plain: dict[str, Any]) -> Rules:  # what JSON says, of any type
    win = tuple(_TERMS[name](*values) for name, *values in plain.pop('win'))
    for name, value in plain.items():
        if type(value) not in _TYPES[name]:
            raise TypeError(f'{name} is {value!r}')
    return Rules(win=win, **plain)


def _not_canonical(text: str) -> RulesRefused:
    return RulesRefused(f'{text!r:.82} is not the canonical text of rules: restore it, or open a new round')


def digest(rules: Rules) -> str:
    """The SHA-256 of the canonical text, hexadecimal: what is published with the rules."""
    return hashlib.sha256(canonical(rules).encode()).hexdigest()
