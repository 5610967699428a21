"""A session: one thread's view of the database, as it was at one moment."""

from typing import Any

import transaction
import ZODB
from ZODB.POSException import ConflictError

from ..errors import ReadOnly, UpdateFailed


class Session:
    """Shows the database as it was when it was opened or last refreshed; what others commit does not show.

    It is for reading: to change an object is an error at the very line that tries, ReadOnly.
    """

    def __init__(self, database: ZODB.DB) -> None:
        self._transactions = transaction.TransactionManager(explicit=True)
        self._connection = database.open(transaction_manager=self._transactions)
        #: True once an object was changed, or was to be.
        self.is_changed = False
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    @property
    def root(self) -> Any:
        """The top mapping of the database."""
        return self._connection.root()

    def refresh(self) -> None:
        """See what others have committed."""
        self._end()
        self._begin()

    def let_go(self) -> None:
        """Keep no more objects in memory than the cache may hold; for who reads very many."""
        self._connection.cacheGC()

    def close(self) -> None:
        """Give the connection back; changes that were not committed are forgotten."""
        try:
            self._end()
        finally:
            self._connection.close()

    def _begin(self) -> None:
        # A transaction learns of the first change when the connection joins it.
        current = self._transactions.begin()
        self._join = current.join
        current.join = self._take_change

    def _end(self) -> None:
        self._transactions.abort()
        if self.is_changed:  # a BTree changes itself first and asks then: let go of such objects
            self._connection.cacheMinimize()
        self.is_changed = False

    def _take_change(self, _: Any) -> None:
        self.is_changed = True
        raise ReadOnly('this may only read: change the state in an update, or in a session that may write')


class WritingSession(Session):
    """A session that may change objects, and then commits or aborts."""

    def commit(self) -> None:
        """Store the changes. Raises UpdateFailed when another process changed the same objects first."""
        try:
            self._transactions.commit()
        except ConflictError as error:
            self.abort()
            raise UpdateFailed('another process changed the same objects: nothing was stored, do it again') from error
        self.is_changed = False
        self._begin()

    def describe(self, user: str, description: str) -> None:
        """Name who is about to commit, and what, in the database's history."""
        current = self._transactions.get()
        current.user = user
        current.description = description

    def abort(self) -> None:
        """Forget the changes, and see what others have committed."""
        super().refresh()

    def refresh(self) -> None:
        """See what others have committed, unless there are changes that this would forget."""
        if not self.is_changed:
            super().refresh()

    def _take_change(self, resource: Any) -> None:
        self.is_changed = True
        self._join(resource)
