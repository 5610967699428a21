"""Committing: the one way to do it, and what its errors mean, for all code that changes the database.

A guest is a function that others wrote. What it raises is its own error, whatever its type, and is carried in `Raised`
past the code that interprets errors of the storage. Only what ZODB raises while it begins or commits a transaction
says what became of it.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import Any, NoReturn

from transaction.interfaces import TransientError
from ZODB.POSException import ConflictError, StorageError

from ...errors import Interrupted, OutcomeUnknown, StateError
from .interrupts import put_off
from .marker import Marker

#: Seconds for which a transaction is retried while other processes change the same objects.
RETRY_TIMEOUT = 10.0

#: Seconds for which the updates of one transaction are retried if it is an update that raises an error by which a
#: storage asks for a retry. Other updates wait meanwhile.
GUEST_TIMEOUT = 1.0

#: If a transaction does not begin, and that took no more seconds than this, the connection was lost just then: retry.
CUT_OFF = 1.0

_LONGEST_PAUSE = 0.05


class Raised(Exception):
    """What a guest raised, as `error`."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


class NotStored(Exception):
    """The storage refused the transaction, and nothing of it is stored; the cause is the storage's error."""

    def __init__(self, error: BaseException, *, is_certain: bool) -> None:
        super().__init__(str(error))
        #: Whether the storage certainly raised it, rather than an object that was being pickled.
        self.is_certain = is_certain


class NotBegun(NotStored):
    """The storage could not be read, so that the transaction did not begin."""


class TakenBack(TransientError):
    """The time of some updates was over before the storage was asked to store them: the others are run again."""


class LookedUp(TransientError):
    """The storage went away while it stored the transaction, and came back without it."""


class Retries:
    """How long a transaction is retried, with a pause before each attempt."""

    def __init__(self) -> None:
        self._deadline = time.monotonic() + RETRY_TIMEOUT
        self._longest = 0.0

    @classmethod
    def of_guests(cls) -> 'Retries':
        """For updates that themselves raise the errors of a storage."""
        retries = cls()
        retries._deadline = time.monotonic() + GUEST_TIMEOUT
        return retries

    def pause(self) -> bool:
        """Wait a moment; return False if it is too late to try again."""
        if time.monotonic() > self._deadline:
            return False
        time.sleep(random.uniform(0, self._longest))
        self._longest = min(self._longest + 0.001, _LONGEST_PAUSE)
        return True


def given_up(error: BaseException) -> str:
    """Why a transaction is not retried any more, in a phrase."""
    if isinstance(error, ConflictError):
        return 'other processes changed the same objects each time'
    return f'it failed each time it was tried ({error})'


def is_of_storage(error: BaseException) -> bool:
    """Whether `error` is one by which a storage asks for a retry, which a guest may get when it loads an object."""
    return isinstance(error, ConflictError | LookedUp) or (
        isinstance(error, TransientError) and isinstance(error, StorageError)
    )


class _Phase(IntEnum):
    NEW = 0
    BEGUN = 1
    PICKLED = 2
    VOTED = 3
    FINISHED = 4


class _Progress:
    """A resource that takes part in each step of a commit after the storages, and so knows how far they got."""

    transaction_manager = None

    def __init__(self, before_the_end: Callable[[], object]) -> None:
        self.phase = _Phase.NEW
        self._before_the_end = before_the_end

    def sortKey(self) -> str:
        return '~'  # after every storage's

    def tpc_begin(self, _: object) -> None:
        self.phase = _Phase.BEGUN

    def commit(self, _: object) -> None:
        self.phase = _Phase.PICKLED

    def tpc_vote(self, _: object) -> None:
        self._before_the_end()
        self.phase = _Phase.VOTED

    def tpc_finish(self, _: object) -> None:
        self.phase = _Phase.FINISHED

    def _nothing(self, _: object) -> None:
        pass

    abort = tpc_abort = _nothing


def _go_on() -> None:
    """What a commit does before its last step if nobody can take it back."""


