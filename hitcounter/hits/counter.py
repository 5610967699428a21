"""The hit counter: how often each line was called, when and by whom."""

import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple, cast

from BTrees.Length import Length
from BTrees.OOBTree import OOBTree
from persistent import Persistent

from ..agi import Call, Presentation
from ..errors import LineRefused
from ..state import Component, Journal, State, Tally, forgetting, migration, query, update
from .bounds import CALLER, UNIQUE_ID, check_line, cut
from .times import format_time

_HOUR = 3600


class Caller(NamedTuple):
    """Who called, as the phone says. None is what Asterisk does not know, or may not show."""

    caller_id: str | None
    name: str | None
    unique_id: str
    #: Whether the caller withheld number and name; None for calls that were counted before this was stored.
    withheld: bool | None = None

    @classmethod
    def of(cls, call: Call) -> 'Caller':
        environment = call.environment
        if call.caller_withheld:
            return cls(None, None, environment.unique_id, withheld=True)
        withheld = environment.presentation is Presentation.PROHIBITED
        return cls(environment.caller_id, environment.caller_name, environment.unique_id, withheld)

    def cut(self) -> 'Caller':
        """The same, with texts that are cut to Asterisk's own limits."""
        return Caller(
            cut(self.caller_id, CALLER), cut(self.name, CALLER), cut(self.unique_id, UNIQUE_ID), self.withheld
        )


class Hit(NamedTuple):
    """One counted call."""

    number: int
    #: When it was counted, in seconds since 1970, UTC.
    time: float
    caller: Caller

    def agrees(self, other: 'Hit') -> bool:
        """Whether both are the same call; if one does not say whether the caller was withheld, that is left out."""
        if self.caller.withheld is None or other.caller.withheld is None:
            return self[:2] == other[:2] and self.caller[:3] == other.caller[:3]
        return self == other


def fields_of(line: str, hit: Hit) -> dict[str, object]:
    """One call of a line, as in an export."""
    return {'line': line, 'number': hit.number, 'time': format_time(hit.time), **hit.caller._asdict()}


class HitCounter(Component):
    """How often each line was called, when and by whom. A line is the extension that was dialled."""

    __module__ = 'hitcounter.hits'  # as databases name it

    name = 'hits'
    schema = 2

    def __init__(self) -> None:
        self._lines = OOBTree()
        self._size = Length()  # how many lines there are, which a BTree would have to count

    @migration(to=2)
    def say_who_was_withheld(self) -> None:
        """From now on calls say whether the caller was withheld; for earlier ones that is not known."""
        self._size = Length(len(self._lines))

    @update
    def hit(self, line: str, caller: Caller, max_lines: int = 0) -> int:
        """Count one call and return its number: 1 for a line's first caller, unique, without gaps.

        The caller's texts are cut to Asterisk's own limits. Raises LineRefused, as `admit` does.
        """
        if not isinstance(caller, Caller):
            raise TypeError(f'the caller is a {type(caller).__name__}: give a Caller')
        counted = self._lines.get(line)
        if counted is None:
            self.admit(line, max_lines)
            counted = self._begin(line)
        number: int = counted.add(time.time(), caller.cut())
        return number

    @query
    def admit(self, line: str, max_lines: int = 0) -> None:
        """Raise LineRefused if `line` is new, and too long or one more than `max_lines`; 0 allows any number."""
        if line not in self._lines:
            check_line(line)
            if 0 < max_lines <= self._size():
                raise LineRefused(
                    f'line {line!r} would be new, and there are already {self._size():,} lines, as many as allowed: '
                    f'the call is not counted'
                )

    @update
    def take(self, line: str, hit: Hit) -> bool:
        """Count a call as it was counted elsewhere; False if it is here. Raises ValueError if it is not the next."""
        last = self.count(line)
        if hit.number == last + 1:
            (self._lines.get(line) or self._begin(line)).add(hit.time, hit.caller)
            return True
        if hit.number > 1 and not last:
            raise ValueError(
                f'line {line!r} would begin with call {hit.number}: where those before are forgotten, '
                f'a backup of the whole database moves it'
            )
        if not 1 <= hit.number <= last:
            raise ValueError(f'call {hit.number} does not continue line {line!r}, whose next one is {last + 1}')
        if hit.number >= self._lines[line].calls.first and not self.call(line, hit.number).agrees(hit):
            raise ValueError(f'call {hit.number} of line {line!r} is here, and another one')
        return False

    @update
    def forget(self, line: str, before: float, most: int = 1000) -> int:
        """Forget the first calls of `line` if they were before that time, at most `most`; returns how many.

        Counts and hours stay, and so do the numbers of the calls after them.
        """
        return self._lines[line].forget(before, most) if line in self._lines else 0

    def overdue(self, before: float) -> Iterator[str | None]:
        return (line if counted.began_before(before) else None for line, counted in self._lines.items())

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

    def export(self) -> Iterator[dict[str, object]]:
        for line in self.lines():
            for hit in self.since(line, 1):
                yield fields_of(line, hit)

    def forgotten(self, line: str) -> Iterator[Hit]:
        """What is known of the forgotten calls of `line`: their numbers, and the hours in which they were counted."""
        counted = self._lines[line]
        on_record = Counter(_hour(hit.time) for hit in self.since(line, 1))
        hours = (hour for hour, total in counted.hours.items() for _ in range(total - on_record[hour]))
        for number, hour in zip(range(1, counted.calls.first), hours, strict=False):
            yield Hit(number, float(hour), Caller(None, None, ''))

    def since(self, line: str, number: int) -> Iterator[Hit]:
        """The calls of `line` from `number` on, except those that are forgotten."""
        for found, (when, *caller) in self._lines[line].calls.since(number):
            yield Hit(found, when, Caller(*caller))

    def _begin(self, line: str) -> 'Line':
        self._size.change(1)
        begun = self._lines[line] = Line()
        return begun

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
    """Forget the calls of every line from before that time, in short updates; returns how many."""
    return forgetting.forget(state, HitCounter, before)


class Line(Persistent):
    """One line's part of the counter."""

    __module__ = 'hitcounter.hits'  # as databases name it

    def __init__(self) -> None:
        self.calls = Journal()
        self.hours = Tally()

    def add(self, when: float, caller: Caller) -> int:
        self.hours.add(_hour(when))
        return self.calls.append((when, *caller))

    def began_before(self, when: float) -> bool:
        """Whether the first call that is not forgotten was before that time."""
        return any(cast(float, record[0]) < when for _, record in islice(self.calls.since(self.calls.first), 1))

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
