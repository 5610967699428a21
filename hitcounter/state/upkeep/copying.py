"""Copying all that a database stores to another kind of storage, and comparing the copy with the original."""

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from transaction.interfaces import TransactionError
from ZODB.POSException import POSError
from ZODB.utils import u64
from zope.interface import directlyProvides, providedBy

from ...errors import RESTORE, CopyFailed
from ..model.component import Component
from ..storage.database import Database
from ..storage.kind import Filling
from ..transactions.connection import ReadConnection
from .verification import Verdict, findings


class Copied(NamedTuple):
    """What was copied and compared."""

    objects: int
    #: How long that took.
    seconds: float


def copy(source: Database, target: Filling, progress: Callable[[int], object]) -> Copied:
    """Copy all that `source` stores to `target`, then compare them object by object; no process may write to either.

    The history is copied as well if both keep one. `progress` is called with how many records of `source` were read so
    far: some are read twice, to copy and to compare them. Raises CopyFailed.
    """
    began = time.monotonic()
    read = itertools.count(1)

    def reach() -> None:
        progress(next(read))

    _refuse_damaged(source)
    try:
        target.storage.copyTransactionsFrom(_Watched(source.db.storage, reach))
    except (POSError, OSError, TransactionError) as error:
        raise CopyFailed(f'{source.place} was not copied ({error}): remove the cause, and copy again') from error
    with target.open() as copied:
        _compare_history(source, copied)
        objects = _compare_objects(source, copied, reach)
        _compare_checks(source, copied)
    return Copied(objects, time.monotonic() - began)


def _refuse_damaged(source: Database) -> None:
    for verdict, sentence in findings(source):
        if verdict in (Verdict.DAMAGE, Verdict.DISK):
            raise CopyFailed(f'{source.place} was not copied, because it is damaged ({sentence}): {RESTORE}')


class _Watched:
    """A storage that calls `reach` for each record that is copied from it, or transaction."""

    def __init__(self, storage: Any, reach: Callable[[], object]) -> None:
        self._copied = storage
        self._reach = reach
        directlyProvides(self, providedBy(storage))

    def __getattr__(self, name: str) -> Any:  # whatever else a copy asks for
        return getattr(self._copied, name)

    def __len__(self) -> int:
        return len(self._copied)

    def iterator(self, *limits: Any) -> Iterator[Any]:
        for found in self._copied.iterator(*limits):
            yield found
            self._reach()

    def record_iternext(self, position: Any = None) -> Any:
        found = self._copied.record_iternext(position)
        self._reach()
        return found


def _compare_history(source: Database, copied: Database) -> None:
    pairs = itertools.zip_longest(source.transactions(), copied.transactions())
    for number, (one, other) in enumerate(pairs):
        if number == 0 and (one is None or other is None):  # one of them lists none
            return
        if one is None or other is None or _said(one) != _said(other):
            found = one or other
            raise CopyFailed(f'transaction {found.tid.hex()} is not the same in the copy: copy again')


def _said(found: Any) -> tuple[bytes, bytes, bytes]:
    return found.tid, found.user, found.description


def _compare_objects(source: Database, copied: Database, reach: Callable[[], object]) -> int:
    """How many objects there are; each is the same in both."""
    count = 0
    for one, other in itertools.zip_longest(_records(source), _records(copied)):
        if one != other:
            oid = u64((one or other)[0])
            raise CopyFailed(f'object {oid:#x} of {source.place} is not in the copy as it was stored: copy again')
        reach()
        count += 1
    return count


def _records(database: Database) -> Iterator[tuple[bytes, bytes]]:
    for oid, record in database.records():
        if isinstance(record, Exception):
            raise CopyFailed(f'object {u64(oid):#x} of {database.place} cannot be read ({record}): verify it first')
        if record:  # what an undo took back has none
            yield oid, bytes(record)


def _compare_checks(source: Database, copied: Database) -> None:
    """Let each component check itself in both."""
    before, after = _checks(source), _checks(copied)
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            raise CopyFailed(
                f'the component {name!r} does not agree with itself in the copy as it does in {source.place}: verify '
                f'both databases'
            )


def _checks(database: Database) -> dict[str, list[str]]:
    with ReadConnection(database.db) as session:
        return {name: [*part.check()] for name, part in session.root.items() if isinstance(part, Component)}
