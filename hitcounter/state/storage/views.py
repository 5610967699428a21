"""One storage under several databases: each has a view, through which it learns what the others commit.

A storage such as ZODB's FileStorage reports only to the committing database which objects a transaction
changed. Two databases on it would lose no update, but each would go on reading its own cache. A view notes
what passes through it, and invalidates these objects in the databases on the other views while the storage
still holds its locks, so that no transaction can begin in between and read old state.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ZODB.blob import copyTransactionsFromTo
from zope.interface import directlyProvides, providedBy


class Views:
    """The views of one storage; whoever opened the storage closes it."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage
        self._lock = threading.Lock()  # owns _databases
        self._databases: dict[View, Any] = {}

    def open(self) -> View:
        """Another view, for one more database."""
        return View(self._storage, self)

    def register(self, view: View, database: Any) -> None:
        with self._lock:
            self._databases[view] = database

    def unregister(self, view: View) -> None:
        """Stop invalidating objects in the view's database; after this returns, no thread is still doing so."""
        with self._lock:
            self._databases.pop(view, None)

    def invalidate_others(self, view: View, tid: bytes, oids: set[bytes]) -> None:
        with self._lock:
            for other, database in self._databases.items():
                if other is not view:
                    # A list, because ZEO sends it on to its clients, which refuse to unpickle a set.
                    database.invalidate(tid, list(oids))


class View:
    """One database's view of a storage: it does what the storage does, and invalidates objects in other databases."""

    def __init__(self, storage: Any, views: Views) -> None:
        self._storage = storage
        self._views = views
        self._stored: set[bytes] = set()  # owned by whoever holds the storage's commit lock
        directlyProvides(self, providedBy(storage))

    def __getattr__(self, name: str) -> Any:  # whatever storages offer, and databases ask for
        return getattr(self._storage, name)

    def __len__(self) -> int:
        return len(self._storage)

    def registerDB(self, database: Any) -> None:
        self._storage.registerDB(database)
        self._views.register(self, database)

    def close(self) -> None:
        self._views.unregister(self)

    def tpc_begin(self, transaction: Any, *tid_and_status: Any) -> None:
        self._storage.tpc_begin(transaction, *tid_and_status)
        self._stored = set()

    def store(self, oid: bytes, *revision: Any) -> None:
        self._storage.store(oid, *revision)
        self._stored.add(oid)

    def storeBlob(self, oid: bytes, *revision: Any) -> None:
        self._storage.storeBlob(oid, *revision)
        self._stored.add(oid)

    def restore(self, oid: bytes, *revision: Any) -> None:
        self._storage.restore(oid, *revision)
        self._stored.add(oid)

    def restoreBlob(self, oid: bytes, *revision: Any) -> None:
        self._storage.restoreBlob(oid, *revision)
        self._stored.add(oid)

    def deleteObject(self, oid: bytes, *revision: Any) -> None:
        self._storage.deleteObject(oid, *revision)
        self._stored.add(oid)

    def undo(self, transaction_id: bytes, transaction: Any) -> tuple[bytes, list[bytes]]:
        tid, oids = self._storage.undo(transaction_id, transaction)
        self._stored.update(oids)
        return tid, list(oids)

    def tpc_vote(self, transaction: Any) -> Any:
        resolved = self._storage.tpc_vote(transaction)
        self._stored.update(resolved or ())
        return resolved

    def tpc_finish(self, transaction: Any, committing: Callable[[bytes], object] | None = None) -> bytes:
        def invalidate(tid: bytes) -> None:
            if committing is not None:
                committing(tid)
            self._views.invalidate_others(self, tid, self._stored)

        tid: bytes = self._storage.tpc_finish(transaction, invalidate)
        return tid

    def copyTransactionsFrom(self, source: Any) -> None:
        """Copy through this view: the storage's own method would commit past it, and invalidate nothing."""
        copyTransactionsFromTo(source, self)
