"""The terms of a rule: each says on which entry of a round a win falls."""

import math
from dataclasses import dataclass

from ..errors import RulesRefused

#: The highest number that a term may name.
HIGHEST = 10**9

# The terms. `falls_on` says whether the milestone of a term falls on an entry, and `next_after` which number has the
# next one. They run for each call: `number` is the entry's, `wins` how often this term was won before.


@dataclass(frozen=True, slots=True)
class Every:
    """`every 100`, `every 100 from 50`: callers 100, 200, ...; 50, 150, ..."""

    step: int
    start: int

    def __post_init__(self) -> None:
        _check_numbers(self, self.step, self.start)

    def falls_on(self, number: int, arrived: float, may_win: bool, wins: int) -> bool:
        return number >= self.start and (number - self.start) % self.step == 0

    def next_after(self, number: int) -> int | None:
        if number < self.start:
            return self.start
        return number + self.step - (number - self.start) % self.step

    @property
    def most_wins(self) -> None:
        """How often this term can be won; None if there is no end."""
        return None


@dataclass(frozen=True, slots=True)
class At:
    """`at 9`: caller 9. `at 9,99` is two of these."""

    number: int

    def __post_init__(self) -> None:
        _check_numbers(self, self.number)

    def falls_on(self, number: int, arrived: float, may_win: bool, wins: int) -> bool:
        return number == self.number

    def next_after(self, number: int) -> int | None:
        return self.number if number < self.number else None

    @property
    def most_wins(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class First:
    """`first 5`: the first five callers who may win."""

    count: int

    def __post_init__(self) -> None:
        _check_numbers(self, self.count)

    def falls_on(self, number: int, arrived: float, may_win: bool, wins: int) -> bool:
        return may_win and wins < self.count

    def next_after(self, number: int) -> int | None:
        return None

    @property
    def most_wins(self) -> int:
        return self.count


@dataclass(frozen=True, slots=True)
class FirstAfter:
    """`first after 20:00:00`: the first caller who may win and arrived at that moment, or later."""

    #: In seconds since 1970, UTC.
    moment: float

    def __post_init__(self) -> None:
        if type(self.moment) not in (int, float) or not math.isfinite(self.moment):
            raise RulesRefused(f'{self!r} has no moment: give the seconds since 1970')

    def falls_on(self, number: int, arrived: float, may_win: bool, wins: int) -> bool:
        return may_win and not wins and arrived >= self.moment

    def next_after(self, number: int) -> int | None:
        return None

    @property
    def most_wins(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class Last:
    """`last`: the last caller who may win, which is known once the round is final."""

    def falls_on(self, number: int, arrived: float, may_win: bool, wins: int) -> bool:
        return False

    def next_after(self, number: int) -> int | None:
        return None

    @property
    def most_wins(self) -> int:
        return 1


Term = Every | At | First | FirstAfter | Last


def _check_numbers(term: Term, *numbers: int) -> None:
    for number in numbers:
        if type(number) is not int or not 1 <= number <= HIGHEST:
            raise RulesRefused(f'{term!r} has the number {number!r}: give one from 1 to {HIGHEST:,}')
