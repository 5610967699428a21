"""The clock of a storage on another machine, compared with the clock of this machine."""

import time
from collections.abc import Callable

#: How often the other clock is read; the quickest answer counts.
_READINGS = 3

#: Seconds that the quickest answer may take. The comparison is wrong by half of that at most.
_LONGEST = 0.5


def seconds_ahead(ask: Callable[[], object], told: Callable[[], float]) -> float | None:
    """Seconds that this machine's clock is ahead of another; None if the answers come too slowly to know.

    `ask` lets the other machine read its clock, which is taken to happen midway; `told` then returns what it read.
    """
    took, ahead = min(_compared(ask, told) for _ in range(_READINGS))
    return ahead if took <= _LONGEST else None


def _compared(ask: Callable[[], object], told: Callable[[], float]) -> tuple[float, float]:
    """How long the answer took, and how far this clock is ahead."""
    asked, began = time.time(), time.monotonic()
    ask()
    took = time.monotonic() - began
    return took, asked + took / 2 - told()
