"""The hit counter: you call a number, and it tells you which caller you are."""

import time
from collections.abc import Iterable
from typing import NamedTuple

from BTrees.OOBTree import OOBTree
from persistent import Persistent

from .agi import Call, script
from .errors import StateError
from .state import Component, Journal, State, Tally, query, update

#: Sound files of Asterisk's own, played before the number.
PROMPTS = ('hello', 'number')

#: Played instead, if the call could not be counted.
APOLOGY = ('im-sorry', 'please-try-call-later')

_HOUR = 3600


class Caller(NamedTuple):
    """Who called, as the phone says. None stands for what Asterisk does not know."""

    caller_id: str | None
    name: str | None
    unique_id: str

    @classmethod
    def of(cls, call: Call) -> 'Caller':
        environment = call.environment
        return cls(environment.caller_id, environment.caller_name, environment.unique_id)


class Hit(NamedTuple):
    """One counted call."""

    number: int
    #: When it was counted, in seconds since 1970, UTC.
    time: float
    caller: Caller


class HitCounter(Component):
    """How often each line was called, when and by whom. A line is the extension that was dialled."""

    name = 'hits'
    schema = 1

    def __init__(self) -> None:
        self._lines = OOBTree()

    @update
    def hit(self, line: str, caller: Caller) -> int:
        """Count one call and return its number: 1 for a line's first caller, unique, without gaps."""
        try:
            counted = self._lines[line]
        except KeyError:
            counted = self._lines[line] = Line()
        now = time.time()
        counted.hours.add(int(now) // _HOUR * _HOUR)
        number: int = counted.calls.append((now, *caller))
        return number

    @query
    def count(self, line: str) -> int:
        """How many calls `line` has had."""
        return len(self._lines[line].calls) if line in self._lines else 0

    @query
    def lines(self) -> dict[str, int]:
        """Every line, and how many calls it has had."""
        return {line: len(counted.calls) for line, counted in self._lines.items()}

    @query
    def call(self, line: str, number: int) -> Hit:
        """The call that was `number` on `line`. Raises KeyError if there is none."""
        when, *caller = self._lines[line].calls[number]
        return Hit(number, when, Caller(*caller))

    @query
    def hours(self, line: str) -> dict[int, int]:
        """How many calls `line` had in each hour that had any; an hour is the second since 1970, UTC, it began."""
        return dict(self._lines[line].hours.items()) if line in self._lines else {}


class Line(Persistent):
    """One line's part of the counter."""

    def __init__(self) -> None:
        self.calls = Journal()
        self.hours = Tally()


@script('hits')
def tell_the_number(call: Call, state: State, prompts: Iterable[str] = PROMPTS) -> None:
    """Count the caller, then say the number. A caller who hangs up once counted stays counted."""
    call.answer()
    try:
        number = state[HitCounter].hit(call.environment.extension, Caller.of(call))
    except StateError:
        for prompt in APOLOGY:
            call.stream_file(prompt)
        raise  # the call failed, which the log and the dialplan shall know
    call.set_variable('HITCOUNTER_NUMBER', number)
    for prompt in prompts:
        call.stream_file(prompt)
    call.say_number(number)
