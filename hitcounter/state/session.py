"""A session: one thread's view of the database, as it was at one moment."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, TypeVar

import transaction
import ZODB
from transaction.interfaces import NoTransaction, TransientError
from ZODB.POSException import ConflictError, StorageError

from ..errors import OutcomeUnknown, ReadOnly, StateError, UpdateFailed
from .blame import blaming
from .marks import Marker, Voted
from .turn import Turn

R = TypeVar('R')

#: Times that `run` tries while other processes change the same objects.
ATTEMPTS = 100


class Session:
    """Shows the database as it was when it was opened or last refreshed; what others commit does not show.

    It is for reading: to change an object is an error at the very line that tries, ReadOnly.
    """

    def __init__(self, database: ZODB.DB) -> None:
        if not isinstance(database, ZODB.DB):
            raise TypeError(f"{database!r} is not ZODB's own database: give the db of an open one, as in database.db")
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
        """The top mapping of the database. Raises ComponentError or DatabaseRefused if it cannot be loaded."""
        root = self._connection.root()
        if root._p_changed is None:  # it is yet to be loaded
            with blaming('the root of the database cannot be read'):
                root._p_activate()
        return root

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
        try:
            self._transactions.begin()
        finally:  # there is one, even if the storage went away meanwhile
            current = self._transactions.get()
            self._join = current.join
            current.join = self._take_change

    def _end(self) -> None:
        with suppress(NoTransaction):  # the last was committed, and the storage away when the next was to begin
            self._transactions.abort()
        if self.is_changed:  # a BTree changes itself first and asks then: let go of such objects
            self._connection.cacheMinimize()
        self.is_changed = False

    def _take_change(self, _: Any) -> None:
        self.is_changed = True
        raise ReadOnly('this may only read: change the state in an update, or in a session that may write')


class _NotStored(TransientError):
    """The storage went away while it stored, and came back without."""


class WritingSession(Session):
    """A session that may change objects, and then commits or aborts.

    `turn` and `is_remote` are what the Database says of itself.
    """

    _marker: Marker | None = None

    def __init__(self, database: ZODB.DB, *, turn: Turn | None = None, is_remote: bool = False) -> None:
        self._turn = turn or nullcontext()
        super().__init__(database)
        if is_remote:
            self._marker = Marker(self._transactions, self._connection)

    def run(self, function: Callable[[Any], R]) -> R:
        """Call `function(root)`, commit what it changed, and return what it returned.

        It is called again from the start when another process changed the same objects meanwhile, and so must do
        nothing but change them. Raises UpdateFailed if that happened too often, and what `function` raised.
        """
        if self.is_changed:
            raise StateError('there are changes that were not committed: commit or abort them first')
        for _ in range(ATTEMPTS):
            with self._turn, self._forgetting():
                self.abort()
                try:
                    result = function(self.root)
                    self._commit()
                    return result
                except TransientError:
                    continue
                except BaseException:
                    self._abort_if_possible()
                    raise
        self.abort()
        raise UpdateFailed(f'other processes changed the same objects {ATTEMPTS} times: try again later')

    def commit(self) -> None:
        """Store the changes. Raises UpdateFailed when another process changed the same objects first.

        Then they are forgotten, as they are when the storage went away before it had stored them. Raises
        OutcomeUnknown when it went away while it stored, and cannot be asked whether it did.
        """
        with self._turn, self._forgetting():
            self._commit()

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """Forget the changes after an error of the storage, and say what became of them."""
        try:
            yield
        except ConflictError as error:
            self._abort_if_possible()
            raise UpdateFailed('another process changed the same objects: nothing was stored, do it again') from error
        except (OSError, StorageError, TransientError) as error:
            self._abort_if_possible()
            raise UpdateFailed(f'nothing was stored ({error}): do it again') from error
        except OutcomeUnknown:
            self._abort_if_possible()
            raise

    def _abort_if_possible(self) -> None:
        with suppress(Exception):  # the next use tells that the storage is still away
            self.abort()

    def _commit(self) -> None:
        """Store the changes, or raise an error: then nothing was stored, but after OutcomeUnknown perhaps."""
        if self._marker is not None and self.is_changed:
            self._marker.mark()
        voted = Voted()
        self._join(voted)
        try:
            self._transactions.commit()
        except BaseException as error:
            if not voted.passed:
                raise
            if not self._was_stored(error):
                raise _NotStored(*error.args) from error
        self.is_changed = False
        with suppress(Exception):  # it is stored; the next use tells that the storage went away since
            self._begin()

    def _was_stored(self, error: BaseException) -> bool:
        if self._marker is None:
            raise OutcomeUnknown(f'the storage failed while it stored: {error}') from error
        return self._marker.was_stored()

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

    def close(self) -> None:
        """Give the connection back; changes that were not committed are forgotten."""
        try:
            self._end()
            if self._marker is not None:
                self._marker.remove()
        finally:
            self._connection.close()

    def _take_change(self, resource: Any) -> None:
        self.is_changed = True
        self._join(resource)
