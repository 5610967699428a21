"""Connections: each shows one thread the database as it was at one moment."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from typing import Any, Self, TypeVar

import transaction
import ZODB
from transaction.interfaces import NoTransaction, TransientError
from ZODB.POSException import ConflictError, StorageError

from ...errors import Interrupted, ReadOnly, StateError, StateUnavailable, UpdateFailed
from ..model.blame import blaming
from ..model.plain import plain
from ..storage.away import is_away, reading
from ..storage.turn import Advice, NoTurn, Turn
from .commit import (
    CUT_OFF,
    NotBegun,
    NotStored,
    Raised,
    Retries,
    commit,
    given_up,
    guests_of,
    is_of_storage,
    refuse_within,
)
from .marker import Marker

R = TypeVar('R')


class ReadConnection:
    """Shows the database as it was when this was opened or last refreshed; later commits by others do not show.

    It is for reading: changing an object raises ReadOnly, at the very line that tries. Opening or refreshing it raises
    StateUnavailable while the storage is away.
    """

    def __init__(self, database: ZODB.DB) -> None:
        if not isinstance(database, ZODB.DB):
            raise TypeError(f"{database!r} is not ZODB's own database: give the db of an open one, as in database.db")
        self._database = database
        self._transactions = transaction.TransactionManager(explicit=True)
        with reading():
            self._connection = _reached(partial(database.open, transaction_manager=self._transactions))
        #: True once an object was changed, or code tried to change one.
        self.is_changed = False
        try:
            with reading():
                _reached(self._begin, self._end)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        name = self._database.storage.getName() or 'a database in memory'
        return f'<{type(self).__name__} on {name}{", changed" if self.is_changed else ""}>'

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def root(self) -> Any:
        """The top mapping of the database. Raises ComponentError or DatabaseRefused if it cannot be loaded."""
        root = self._connection.root()
        if root._p_changed is None:  # it is not loaded yet
            with blaming('the root of the database cannot be read'):
                root._p_activate()
        return root

    def ask(self, function: Callable[..., R], label: str, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> R:
        """What `function` returns for the root and the arguments: plain values, or StateError is raised."""
        return plain(function(self.root, *arguments, **keywords), label)

    def refresh(self) -> None:
        """See what others have committed."""
        with reading():
            self._end()
            _reached(self._begin, self._end)

    def trim_cache(self) -> None:
        """Keep no more objects in memory than the cache may hold; for code that reads very many."""
        self._connection.cacheGC()

    def close(self) -> None:
        """Give the connection back; changes that were not committed are discarded."""
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
        with suppress(NoTransaction):  # the last one was committed, and the storage was away before the next began
            self._transactions.abort()
        if self.is_changed:  # a BTree changes itself first and asks afterwards: drop such objects
            self._connection.cacheMinimize()
        self.is_changed = False

    def _take_change(self, _: Any) -> None:
        self.is_changed = True
        raise ReadOnly('this connection only reads: change the state in an update, or with a connection that may write')


class WriteConnection(ReadConnection):
    """A connection that may change objects, and then commits or aborts.

    `turn` and `is_remote` are what the Database says of itself; closing the connection closes the turn.
    """

    _marker: Marker | None = None

    def __init__(self, database: ZODB.DB, *, turn: Turn | None = None, is_remote: bool = False) -> None:
        with ExitStack() as opened:
            self._turn = opened.enter_context(closing(Advice(turn or NoTurn())))
            super().__init__(database)
            if is_remote:
                self._marker = Marker(self._transactions, self._connection)
            opened.pop_all()

    def run(self, function: Callable[[Any], R]) -> R:
        """Call `function(root)`, commit what it changed, and return what it returned.

        It is called again from the start when another process changed the same objects meanwhile, and so must do
        nothing but change them. Raises what `function` raised, UpdateFailed if the storage did not take the changes or
        others were first for RETRY_TIMEOUT seconds, OutcomeUnknown as `commit` does. After an error the changes are
        discarded.
        """
        refuse_within(
            self._database, 'the run of a connection', 'which may run again, and then it would be stored again'
        )
        if self.is_changed:
            raise StateError('there are changes that were not committed: commit or abort them first')
        retries = Retries()
        while True:
            try:
                return self._run(function)
            except TransientError as error:
                if not retries.pause():
                    raise _given_up(error) from error
            except Raised as error:
                raised = error.error
                if not (is_of_storage(raised) and retries.pause()):
                    break
        raise _given_up(raised) if is_of_storage(raised) else raised

    def _run(self, function: Callable[[Any], R]) -> R:
        with self._turn, self._beginning_again():
            try:
                self._begin_again()
                with guests_of(self._database):
                    result = _called(function, self._connection.root())
                self._commit()
                return result
            except NotStored as error:
                raise UpdateFailed(f'nothing was stored ({error}): do it again') from error.__cause__

    def commit(self) -> None:
        """Store the changes. Raises UpdateFailed when another process changed the same objects first.

        The changes are discarded then, and also if the storage goes away before storing them. Raises OutcomeUnknown
        when it goes away while it stores, and cannot be asked whether it did; Interrupted after Ctrl-C.
        """
        try:
            with self._turn, self._beginning_again():
                self._commit()
            return
        except ConflictError as error:
            raise UpdateFailed('another process changed the same objects: nothing was stored, do it again') from error
        except (NotStored, TransientError) as error:
            raise UpdateFailed(f'nothing was stored ({error}): do it again') from error
        except Raised as error:
            raised = error.error
        raise raised

    @contextmanager
    def _beginning_again(self) -> Iterator[None]:
        """Discard what the block left, and begin again; after a Ctrl-C that cut the block short, the next use begins.

        A storage that did not answer the block would not answer now either.
        """
        try:
            yield
        except BaseException as error:
            if isinstance(error.__cause__, KeyboardInterrupt):
                with suppress(Exception):
                    self._end()
            else:
                self._abort_if_possible()
            raise
        try:
            self._abort_if_possible()
        except KeyboardInterrupt as error:
            raise Interrupted('the changes had been stored') from error

    def _abort_if_possible(self) -> None:
        with suppress(Exception):  # the next use says that the storage is still away
            self.abort()

    def _begin_again(self) -> None:
        try:
            self.abort()
        except StateUnavailable as error:
            raise NotBegun(error, is_certain=True) from error.__cause__
        except TransientError as error:
            raise NotBegun(error, is_certain=True) from error

    def _commit(self) -> None:
        commit(self._transactions, 'the changes', self._marker)
        self.is_changed = False

    def describe(self, user: str, description: str) -> None:
        """Name who is about to commit, and what, in the database's history."""
        current = self._transactions.get()
        current.user = user
        current.description = description

    def abort(self) -> None:
        """Discard the changes, and see what others have committed."""
        super().refresh()

    def refresh(self) -> None:
        """See what others have committed, unless there are changes that this would discard."""
        if not self.is_changed:
            super().refresh()

    def close(self) -> None:
        """Give the connection and the turn back; changes that were not committed are discarded."""
        with ExitStack() as ending:
            ending.callback(self._turn.close)
            ending.callback(super().close)
            if self._marker is not None:
                self._end()
                self._marker.remove()

    def _take_change(self, resource: Any) -> None:
        self.is_changed = True
        self._join(resource)


def _reached(function: Callable[[], R], end: Callable[[], object] = lambda: None) -> R:
    """What `function` returns. If the connection was lost just then, it is called again, after `end`."""
    started = time.monotonic()
    try:
        return function()
    except StorageError as error:
        if not is_away(error) or time.monotonic() - started > CUT_OFF:
            raise
    end()
    return function()


def _called(function: Callable[[Any], R], root: Any) -> R:
    try:
        return function(root)
    except KeyboardInterrupt as error:
        raise Interrupted('nothing was stored') from error
    except BaseException as error:  # noqa: BLE001 -- the function's own, whatever it is
        raise Raised(error) from None


def _given_up(error: BaseException) -> UpdateFailed:
    failed = UpdateFailed(f'nothing was stored, because {given_up(error)}: try again later')
    failed.__cause__ = error
    return failed
