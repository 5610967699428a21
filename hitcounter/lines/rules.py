"""The rules of a round: who wins, who may take part, and when. They are frozen when the round opens.

Pure: nothing here reads a clock or a database. What decides is given, and what was decided is returned.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Every(NamedTuple):
    """`every 100`, `every 100 from 50`: callers 100, 200, ...; 50, 150, ..."""

    step: int
    start: int


class At(NamedTuple):
    """`at 9`: caller 9. `at 9,99` is two of these."""

    number: int


class First(NamedTuple):
    """`first 5`: the first five callers who may win."""

    count: int


class FirstAfter(NamedTuple):
    """`first after 20:00:00`: the first caller who may win and arrived at that moment, or later."""

    #: In seconds since 1970, UTC.
    moment: float


class Last(NamedTuple):
    """`last`: the last caller who may win, which is known once the round is final."""


Term = Every | At | First | FirstAfter | Last


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
    #: Calls that are counted at most.
    most_calls: int | None = None
    #: Whether calls that are not eligible get a number, too.
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
    #: For each term how often it was won.
    won: tuple[int, ...] = ()
