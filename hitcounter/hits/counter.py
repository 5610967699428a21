"""The hit counter: how often each line was called, when and by whom."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice, takewhile
from typing import Any, cast

from BTrees.Length import Length
from BTrees.OOBTree import OOBTree
from persistent import Persistent

from ..counts import count_of
from ..errors import LineRefused
from ..state import Component, Journal, State, Tally, forgetting, migration, query, update
from .bounds import check_line
from .hit import ERASED, Caller, Hit, fields_of
from .times import hour_of

#: Calls that one update erases, which takes 13 ms: each may be in an object of its own.
_AT_ONCE = 200


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
        """New calls record whether the caller was withheld; for earlier ones that is not known."""
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
        """Raise LineRefused for a new line that cannot be, or would exceed `max_lines`; 0 allows any number."""
        if line not in self._lines:
            check_line(line)
            if 0 < max_lines <= self._size():
                raise LineRefused(
                    f'line {line!r} would be new, and there are already {count_of(self._size(), "line")}, as many as '
                    f'allowed: the call is not counted'
                )

    @update
    def import_hit(self, line: str, hit: Hit) -> None:
        """Add a call as it was counted elsewhere. Raises ValueError if its number is not the next of `line`."""
        if hit.number != (expected := self.count(line) + 1):
            raise ValueError(f'call {hit.number} does not continue line {line!r}, whose next one is {expected}')
        (self._lines.get(line) or self._begin(line)).add(hit.time, hit.caller)

    @update
    def forget(self, line: str, before: float, most: int = 1000) -> int:
        """Forget the first calls of `line`, at most `most`, that were before that time; returns how many.

        Counts and hours stay, and later calls keep their numbers.
        """
        return self._lines[line].forget(before, most) if line in self._lines else 0

    def overdue(self, before: float) -> Iterator[str | None]:
        return (line if counted.began_before(before) else None for line, counted in self._lines.items())

    def about(self, caller: Any) -> Iterator[tuple[str, tuple[int, ...]] | None]:
        """The calls of that caller on each line, by their numbers, so many at a time."""
        for line in self._lines:
            found: list[int] = []
            for hit in self.since(line, 1):
                yield None
                if caller.is_(hit.caller.caller_id, line) or caller.is_(hit.caller.name, line):
                    found.append(hit.number)
                if len(found) == _AT_ONCE:
                    yield line, tuple(found)
                    found.clear()
            if found:
                yield line, tuple(found)

    def erase(self, key: tuple[str, tuple[int, ...]], caller: Any = None) -> int:
        """Make the caller of these calls of a line unknown. Numbers, times and hours stay."""
        line, numbers = key
        erased: int = self._lines[line].erase(numbers)
        return erased

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
        """How many calls `line` had in each hour that had any; the key is when it began, in seconds since 1970, UTC."""
        return dict(self._lines[line].hours.items()) if line in self._lines else {}

    def export(self) -> Iterator[dict[str, object]]:
        for line in self.lines():
            for hit in self.since(line, 1):
                yield fields_of(line, hit)

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
                yield f'line {line!r} has {count_of(len(counted.calls), "call")}, but its hours count {total}'
            on_record = Counter(hour_of(hit.time) for hit in self.since(line, 1)) if not damage else {}
            for hour, calls in sorted(on_record.items()):
                if calls > counted.hours[hour]:
                    yield (
                        f'line {line!r} has {count_of(calls, "call")} on record in the hour {hour}, but its hours '
                        f'count {counted.hours[hour]}'
                    )


def forget(state: State, before: float) -> int:
    """Forget the calls of all lines from before that time, in short updates; returns how many."""
    return forgetting.forget(state, HitCounter, before)


class Line(Persistent):
    """One line's part of the counter."""

    __module__ = 'hitcounter.hits'  # as databases name it

    def __init__(self) -> None:
        self.calls = Journal()
        self.hours = Tally()

    def add(self, when: float, caller: Caller) -> int:
        self.hours.add(hour_of(when))
        return self.calls.append((when, *caller))

    def began_before(self, when: float) -> bool:
        """Whether the first call on record was before that time."""
        return any(True for _ in self._older(when, 1))

    def forget(self, before: float, most: int) -> int:
        count = sum(1 for _ in self._older(before, most))
        self.calls.forget(self.calls.first + count)
        return count

    def erase(self, numbers: Iterable[int]) -> int:
        """Make the caller of these calls unknown, except those that are forgotten; returns how many changed."""
        erased = 0
        for number in numbers:
            if number < self.calls.first:
                continue
            when, *caller = self.calls[number]
            if Caller(*caller) != ERASED:  # type: ignore[arg-type]  # a record is of any values
                self.calls.replace(number, (when, *ERASED))
                erased += 1
        return erased

    def _older(self, before: float, most: int) -> Iterator[object]:
        """The first calls on record, at most `most`, up to the first that was not before that time."""
        oldest = islice(self.calls.since(self.calls.first), most)
        return takewhile(lambda numbered: cast(float, numbered[1][0]) < before, oldest)
