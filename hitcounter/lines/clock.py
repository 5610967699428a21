"""The clock of the lines: in the server, it ends rounds in time, and notes that a server runs while one takes calls."""

import logging
import time
from collections.abc import Callable
from typing import Protocol

from ..errors import HitcounterError
from ..state.storage.periodic import PeriodicTask
from .instants import show
from .round import RoundView

logger = logging.getLogger(__name__)

#: Seconds between two looks.
LOOK = 1.0

#: Seconds between two signs of life.
BEAT = 10.0


class RoundsOf(Protocol):
    """What the clock asks of the lines of a state."""

    unfinished: Callable[[], list[RoundView]]
    finish_due: Callable[[float], list[RoundView]]
    beat: Callable[[float], None]
    note_gaps: Callable[[float], list[RoundView]]


class Clock:
    """A thread that looks once a second, until it is closed. Its storage may be away meanwhile."""

    def __init__(self, lines: RoundsOf) -> None:
        self._lines = lines
        self._beaten = time.monotonic()
        self._is_away = False
        for view in lines.note_gaps(time.time()) if lines.unfinished() else []:
            since, until = view.gaps[-1]
            logger.warning(
                'no server ran in round %d of line %r from %s until %s: nobody could call',
                view.number,
                view.line,
                show(since, view.rules.zone),
                show(until, view.rules.zone),
            )
        self._task = PeriodicTask('lines clock', LOOK, self._look)

    def close(self) -> None:
        """End the thread."""
        self._task.close()

    def _look(self) -> None:
        try:
            self._tick(time.time())
            self._is_away = False
        except HitcounterError as error:
            if not self._is_away:
                logger.warning('rounds cannot be ended for now: %s', error)
            self._is_away = True

    def _tick(self, now: float) -> None:
        rounds = self._lines.unfinished()
        if any(view.ends is not None and now >= view.ends + view.rules.settle for view in rounds):
            for view in self._lines.finish_due(now):
                logger.info(
                    'round %d of line %r is final: %d entries, %d won', view.number, view.line, view.entries, view.won
                )
        if time.monotonic() - self._beaten >= BEAT and any(view.state_at(now) == 'open' for view in rounds):
            self._lines.beat(now)
            self._beaten = time.monotonic()
