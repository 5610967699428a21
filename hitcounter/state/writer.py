"""The writer: the one thread that changes the database. It knows transactions, and nothing of components.

Updates queue up while a transaction is committed; the next transaction takes all of them, so that one fsync
serves many. Each runs as if alone, and its caller is woken when it is on disk.
"""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

import transaction
import ZODB
from persistent import Persistent
from ZODB.POSException import ConflictError, StorageError

from ..errors import OutcomeUnknown, StateClosed, StateError, UpdateFailed

logger = logging.getLogger(__name__)

Root = Any  # the top mapping of a database, as ZODB gives it: untyped
R = TypeVar('R')

#: Seconds from which on an update that holds up all others is logged.
SLOW = 0.05

#: Times that a transaction is tried while other processes change the same objects.
ATTEMPTS = 100


class Writer:
    """Runs functions of the root in a thread of its own, several in one transaction.

    A function is run again from the start when another one of its transaction failed, or another process changed
    the same objects. So it must do nothing but read and change persistent objects.
    """

    def __init__(self, database: ZODB.DB) -> None:
        self._transactions = transaction.TransactionManager(explicit=True)
        self._connection = database.open(transaction_manager=self._transactions)
        self._lock = threading.Lock()  # of the three below
        self._queue = _Batch()
        self._asleep = False
        self._closing = False
        self._alarm = threading.Lock()  # taken by the writer to sleep, released by who wakes it
        self._alarm.acquire()
        self._thread = threading.Thread(target=self._run, name='state writer', daemon=True)
        self._thread.start()

    def run(self, function: Callable[[Root], R], label: str) -> R:
        """What `function`, called with the root in the writer's thread, returned; it is on disk by then.

        Raises what `function` raised, or UpdateFailed if it could not be stored: then nothing of it happened.
        Raises OutcomeUnknown if the storage failed while it was storing. `label` names it in the log and in the
        database's history.
        """
        if threading.current_thread() is self._thread:
            raise StateError(f'{label} was called within an update, which would wait for itself: call the component')
        job = _Job(function, label)
        with self._lock:
            if self._closing:
                raise StateClosed(f'{label} came too late: the state is closed')
            batch = self._queue
            batch.jobs.append(job)
            self._wake()
        batch.wait()
        return job.result()

    def close(self) -> None:
        """Run what has queued up, then end the thread and close its connection."""
        with self._lock:
            self._closing = True
            self._wake()
        self._thread.join()

    def _wake(self) -> None:
        if self._asleep:
            self._asleep = False
            self._alarm.release()

    # The writer's thread runs what follows.

    def _run(self) -> None:
        while batch := self._next_batch():
            self._settle(batch.jobs)
            batch.finish()
        self._connection.close()

    def _next_batch(self) -> '_Batch | None':
        """All that has queued up, waiting until something has; None when the writer is to end."""
        while True:
            with self._lock:
                if self._queue.jobs:
                    batch, self._queue = self._queue, _Batch()
                    return batch
                if self._closing:
                    return None
                self._asleep = True
            self._alarm.acquire()

    def _settle(self, jobs: 'list[_Job[Any]]') -> None:
        """Give each of `jobs` its result or its error. One that fails takes no other with it."""
        shares = [jobs]
        while shares:
            share = shares.pop()
            try:
                self._commit(share)
            except (UpdateFailed, OutcomeUnknown) as error:
                for job in share:
                    job.fail(type(error)(*error.args), error.__cause__)
            except BaseException as error:  # noqa: BLE001 -- for the caller to handle; this thread goes on
                if len(share) == 1:
                    share[0].fail(error, error.__cause__)
                else:
                    middle = len(share) // 2
                    shares += [share[middle:], share[:middle]]

    def _commit(self, jobs: 'list[_Job[Any]]') -> None:
        """Run `jobs` in one transaction and commit it; after an error nothing of it has happened.

        But after OutcomeUnknown: then it may have. Raises UpdateFailed when the storage, and not one of `jobs`, is
        to blame.
        """
        for attempt in range(ATTEMPTS):
            try:
                self._try(jobs)
                return
            except ConflictError:  # another process was first
                self._transactions.abort()
                time.sleep(random.uniform(0, 0.001) * attempt)
            except BaseException:
                with suppress(Exception):  # a second failure must not hide what the first says of the outcome
                    self._transactions.abort()
                raise
        raise UpdateFailed(f'{_labels(jobs)} met a change by another process {ATTEMPTS} times: try again later')

    def _try(self, jobs: 'list[_Job[Any]]') -> None:
        try:
            current = self._transactions.begin()
            root = self._connection.root()
        except (OSError, StorageError) as error:
            raise UpdateFailed(f'{_labels(jobs)} could not begin: {error}') from error
        for job in jobs:
            job.run(root)
        current.note(_labels(jobs))
        voted = _Voted()
        current.join(voted)
        try:
            self._transactions.commit()
        except BaseException as error:
            if voted.passed:
                raise OutcomeUnknown(f'the storage failed while it stored {_labels(jobs)}: {error}') from error
            if isinstance(error, OSError | StorageError):
                raise UpdateFailed(f'{_labels(jobs)} could not be stored: {error}') from error
            raise


class _Batch:
    """Jobs that are settled together, and their callers, who wait for that."""

    def __init__(self) -> None:
        self.jobs: list[_Job[Any]] = []
        self._latch = threading.Lock()
        self._latch.acquire()

    def finish(self) -> None:
        self._latch.release()

    def wait(self) -> None:
        # Each wakes the next. Were all woken at once, they would only stand in one another's way for the GIL.
        with self._latch:
            pass


class _Job(Generic[R]):
    """An update on its way: the writer gives it a result or an error."""

    __slots__ = ('_error', '_function', '_result', 'label')

    _result: R

    def __init__(self, function: Callable[[Root], R], label: str) -> None:
        self.label = label
        self._function = function
        self._error: BaseException | None = None

    def run(self, root: Root) -> None:
        started = time.perf_counter()
        self._result = plain(self._function(root), self.label)
        took = time.perf_counter() - started
        if took > SLOW:
            logger.warning('%s held up all other updates for %.0f ms: make it shorter', self.label, took * 1000)

    def fail(self, error: BaseException, cause: BaseException | None) -> None:
        self._error = error
        error.__cause__ = cause

    def result(self) -> R:
        """For the caller, once the batch is finished. Raises the error if there is one."""
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # else its traceback and this frame hold each other
        return self._result


class _Voted:
    """A resource that votes last, and so tells whether a failed commit may have reached the disk."""

    transaction_manager = None

    def __init__(self) -> None:
        self.passed = False

    def sortKey(self) -> str:
        return '~'  # behind every storage's

    def tpc_vote(self, _: object) -> None:
        self.passed = True

    def _nothing(self, _: object) -> None:
        pass

    abort = commit = tpc_begin = tpc_finish = tpc_abort = _nothing


def plain(result: R, label: str) -> R:
    """`result`, unless it is an object of the database, which no other thread may touch."""
    if isinstance(result, Persistent):
        raise StateError(f'{label} returned {type(result).__name__}, an object of the database: return plain values')
    return result


def _labels(jobs: 'list[_Job[Any]]') -> str:
    counts = Counter(job.label for job in jobs)
    return ', '.join(label if count == 1 else f'{count} x {label}' for label, count in counts.items())
