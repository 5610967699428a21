"""The clock of the lines: in the server, it ends rounds in time, and notes that a server runs while one takes calls."""

import logging
import time
from collections.abc import Callable
from typing import Protocol

from ..errors import HitcounterError
from .instants import show
from .round import RoundView

logger = logging.getLogger(__name__)

#: Seconds between two looks.
LOOK = 1.0

#: Seconds between two signs of life of all servers together, as long as a round is open.
BEAT = 10.0

#: Seconds after which it looks again when a look failed in a way that nobody foresaw.
AFTER_FAILURE = 10.0

#: Seconds by which the clock of a machine may move between two looks and not be said to have been set.
STEP = 2.0


class RoundsOf(Protocol):
    """What the clock asks of the lines of a state."""

    unfinished: Callable[[int], tuple[int, list[RoundView]] | None]
    finish_due: Callable[[float], list[RoundView]]
    beaten: Callable[[], float]
    beat: Callable[[float], None]
    note_gaps: Callable[[float], list[RoundView]]


class Clock:
    """What a server does as time goes by. Its storage may be away meanwhile; nothing is stored while no round is open.

    `wall` shows the time of day, which somebody may set; `steady` does not step.
    """

    def __init__(
        self,
        lines: RoundsOf,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lines = lines
        self._wall = wall
        self._steady = steady
        self._version = -1
        self._rounds: list[RoundView] = []
        self._beats_at = steady()
        self._ahead = wall() - steady()
        self._is_away = False

    def begin(self) -> None:
        """Note and log, as the server starts, in which rounds no server ran until now."""
        now = self._wall()
        for view in self._lines.note_gaps(now) if any(view.begins <= now for view in self._unfinished()) else []:
            since, until = view.gaps[-1]
            logger.warning(
                'no server ran in round %d of line %r from %s until %s: nobody could call',
                view.number,
                view.line,
                show(since, view.rules.zone),
                show(until, view.rules.zone),
            )

    def look(self) -> None:
        """Do what is to be done by now."""
        now, steady = self._wall(), self._steady()
        self._watch(now - steady)
        try:
            self._end_rounds(now)
            self._beat(now, steady)
        except HitcounterError as error:
            if not self._is_away:
                logger.warning('rounds cannot be ended for now: %s', error)
            self._is_away = True
        else:
            if self._is_away:
                logger.info('rounds can be ended again')
            self._is_away = False

    def _watch(self, ahead: float) -> None:
        """Log that somebody set the clock. Within a round, the recorded arrivals do not go back all the same."""
        step, self._ahead = ahead - self._ahead, ahead
        if abs(step) > STEP:
            logger.warning(
                'the clock of this machine was set %.1f s %s, or it slept: the new time decides who is in time',
                abs(step),
                'ahead' if step > 0 else 'back',
            )

    def _unfinished(self) -> list[RoundView]:
        if news := self._lines.unfinished(self._version):
            self._version, self._rounds = news
        return self._rounds

    def _end_rounds(self, now: float) -> None:
        if any(view.ends is not None and now >= view.ends + view.rules.settle for view in self._unfinished()):
            for view in self._lines.finish_due(now):
                logger.info(
                    'round %d of line %r is final: %d entries, %d won', view.number, view.line, view.entries, view.won
                )

    def _beat(self, now: float, steady: float) -> None:
        if steady < self._beats_at or not any(view.state_at(now) == 'open' for view in self._rounds):
            return
        ago = now - self._lines.beaten()
        if abs(ago) >= BEAT:  # or the clock that showed it was set
            self._lines.beat(now)
            ago = 0.0
        self._beats_at = steady + BEAT - max(ago, 0.0)
