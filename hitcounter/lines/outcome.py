"""The outcome of a call on a line: what was decided about it, and what the caller and the dialplan are told."""

from enum import StrEnum
from typing import NamedTuple


class Result(StrEnum):
    """What became of a call; the value of HITCOUNTER_RESULT."""

    COUNTED = 'COUNTED'
    WON = 'WON'
    #: This caller has had as many calls as one may have.
    REPEAT = 'REPEAT'
    #: Before the opening, after the close, or outside the hours.
    CLOSED = 'CLOSED'
    #: The round has as many calls as it takes.
    FULL = 'FULL'
    #: This caller has won too recently.
    BARRED = 'BARRED'
    #: This caller withholds the number, and the rules ask for it.
    WITHHELD = 'WITHHELD'
    #: It could not be stored.
    ERROR = 'ERROR'


class Outcome(NamedTuple):
    """What was decided about one call. Times are in seconds since 1970, UTC."""

    result: Result
    #: The number that the caller is told: of the round, or else of the line. None if the call was not counted.
    number: int | None = None
    #: Calls from here to the next that wins by its number; None if there is none.
    to_go: int | None = None
    #: The terms that this call met, as text: 'at 100'. '' unless it won.
    win: str = ''
    #: Calls of this caller in this round, with this one; None if the rules do not limit them, or it is not known.
    caller_calls: int | None = None
    #: The round, by its number on the line; None without one.
    round: int | None = None
    #: When the line opens next and when it closes, as far as a round says so.
    opens: float | None = None
    closes: float | None = None
    #: Whether the call came after the close of a round, and none is to come.
    is_late: bool = False
    #: The number of the call on the line, over all rounds; None if it was not counted.
    line_number: int | None = None
