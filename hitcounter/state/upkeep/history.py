"""History: the transactions in a database, who stored what and when, and how one is undone."""

import re
from base64 import decodebytes, encodebytes
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, NamedTuple

import transaction
import ZODB
from persistent.TimeStamp import TimeStamp
from ZODB.broken import find_global
from ZODB.POSException import ConflictError, POSKeyError, ReadOnlyError, UndoError
from ZODB.utils import get_pickle_metadata, load_current

from ...errors import ReadOnly, StateError, UpdateFailed
from .. import journal
from ..model.blame import blaming
from ..storage.database import Database
from ..transactions.commit import NotStored, Raised, commit

#: What is said of a storage that keeps only what is stored now.
NO_HISTORY = 'this storage keeps no history: it has no earlier transactions to show or undo'


class Transaction(NamedTuple):
    """One transaction that was stored."""

    #: 16 hexadecimal digits, by which `undo` knows it.
    id: str
    #: When it was stored, UTC.
    time: datetime
    #: Who stored it; empty if that was the server.
    user: str
    #: What it was.
    description: str
    #: Its bytes in the storage; of an object's history, those of the object alone; None if the storage does not say.
    size: int | None

    def __str__(self) -> str:
        user = self.user or '-'
        size = '-' if self.size is None else f'{self.size:,}'
        return f'{self.id}  {self.time:%Y-%m-%d %H:%M:%S}  {user:8}  {size:>9}  {self.description}'


#: What the columns of a transaction are.
_HEADING = f'{"id":16}  {"time (UTC)":19}  {"user":8}  {"bytes":>9}  what'


class Transactions(tuple[Transaction, ...]):
    """Transactions, newest first; as text, one per line, and at a prompt below a heading."""

    __slots__ = ()

    def __str__(self) -> str:
        return '\n'.join(str(one) for one in self)

    def __repr__(self) -> str:
        return f'{_HEADING}\n{self}' if self else 'no transactions'


def transactions(database: ZODB.DB, count: int) -> Transactions:
    """The last `count` transactions, back to the last pack. Raises StateError for a count that is not one."""
    _check_count(count)
    if not database.supportsUndo():
        raise StateError(NO_HISTORY)
    return Transactions(_transaction(decodebytes(entry['id']), entry) for entry in database.undoLog(0, count))


def history(database: ZODB.DB, thing: Any, count: int) -> Transactions:
    """The last `count` transactions that changed `thing`, an object of the database, but not the objects within it.

    Raises StateError for a count that is not one, and for what is not stored as an object of its own.
    """
    _check_count(count)
    oid = getattr(thing, '_p_oid', None)
    if oid is None:
        raise StateError(f'{type(thing).__name__} is not stored as an object of its own: ask for the one that holds it')
    try:
        return Transactions(_transaction(entry['tid'], entry) for entry in database.history(oid, count))
    except POSKeyError:  # it is not committed yet
        return Transactions()


def _check_count(count: object) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise StateError(f'{count!r} is not a number of transactions: give one such as 20')


def undo(database: Database, id: str, user: str) -> str:
    """Undo what the transaction `id` changed, in a further transaction, which can itself be undone.

    Returns the description of the further transaction.

    Raises UpdateFailed if there is no such transaction, a later one built on it, or it changed a journal.
    """
    if not re.fullmatch('[0-9a-f]{16}', id):
        raise StateError(f'{id!r} is not the id of a transaction: take one that transactions() shows')
    if not database.db.supportsUndo():
        raise StateError(NO_HISTORY)
    tid = bytes.fromhex(id)
    manager = transaction.TransactionManager()
    current = manager.begin()
    current.user = user
    current.description = described = f'undo of {id}: {_description(database, tid)}'
    database.db.undo(encodebytes(tid).rstrip(), current)
    try:
        commit(manager, f'the undo of {id}')
    except NotStored as error:
        raise _refused(id, error) from error.__cause__
    except ConflictError as error:
        raise _built_on(id) from error
    except Raised as error:
        raise _built_on(id) if isinstance(error.error, UndoError) else error.error from error
    finally:
        manager.abort()
    return described


def _refused(id: str, error: NotStored) -> StateError:
    if isinstance(error.__cause__, ReadOnlyError):
        return ReadOnly(f'transaction {id} cannot be undone here: open the database for writing')
    return UpdateFailed(f'transaction {id} was not undone ({error}): do it again')


def _description(database: Database, tid: bytes) -> str:
    """What the transaction was. Raises UpdateFailed if it cannot be undone without harm."""
    with closing(database.transactions(tid, tid)) as found:
        for stored in found:
            for record in stored:
                _check(database.db, record)
            return _text(stored.description)
    raise UpdateFailed(f'there is no transaction {tid.hex()}: take one that transactions() shows')


def _check(database: ZODB.DB, record: Any) -> None:
    """Raise UpdateFailed if the change of one object cannot be undone, before a server would log that as an error."""
    module, name = get_pickle_metadata(record.data) if record.data else ('', '')
    if module == journal.__name__:
        raise UpdateFailed(
            f'transaction {record.tid.hex()} was not undone because it changed a journal, and its '
            f'numbers would be given out again: leave it as it is'
        )
    try:
        _, current = load_current(database.storage, record.oid)
    except POSKeyError:  # an undo removed it again
        return
    with blaming(f'transaction {record.tid.hex()} was not undone'):
        kind = find_global(module, name)
    if current != record.tid and not hasattr(kind, '_p_resolveConflict'):
        raise _built_on(record.tid.hex())


def _built_on(id: str) -> UpdateFailed:
    return UpdateFailed(
        f'transaction {id} was not undone because later ones built on it, or a pack removed the state before it: '
        f'undo the later ones first, or change the objects by hand'
    )


def _transaction(tid: bytes, entry: dict[str, Any]) -> Transaction:
    return Transaction(
        tid.hex(),
        datetime.fromtimestamp(TimeStamp(tid).timeTime(), UTC),
        _text(entry['user_name']).strip(),
        _text(entry['description']),
        entry.get('size'),
    )


def _text(stored: str | bytes) -> str:
    return stored if isinstance(stored, str) else stored.decode('utf-8', 'backslashreplace')
