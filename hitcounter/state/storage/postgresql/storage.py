"""RelStorage with a door of its own: no error of the driver passes it, only those that all storages have."""

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import psycopg2
from relstorage.adapters.interfaces import ReplicaClosedException
from relstorage.storage import RelStorage
from relstorage.storage.transaction_iterator import RelStorageTransactionRecord
from ZODB.POSException import StorageError

from ..away import StorageAway

#: What ZODB calls, and what we do.
_DOOR = (
    'load', 'loadBefore', 'loadSerial', 'loadBlob', 'openCommittedBlobFile', 'prefetch', 'getTid', 'history',
    'undoLog', 'undoInfo', 'undo', 'tpc_begin', 'store', 'storeBlob', 'restore', 'restoreBlob', 'deleteObject',
    'checkCurrentSerialInTransaction', 'tpc_vote', 'tpc_finish', 'tpc_abort', 'new_oid', 'lastTransaction', 'sync',
    'afterCompletion', 'poll_invalidations', 'record_iternext', 'pack', 'getSize', 'close', 'release',
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

    def tpc_finish(self, transaction: Any, f: Any = None) -> bytes:
        tid: bytes = super().tpc_finish(transaction, f)
        self._adapter.connmanager.driver.primaries.saw(tid)
        return tid

    def iterator(self, start: bytes | None = None, stop: bytes | None = None) -> 'Transactions':
        with translating():
            return Transactions(super().iterator(start, stop))


class Transactions:
    """Those that an iterator of RelStorage finds."""

    def __init__(self, found: Any) -> None:
        self._found = found

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> 'Transactions':
        return self

    def __next__(self) -> 'Transaction':
        with translating():
            found = next(self._found)
        found.__class__ = Transaction
        return cast(Transaction, found)

    def close(self) -> None:
        with translating():
            self._found.close()


class Transaction(RelStorageTransactionRecord):
    """One transaction, whose records are read when they are asked for."""

    def __iter__(self) -> Iterator[Any]:
        with translating():
            return cast(Iterator[Any], super().__iter__())


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
    """What the driver says, in one line, without the guesses that libpq indents ("Is the server running on ...?")."""
    said = [line for line in str(error).splitlines() if not line.startswith('\t')]
    return ' '.join(' '.join(said).split()) or type(error).__name__
