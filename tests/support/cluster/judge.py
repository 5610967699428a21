"""The judge of every fault: what callers heard, beside what is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf


@dataclass(frozen=True, slots=True)
class Heard:
    """One call: what its caller heard first, a number or an apology, and when. Times are those of time.monotonic."""

    server: str
    unique_id: str
    began: float
    ended: float
    number: int | None = None
    apology: bool = False
    #: Why the call ended before its caller heard anything, if it did.
    lost: str = ''

    @property
    def waited(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class Absence:
    """When a server was dead or stopped, so that its callers may hear nothing, or too late."""

    server: str
    began: float
    ended: float = inf

    def excuses(self, call: Heard) -> bool:
        return call.server == self.server and call.began <= self.ended and call.ended >= self.began


@dataclass(frozen=True)
class Verdict:
    """What is right and wrong about the calls of one fault."""

    heard: list[Heard]
    #: The number of each call that is stored, by its unique id.
    stored: Mapping[str, int]
    problems: list[str] = field(default_factory=list)
    #: How many callers heard an apology after which nobody knows whether they were counted.
    unknown: int = 0
    longest: float = 0.0

    @property
    def acknowledged(self) -> int:
        return sum(call.number is not None for call in self.heard)

    @property
    def apologies(self) -> int:
        return sum(call.apology for call in self.heard)

    @property
    def lost(self) -> int:
        """How many callers heard nothing."""
        return sum(bool(call.lost) for call in self.heard)

    @property
    def silence(self) -> float:
        """The longest time, in seconds, in which no caller of any server heard a number."""
        moments = sorted(call.ended for call in self.heard if call.number is not None)
        return max((later - earlier for earlier, later in pairwise(moments)), default=0.0)

    def first_numbers(self, moment: float) -> dict[str, float]:
        """How long after a moment each server first said a number, in seconds."""
        first: dict[str, float] = {}
        for call in self.heard:
            if call.number is not None and call.ended > moment:
                first[call.server] = min(first.get(call.server, inf), call.ended - moment)
        return first


def judge(
    heard: Collection[Heard],
    calls: Collection[tuple[str, int]],
    count: int,
    *,
    unknown: Collection[str],
    bound: float,
    absences: Collection[Absence] = (),
) -> Verdict:
    """Compare what callers heard with the stored `calls` of the line, as unique id and number, and with its count.

    `unknown` are the calls whose server said that they may or may not have been stored. A caller who is not excused by
    an absence hears a number or an apology within `bound` seconds. A call that broke off there may be stored.
    """
    stored = dict(calls)
    excused = {call.unique_id for call in heard if any(absence.excuses(call) for absence in absences)}
    timely = [call for call in heard if call.unique_id not in excused]
    problems = [
        *_of_storage(calls, count),
        *_of_numbers(heard, stored),
        *_of_the_unheard(heard, stored, {*unknown}, excused),
        *_of_waiting(timely, bound),
    ]
    said = sum(call.apology and call.unique_id in unknown for call in heard)
    return Verdict([*heard], stored, problems, said, max((call.waited for call in timely), default=0.0))


def _of_storage(calls: Collection[tuple[str, int]], count: int) -> Iterator[str]:
    if sorted(number for _, number in calls) != [*range(1, count + 1)]:
        yield f'the stored numbers are not 1 to {count}'
    for unique_id, times in Counter(unique_id for unique_id, _ in calls).items():
        if times > 1:
            yield f'{unique_id} is stored {times} times'


def _of_numbers(heard: Iterable[Heard], stored: Mapping[str, int]) -> Iterator[str]:
    """Each acknowledged number is stored, and unique."""
    numbers = {call.unique_id: call.number for call in heard if call.number is not None}
    for unique_id, number in numbers.items():
        if stored.get(unique_id) != number:
            yield f'{unique_id} heard {number}, and is stored as {stored.get(unique_id)}'
    for number, times in Counter(numbers.values()).items():
        if times > 1:
            yield f'{number} was said {times} times'


def _of_the_unheard(
    heard: Iterable[Heard], stored: Mapping[str, int], unknown: set[str], excused: set[str]
) -> Iterator[str]:
    """Whoever heard an apology is not stored, unless it was said that this is unknown; nobody hears nothing."""
    by_id = {call.unique_id: call for call in heard}
    for unique_id in stored.keys() - by_id.keys():
        yield f'{unique_id} is stored, and nobody made that call'
    for unique_id, call in by_id.items():
        if call.lost and unique_id not in excused:
            yield f'{unique_id} heard nothing from {call.server}: {call.lost}'
        if call.apology and unique_id in stored and unique_id not in unknown:
            yield f'{unique_id} heard that he was not counted, and is stored as {stored[unique_id]}'


def _of_waiting(heard: Iterable[Heard], bound: float) -> Iterator[str]:
    for call in heard:
        if call.waited > bound:
            yield f'{call.unique_id} waited {call.waited:.1f} s for {call.server}, and {bound:g} s is the bound'
