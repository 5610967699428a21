"""The writer: the one thread that changes the database. It knows transactions, and nothing of components.

Updates queue up while a transaction is committed; the next transaction takes all of them, so that one fsync
serves many. Each runs as if alone, and its caller is woken when it is on disk.
"""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import transaction
from transaction.interfaces import TransientError
from ZODB.POSException import StorageError

from ..errors import OutcomeUnknown, StateClosed, StateError, UpdateFailed
from . import lost_changes
from .database import Database
from .marks import Marker, Voted
from .plain import plain
from .subscription import Stored, Subscription

logger = logging.getLogger(__name__)

Root = Any  # the top mapping of a database, as ZODB gives it: untyped
R = TypeVar('R')

_NO_KEYWORDS: Mapping[str, Any] = MappingProxyType({})

#: Seconds from which on an update that holds up all others is logged.
SLOW = 0.05

#: Times that a transaction is tried while other processes change the same objects.
ATTEMPTS = 100

#: Seconds within which a storage that was asked for news went away just then, and so is waited for.
CUT_OFF = 1.0


class Writer:
    """Runs functions of the root in a thread of its own, several in one transaction.

    A function is run again from the start when another one of its transaction failed, or another process changed
    the same objects. So it must do nothing but read and change persistent objects.
    """

    def __init__(self, database: Database) -> None:
        self._transactions = transaction.TransactionManager(explicit=True)
        self._connection = database.db.open(transaction_manager=self._transactions)
        self._marker = Marker(self._transactions, self._connection) if database.is_remote else None
        self._turn = database.new_turn()
        self._lock = threading.Lock()  # of the four below; _subscriptions is replaced, never changed
        self._subscriptions: tuple[Subscription, ...] = ()
        self._queue = _Batch()
        self._asleep = False
        self._closing = False
        self._alarm = threading.Lock()  # taken by the writer to sleep, released by who wakes it
        self._alarm.acquire()
        self._thread = threading.Thread(target=self._run, name='state writer', daemon=True)
        self._thread.start()

    def run(
        self,
        function: Callable[..., R],
        label: str,
        arguments: tuple[Any, ...] = (),
        keywords: Mapping[str, Any] = _NO_KEYWORDS,
    ) -> R:
        """What `function`, called with the root and the arguments in the writer's thread, returned; it is on disk.

        Raises what `function` raised, or UpdateFailed if it could not be stored: then nothing of it happened.
        Raises OutcomeUnknown if the storage failed while it was storing, and cannot be asked whether it did. `label`
        names it in the log and in the database's history.
        """
        job = _Job(function, label, arguments, keywords)
        self._queued(job).wait()
        return job.result()

    def submit(
        self, function: Callable[..., R], label: str, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> Future[R]:
        """As `run`, but what it would return or raise is the future's, whose callbacks the writer's thread calls."""
        job = _Promise(function, label, arguments, keywords)
        self._queued(job)
        return job.future

    def subscribe(self) -> Subscription:
        """Tell of every transaction from the next on, once it is on disk."""
        subscription = Subscription()
        with self._lock:
            if self._closing:
                raise StateClosed('the subscription came too late: the state is closed')
            self._subscriptions += (subscription,)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        subscription.close()
        with self._lock:
            self._subscriptions = tuple(one for one in self._subscriptions if one is not subscription)

    def _queued(self, job: '_Job[R]') -> '_Batch':
        if threading.current_thread() is self._thread:
            raise StateError(
                f'{job.label} was called within an update, which would wait for itself: call the component')
        with self._lock:
            if self._closing:
                raise StateClosed(f'{job.label} came too late: the state is closed')
            batch = self._queue
            batch.jobs.append(job)
            if isinstance(job, _Promise):
                batch.promises.append(job)
            self._wake()
        return batch

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
        while self._wait_for_jobs():
            with self._turn:
                batch = self._next_batch()
                self._settle(batch.jobs)
            batch.finish()
            for promise in batch.promises:
                promise.keep()
        self._end()

    def _wait_for_jobs(self) -> bool:
        """Wait until something has queued up; False when the writer is to end."""
        while True:
            with self._lock:
                if self._queue.jobs:
                    return True
                if self._closing:
                    return False
                self._asleep = True
            self._alarm.acquire()

    def _next_batch(self) -> '_Batch':
        """All that has queued up."""
        with self._lock:
            batch, self._queue = self._queue, _Batch()
            return batch

    def _end(self) -> None:
        if self._marker is not None:
            self._marker.remove()
        for subscription in self._subscriptions:
            subscription.close()
        self._connection.close()

    def _settle(self, jobs: 'list[_Job[Any]]') -> None:
        """Give each of `jobs` its result or its error. One that fails takes no other with it."""
        shares = [jobs]
        while shares:
            share = shares.pop()
            try:
                self._commit(share)
                if self._subscriptions:
                    self._tell(share)
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

        But after OutcomeUnknown: then it may have, if it was not looked up. Raises UpdateFailed when the storage,
        and not one of `jobs`, is to blame.
        """
        for attempt in range(ATTEMPTS):
            try:
                self._try(jobs)
                return
            except TransientError:  # another process was first, or the storage went away before it had all
                self._abort()
                time.sleep(random.uniform(0, 0.001) * attempt)
            except OutcomeUnknown:
                self._abort()
                if self._marker is None:
                    raise
                if self._marker.was_stored():
                    return
            except BaseException:
                self._abort()
                raise
        raise UpdateFailed(f'{_labels(jobs)} met a change by another process {ATTEMPTS} times: try again later')

    def _begin(self) -> Any:
        started = time.monotonic()
        try:
            return self._transactions.begin()
        except TransientError:
            if time.monotonic() - started > CUT_OFF:  # it was away, and waited for
                raise
            self._abort()
            return self._transactions.begin()

    def _abort(self) -> None:
        with suppress(Exception):  # a second failure must not hide what the first says of the outcome
            self._transactions.abort()

    def _try(self, jobs: 'list[_Job[Any]]') -> None:
        try:
            current = self._begin()
            root = self._connection.root()
        except (OSError, StorageError) as error:
            raise UpdateFailed(f'{_labels(jobs)} could not begin: {error}') from error
        for job in jobs:
            job.run(root)
        current.note(_labels(jobs))
        if self._marker is not None and self._connection._registered_objects:  # else there is nothing to store
            self._marker.mark()
        voted = Voted()
        current.join(voted)
        try:
            self._transactions.commit()
        except BaseException as error:
            if voted.passed:
                raise OutcomeUnknown(f'the storage failed while it stored {_labels(jobs)}: {error}') from error
            if isinstance(error, OSError | StorageError) and not isinstance(error, TransientError):
                raise UpdateFailed(f'{_labels(jobs)} could not be stored: {error}') from error
            raise

    def _tell(self, jobs: 'list[_Job[Any]]') -> None:
        stored = [job.stored() for job in jobs if not job.is_cancelled]
        for subscription in self._subscriptions:
            if not subscription.tell(stored):
                self.unsubscribe(subscription)


class _Batch:
    """Jobs that are settled together, and their callers, who wait for that."""

    def __init__(self) -> None:
        self.jobs: list[_Job[Any]] = []
        self.promises: list[_Promise[Any]] = []  # those of the jobs for which nobody waits at the latch
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

    __slots__ = ('_arguments', '_error', '_function', '_keywords', '_result', 'label')

    _result: R
    is_cancelled = False

    def __init__(
        self, function: Callable[..., R], label: str, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> None:
        self.label = label
        self._function = function
        self._arguments = arguments
        self._keywords = keywords
        self._error: BaseException | None = None

    def run(self, root: Root) -> None:
        started = time.perf_counter()
        result = lost_changes.run(self._function, root, self._arguments, self._keywords, self.label)
        self._result = plain(result, self.label)
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

    def stored(self) -> Stored:
        return Stored(self.label, self._arguments, self._keywords, self._result)


class _Promise(_Job[R]):
    """An update whose result is a future's, and which can be cancelled until it runs."""

    __slots__ = ('_is_running', 'future', 'is_cancelled')

    def __init__(
        self, function: Callable[..., R], label: str, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> None:
        super().__init__(function, label, arguments, keywords)
        self.future: Future[R] = Future()
        self._is_running = False
        self.is_cancelled = False

    def run(self, root: Root) -> None:
        self._start()
        if not self.is_cancelled:
            super().run(root)

    def _start(self) -> None:
        if not self._is_running:
            self._is_running = True
            self.is_cancelled = not self.future.set_running_or_notify_cancel()

    def keep(self) -> None:
        """Give the future what came of it, once the batch is settled."""
        self._start()
        if self.is_cancelled:
            return
        try:
            if self._error is not None:
                self.future.set_exception(self._error)
            else:
                self.future.set_result(self._result)
        except BaseException:  # a callback's, as of sys.exit: the future logs others, and this thread goes on
            logger.exception('a callback of %s failed', self.label)


def _labels(jobs: 'list[_Job[Any]]') -> str:
    counts = Counter(job.label for job in jobs)
    return ', '.join(label if count == 1 else f'{count} x {label}' for label, count in counts.items())
