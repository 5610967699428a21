"""The plan of a line: its settings and rounds as a script needs them, and what a call that arrives then is in for.

Pure: who stores a call has to see that the plan it was made by is still the one in the database.
"""

from typing import NamedTuple

from .hours import is_open, next_opening
from .outcome import Outcome, Result
from .rules import Rules
from .settings import Settings


class Slot(NamedTuple):
    """A round that takes calls, now or at other times."""

    number: int
    rules: Rules
    #: The window of arrivals that are taken, half open, in seconds since 1970, UTC; None is without an end.
    begins: float
    ends: float | None
    #: The key of the hashes that are stored in place of numbers; b'' if there are none.
    key: bytes = b''

    def takes(self, arrived: float) -> bool:
        """Whether a call that arrived then is within the window."""
        return self.begins <= arrived and (self.ends is None or arrived < self.ends)

    def is_open(self, arrived: float) -> bool:
        """Whether it takes a call that arrived then: within the window, and within the hours if there are any."""
        rules = self.rules
        return self.takes(arrived) and (not rules.hours or is_open(rules.hours, rules.zone, rules.country, arrived))

    def next_opening(self, arrived: float) -> float | None:
        """When it next takes calls, from that time on; None if it does not, as far as that can be seen."""
        rules = self.rules
        opens = next_opening(rules.hours, rules.zone, rules.country, max(arrived, self.begins))
        return None if opens is None or (self.ends is not None and opens >= self.ends) else opens


class Plan(NamedTuple):
    """What is known of one line that is declared, or has had rounds."""

    settings: Settings
    #: Whether somebody closed the line by hand.
    is_closed: bool
    #: The rounds that are not final, in order.
    slots: tuple[Slot, ...] = ()
    #: Whether the line has had a round that is over.
    had_round: bool = False

    def slot_at(self, arrived: float) -> Slot | None:
        """The round that takes a call which arrived then."""
        if self.is_closed:
            return None
        return next((slot for slot in self.slots if slot.is_open(arrived)), None)

    def refusal_at(self, arrived: float) -> Outcome | None:
        """Why a call that arrived then is not counted, if no round takes it; None if it is counted without a round."""
        if self.is_closed:
            return Outcome(Result.CLOSED)
        if self.slots or self.had_round:
            return self._between_rounds(arrived)
        hours = (self.settings.hours, self.settings.zone, self.settings.country)
        if self.settings.hours and not is_open(*hours, arrived):
            return Outcome(Result.CLOSED, opens=next_opening(*hours, arrived))
        return None

    def _between_rounds(self, arrived: float) -> Outcome:
        """The refusal of a call that no round takes: it is before the next, after the last, or outside the hours."""
        opens = min(filter(None, (slot.next_opening(arrived) for slot in self.slots)), default=None)
        closes = next((slot.ends for slot in self.slots if slot.takes(arrived)), None)
        is_to_come = any(slot.ends is None or arrived < slot.ends for slot in self.slots)
        return Outcome(Result.CLOSED, opens=opens, closes=closes, is_late=not is_to_come)


class Planned(NamedTuple):
    """The plan of a line as of one version of all plans."""

    version: int
    #: None if the line is not declared and has had no round.
    plan: Plan | None
