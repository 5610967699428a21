"""The hit counter: you call a number, and it tells you which caller you are."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import NamedTuple, cast

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
        number: int = counted.add(time.time(), caller)
        return number

    @update
    def take(self, line: str, hit: Hit) -> bool:
        """Count a call as it was counted elsewhere; False if it is here. Raises ValueError if it is not the next."""
        last = self.count(line)
        if hit.number == last + 1:
            self._lines.setdefault(line, Line()).add(hit.time, hit.caller)
            return True
        if hit.number > 1 and not last:
            raise ValueError(
                f'line {line!r} would begin with call {hit.number}: where those before are forgotten, '
                f'"hitcounter backup" and "restore" move it')
        if not 1 <= hit.number <= last:
            raise ValueError(f'call {hit.number} does not continue line {line!r}, whose next one is {last + 1}')
        if hit.number >= self._lines[line].calls.first and self.call(line, hit.number) != hit:
            raise ValueError(f'call {hit.number} of line {line!r} is here, and another one')
        return False

    @update
    def forget(self, line: str, before: float, most: int = 1000) -> int:
        """Forget the first calls of `line` if they were before that time, `most` at once; how many it were.

        Counts and hours stay, and so do the numbers of the calls behind.
        """
        return self._lines[line].forget(before, most) if line in self._lines else 0

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
        """The call that was `number` on `line`. Raises KeyError if there is none, or it is forgotten."""
        when, *caller = self._lines[line].calls[number]
        return Hit(number, when, Caller(*caller))

    @query
    def hours(self, line: str) -> dict[int, int]:
        """How many calls `line` had in each hour that had any; an hour is the second since 1970, UTC, it began."""
        return dict(self._lines[line].hours.items()) if line in self._lines else {}

    def since(self, line: str, number: int) -> Iterator[Hit]:
        """The calls of `line` from `number` on, but for those that are forgotten."""
        for found, (when, *caller) in self._lines[line].calls.since(number):
            yield Hit(found, when, Caller(*caller))

    def check(self) -> Iterator[str]:
        for line, counted in self._lines.items():
            damage = [f'line {line!r}: {sentence}' for sentence in counted.calls.check()]
            yield from damage
            total = sum(count for _, count in counted.hours.items())
            if total != len(counted.calls):
                yield f'line {line!r} has {len(counted.calls)} calls, and its hours {total}'
            on_record = Counter(_hour(hit.time) for hit in self.since(line, 1)) if not damage else {}
            for hour, calls in sorted(on_record.items()):
                if calls > counted.hours[hour]:
                    yield (
                        f'line {line!r} has {calls} calls on record of the hour {hour}, and {counted.hours[hour]} '
                        f'among its hours'
                    )


def forget(state: State, before: float) -> int:
    """Forget the calls of every line from before that time, in updates that hold up nobody; how many it were."""
    hits = state[HitCounter]
    return sum(sum(iter(partial(hits.forget, line, before), 0)) for line in hits.lines())


class Line(Persistent):
    """One line's part of the counter."""

    def __init__(self) -> None:
        self.calls = Journal()
        self.hours = Tally()

    def add(self, when: float, caller: Caller) -> int:
        self.hours.add(_hour(when))
        return self.calls.append((when, *caller))

    def forget(self, before: float, most: int) -> int:
        first = end = self.calls.first
        for number, record in islice(self.calls.since(first), most):
            if cast(float, record[0]) >= before:
                break
            end = number + 1
        self.calls.forget(end)
        return end - first


def _hour(when: float) -> int:
    return int(when) // _HOUR * _HOUR


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
