"""Packing: a database without the history, and the objects, that nobody needs any more."""

import logging
import os
import time
from contextlib import closing
from datetime import UTC, datetime

from persistent.TimeStamp import TimeStamp
from transaction.interfaces import TransientError
from ZODB.POSException import StorageError
from ZODB.serialize import referencesf
from ZODB.utils import z64

from ... import errors
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

    ZODB gives each transaction a later time than the one before: once the clock was ahead, all later ones are, too.
    """
    last = database.db.storage.lastTransaction()
    when = float(TimeStamp(last).timeTime()) if last != z64 else 0.0
    return when if when > time.time() + _AHEAD else None


def check_clock(database: Database) -> None:
    """Raise ClockAhead if the time of the last transaction is in the future."""
    when = to_come(database)
    if when is not None:
        raise ClockAhead(
            f'{database.description} has transactions until {datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M:%S} UTC, '
            f'because the clock was ahead or is behind now: until then nothing can be packed, unless nothing of the '
            f'history is kept'
        )


def pack(database: Database, keep: float) -> PackStamp:
    """Remove what the database was more than `keep` seconds ago; others may go on writing to it.

    If a process shares the database, that one packs it. Raises PackFailed, of which PackMetDamage and ClockAhead are
    some, or NoRoom, or StateClosed if the database is closed meanwhile; then it is as it was.
    """
    before, started = _size(database), time.time()
    if keep:
        check_clock(database)
    until = started - keep if keep else max(started, 1.0 + (to_come(database) or 0.0))
    try:
        refusal = database.db.storage.pack(max(0.0, until), referencesf)
        if refusal:  # by the server that shares it
            kind, message = refusal
            raise getattr(errors, kind)(message)
    except StateError:
        raise
    except TransientError as error:
        raise PackFailed(
            f'{database.description} went away while it was packed ({error}): its status shows when it was last packed'
        ) from error
    except (StorageError, OSError) as error:
        raise PackFailed(f'{database.description} was not packed and is as it was ({error}): do it later') from error
    now = time.time()
    return PackStamp(now, before, _size(database), now - started)


def pack_if_due(database: Database, every: float, keep: float) -> None:
    """Pack the database file if that was last done `every` seconds ago, or the file is twice as large since."""
    assert database.path is not None
    last = PackStamp.read(database.path)
    since = last.time if last else _begin(database)
    size = max(SMALL, last.after if last else 0)
    if not 0 <= time.time() - since < every or _size(database) >= 2 * size:
        try:
            pack(database, keep)
        except StateClosed as error:
            logger.info('%s', error)


def _size(database: Database) -> int:
    return os.path.getsize(database.path) if database.path else int(database.db.getSize())


def _begin(database: Database) -> float:
    """When the first transaction was stored."""
    with closing(database.db.storage.iterator()) as transactions:
        for found in transactions:
            return float(TimeStamp(found.tid).timeTime())
    return time.time()
