"""RelStorage with a door of its own: no error of the driver passes it, only those that all storages have."""

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from relstorage.adapters.interfaces import ReplicaClosedException
from relstorage.storage import RelStorage
from ZODB.POSException import StorageError

from ..away import StorageAway

#: What ZODB calls, and what we do.
_DOOR = (
    'load', 'loadBefore', 'loadSerial', 'loadBlob', 'openCommittedBlobFile', 'prefetch', 'getTid', 'history',
    'undoLog', 'undoInfo', 'undo', 'tpc_begin', 'store', 'storeBlob', 'restore', 'restoreBlob', 'deleteObject',
    'checkCurrentSerialInTransaction', 'tpc_vote', 'tpc_finish', 'tpc_abort', 'new_oid', 'lastTransaction', 'sync',
    'poll_invalidations', 'record_iternext', 'iterator', 'pack', 'getSize', 'close', 'release',
)  # fmt: skip

_LOST = (psycopg2.OperationalError, psycopg2.InterfaceError, ReplicaClosedException)

_OURS_TO_LOG = ('relstorage', 'perfmetrics')


class Storage(RelStorage):
    """RelStorage whose errors are StorageAway, or another StorageError."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        quieten()
        super().__init__(*arguments, **keywords)
        for name in _DOOR:
            if hasattr(self, name):
                setattr(self, name, _translated(getattr(self, name)))


def quieten() -> None:
    """Keep RelStorage from logging a traceback for each error, which we report ourselves."""
    for name in _OURS_TO_LOG:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _translated(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*arguments: Any, **keywords: Any) -> Any:
        with translating():
            return method(*arguments, **keywords)

    return call


@contextmanager
def translating() -> Iterator[None]:
    """Raise StorageAway or StorageError in place of an error of the driver."""
    try:
        yield
    except _LOST as error:
        raise StorageAway(_text(error)) from error
    except psycopg2.InternalError as error:
        if error.pgcode == '25006':  # read_only_sql_transaction: the primary is a standby now
            raise StorageAway(_text(error)) from error
        raise StorageError(_text(error)) from error
    except psycopg2.Error as error:
        raise StorageError(_text(error)) from error


def _text(error: BaseException) -> str:
    return ' '.join(str(error).split()) or type(error).__name__
