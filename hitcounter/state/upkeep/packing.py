"""Packing: removing the history and the objects of a database that nobody needs any more."""

import logging
import time
from datetime import UTC, datetime

from persistent.TimeStamp import TimeStamp
from transaction.interfaces import TransientError
from ZODB.POSException import StorageError
from ZODB.utils import z64

from ...errors import ClockAhead, PackFailed, StateClosed, StateError
from ..storage.database import Database
from ..storage.stamps import PackStamp

logger = logging.getLogger(__name__)

#: Bytes up to which a file may grow without being packed for its size.
SMALL = 16 * 1024 * 1024

#: Seconds by which the last transaction may be ahead of the clock, which may have been set back a little.
_AHEAD = 60.0


def to_come(database: Database) -> float | None:
    """The time of the last transaction, in seconds since 1970, UTC, if the clock has not reached it; otherwise None.

    ZODB gives each transaction a later time than the one before: once the clock was ahead, so are all later ones.
    """
    last = database.db.storage.lastTransaction()
    when = float(TimeStamp(last).timeTime()) if last != z64 else 0.0
    return when if when > time.time() + _AHEAD else None


def check_clock(database: Database) -> None:
    """Raise ClockAhead if the time of the last transaction is in the future."""
    when = to_come(database)
    if when is not None:
        raise ClockAhead(
            f'{database.description} has transactions until {with_cause(when)}: until then nothing can be packed, '
            f'unless nothing of the history is kept'
        )


def with_cause(when: float) -> str:
    """What `to_come` returned, as text, and why it is in the future."""
    return f'{datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M:%S} UTC, because the clock was ahead or is behind now'


def pack(database: Database, keep: float) -> PackStamp:
    """Remove states of the database older than `keep` seconds; others may go on writing to it.

    If a process shares the database, that one packs it. Raises PackFailed, of which PackMetDamage and ClockAhead are
    kinds, or NoRoom, or StateClosed if the database is closed meanwhile; then it is as it was.
    """
    before, started = database.size, time.time()
    if keep:
        check_clock(database)
    until = started - keep if keep else max(started, 1.0 + (to_come(database) or 0.0))
    try:
        database.pack(max(0.0, until))
    except StateError:
        raise
    except TransientError as error:
        raise PackFailed(
            f'{database.description} went away while it was packed ({error}): its status shows when it was last packed'
        ) from error
    except (StorageError, OSError) as error:
        raise PackFailed(f'{database.description} was not packed and is as it was ({error}): do it later') from error
    now = time.time()
    return PackStamp(now, before, database.size, now - started)


def pack_if_due(database: Database, every: float, keep: float) -> None:
    """Pack the database if that was last done `every` seconds ago, or it is twice as large since.

    Raises PackFailed, also if its storage is away.
    """
    try:
        with database.packing() as is_ours:
            if is_ours and _is_due(database, every):
                pack(database, keep)
    except StateClosed as error:
        logger.info('%s', error)
    except StorageError as error:
        raise PackFailed(f'{database.description} does not answer when it was last packed ({error})') from error


def _is_due(database: Database, every: float) -> bool:
    last = database.stamp(PackStamp)
    since = last.time if last else database.began or time.time()
    size = max(SMALL, last.after if last else 0)
    return not 0 <= time.time() - since < every or database.size >= 2 * size