def commit(
    transactions: Any, what: str, marker: Marker | None = None, before_the_end: Callable[[], object] = _go_on
) -> None:
    """Commit the transaction of the manager `transactions`; when this returns, it is stored.

    Raises TransientError if it is not stored, and a retry may succeed; NotStored if the storage refused it; Raised for
    an error that is not the storage's, such as an object that cannot be pickled; OutcomeUnknown if the storage failed
    while it stored, and no `marker` can find out the outcome. The caller then aborts.

    `before_the_end` is called before the last step, from which on the outcome may be open. A TransientError from it
    keeps the transaction from being stored.

    Ctrl-C is put off until the commit has ended; Interrupted then says whether `what` was stored.
    """
    with put_off() as late:
        try:
            _commit(transactions, what, marker, before_the_end)
        except OutcomeUnknown as error:
            if late.came:
                raise _unknown(what) from error
            raise
        except Exception as error:
            if late.came:
                raise _not_stored(what) from error
            raise
    if late.came:
        raise _stored(what)


def _commit(transactions: Any, what: str, marker: Marker | None, before_the_end: Callable[[], object]) -> None:
    progress = _Progress(before_the_end)
    marked = None
    try:
        marked = marker if marker is not None and marker.mark_if_changed() else None
        transactions.get().join(progress)
        transactions.commit()
    except BaseException as error:
        is_interrupt = _is_interrupt(error)
        if progress.phase < _Phase.VOTED:
            if is_interrupt:
                raise _not_stored(what) from error
            _refuse(error, progress.phase)
        if is_interrupt:
            raise (_stored(what) if progress.phase is _Phase.FINISHED else _unknown(what)) from error
        if progress.phase is _Phase.FINISHED:  # a later failure does not change the outcome
            abort(transactions)
        else:
            _look_up(what, marked, error)


def _is_interrupt(error: BaseException) -> bool:
    """Whether it is a Ctrl-C, which reaches the main thread alone; elsewhere it is an error like others."""
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


def _refuse(error: BaseException, phase: _Phase) -> NoReturn:
    """Raise `error`, which kept a transaction from being stored, as that of the storage or of a guest."""
    if isinstance(error, TransientError):
        raise error
    if isinstance(error, OSError | StorageError):
        raise NotStored(error, is_certain=phase is not _Phase.BEGUN) from error
    raise Raised(error)


def _look_up(what: str, marked: Marker | None, error: BaseException) -> None:
    """Find out whether the transaction is stored. Raises LookedUp if it is not."""
    if marked is None:
        raise OutcomeUnknown(f'the storage failed while it stored {what}: {error}') from error
    try:
        is_stored = marked.was_stored()
    except KeyboardInterrupt as interrupt:
        raise _unknown(what) from interrupt
    if not is_stored:
        raise LookedUp(*error.args) from error


def _stored(what: str) -> Interrupted:
    return Interrupted(f'{what} had been stored')


def _not_stored(what: str) -> Interrupted:
    return Interrupted(f'nothing of {what} was stored')


def _unknown(what: str) -> Interrupted:
    return Interrupted(f'{what} may or may not have been stored: check before you do it again')


def begin(transactions: Any, connection: Any) -> Any:
    """Begin a transaction of the manager `transactions`, and return it once the root can be read.

    Raises NotBegun if the storage cannot be reached, TransientError if a retry may succeed.
    """
    started = time.monotonic()
    try:
        try:
            current = transactions.begin()
        except TransientError:
            if time.monotonic() - started > CUT_OFF:  # the storage was away, and was waited for
                raise
            abort(transactions)
            current = transactions.begin()
        connection.root()
    except (OSError, StorageError) as error:
        raise NotBegun(error, is_certain=True) from error
    return current


def abort(transactions: Any) -> None:
    """Abort the transaction of the manager `transactions`, if it has one."""
    with suppress(Exception):  # a second failure must not hide the first, which says what the outcome is
        transactions.abort()


class _Here(threading.local):
    databases: tuple[object, ...] = ()


_here = _Here()


@contextmanager
def guests_of(*databases: object) -> Iterator[None]:
    """Mark the block as one in which this thread runs guests in a transaction on each ZODB.DB of `databases`."""
    before = _here.databases
    _here.databases = (*before, *databases)
    try:
        yield
    finally:
        _here.databases = before


def refuse_within(database: object, label: str, reason: str) -> tuple[object, ...]:
    """Raise StateError if this thread runs a guest in a transaction on `database`; returns those it has one on."""
    databases = _here.databases
    if databases and database in databases:
        raise StateError(f'{label} was called within an update, {reason}: call the component')
    return databases


def is_within(database: object) -> bool:
    """Whether this thread runs a guest in a transaction on `database`."""
    return database in _here.databases
