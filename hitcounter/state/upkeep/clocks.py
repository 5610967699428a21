"""This machine's clock beside that of a database on another one: deadlines mean the same to both only if they agree."""

import logging

from ZODB.POSException import StorageError

from ..storage.away import reading
from ..storage.database import Database

logger = logging.getLogger(__name__)

#: Seconds by which the two may differ.
MOST_SKEW = 0.5


def why_skewed(database: Database) -> str:
    """By how much this machine's clock and the database's differ, and what to do; empty if that is at most MOST_SKEW.

    A database on this machine goes by the same clock. Raises StateUnavailable if the database is away.
    """
    if not database.has_clock:
        return ''
    with reading():
        skew = database.clock_skew()
    return '' if _is_small(skew) else _warning(database, skew)


class ClockLog:
    """Compares the two clocks, and logs the first comparison and each that crosses MOST_SKEW."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._was_small: bool | None = None

    def compare(self) -> None:
        """Compare them now, unless the database is away, which those who use it report."""
        try:
            skew = self._database.clock_skew()
        except StorageError:
            return
        is_small = _is_small(skew)
        if is_small == self._was_small:
            return
        self._was_small = is_small
        if is_small:
            logger.info('%s', _difference(self._database, skew))
        else:
            logger.warning('%s', _warning(self._database, skew))


def _is_small(skew: float | None) -> bool:
    return skew is not None and abs(skew) <= MOST_SKEW


def _warning(database: Database, skew: float | None) -> str:
    return f'{_difference(database, skew)}: run chrony or systemd-timesyncd on both machines'


def _difference(database: Database, skew: float | None) -> str:
    if skew is None:
        return f'the clock of {database.place} cannot be compared with that of this machine: it answers too slowly'
    side = 'ahead of' if skew > 0 else 'behind'
    return f'the clock of this machine is {abs(skew):.3f} s {side} that of {database.place}'
