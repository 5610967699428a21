"""The writer: the one thread that changes the database. It knows transactions, and nothing of components.

Updates queue up while a transaction is committed; the next transaction takes all of them, so that one fsync
serves many. Each runs as if alone, and its caller is woken when it is on disk.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, closing
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

import transaction
from transaction.interfaces import TransientError

from ...errors import Interrupted, OutcomeUnknown, StateClosed, StateError, UpdateFailed
from ..model import lost_changes
from ..model.blame import explained, reason
from ..model.plain import plain
from ..model.root import Root
from ..storage.database import Database
from ..storage.periodic import PeriodicTask
from ..storage.turn import Advice
from .commit import (
    NotBegun,
    NotStored,
    Raised,
    Retries,
    abort,
    begin,
    commit,
    given_up,
    guests_of,
    is_of_storage,
    refuse_within,
)
from .interrupts import put_off
from .marker import Marker
from .subscription import Stored, Subscription

logger = logging.getLogger(__name__)

R = TypeVar('R')

_NO_KEYWORDS: Mapping[str, Any] = MappingProxyType({})

#: Seconds after which an update, which holds up all others, is logged.
SLOW = 0.05

#: Seconds after which a transaction that has not ended is logged, again and again.
STALL = 5.0

#: Seconds that closing waits for an update that does not end; to look up whether one was stored may take 30.
CLOSE_TIMEOUT = 40.0

#: Seconds between two checks of a caller that waits whether the thread is still alive.
_LOOK = 1.0

_NOT_HERE = 'the writer of the state is not in this process: open the state after the fork'


class Busy(NamedTuple):
    """What the writer is doing."""

    #: The update that is running, or those that are being stored.
    what: str
    #: Seconds since it took the updates of this transaction.
    seconds: float


class Writer:
    """Runs functions of the root in a thread of its own, several in one transaction.

    A function is run again from the start when another one of its transaction failed, or another process changed
    the same objects. So it must do nothing but read and change persistent objects.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()  # of the four below; _subscriptions is replaced, never changed
        self._subscriptions: tuple[Subscription, ...] = ()
        self._queue = _Batch()
        self._asleep = False
        self._closing = False
        self._alarm = threading.Lock()  # the writer acquires it to sleep, and whoever wakes it releases it
        self._alarm.acquire()
        # Written by the writer's thread.
        self._failure: BaseException | None = None
        self._in_hand: _Batch | None = None
        self._since = 0.0
        self._current: _Job[Any] | None = None
        with ExitStack() as resources:
            self._transactions = transaction.TransactionManager(explicit=True)
            self._connection = database.db.open(transaction_manager=self._transactions)
            resources.callback(self._connection.close)
            self._marker = Marker(self._transactions, self._connection) if database.is_remote else None
            self._turn = resources.enter_context(closing(Advice(database.new_turn())))
            resources.enter_context(closing(PeriodicTask('state watch', STALL, self._report)))
            self._thread = threading.Thread(target=self._run, name='state writer', daemon=True)
            self._thread.start()
            self._resources = resources.pop_all()  # the thread's from now on
        database.users.append(self)

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
        names it in the log and in the database's history. Ctrl-C waits for it; Interrupted is raised then.
        """
        job = _Job(function, label, arguments, keywords)
        if threading.current_thread() is threading.main_thread():
            self._wait_for(job)
        else:
            self._queued(job).wait(self._thread)
        return job.result()

    def _wait_for(self, job: '_Job[Any]') -> None:
        """Wait in the main thread, the one that Ctrl-C reaches."""
        try:
            with put_off() as late:
                self._queued(job).wait(self._thread)
        except KeyboardInterrupt as interrupt:
            raise Interrupted(f'{job.label} had not ended, and may still be stored') from interrupt
        if late.came:
            raise Interrupted(f'{job.label} had been stored' if job.is_stored else f'{job.label} had failed')

    def submit(
        self, function: Callable[..., R], label: str, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> Future[R]:
        """As `run`, but what it would return or raise is the future's, whose callbacks the writer's thread calls."""
        job = _Promise(function, label, arguments, keywords)
        self._queued(job)
        if not self._thread.is_alive() and not job.future.done():
            raise StateClosed(_NOT_HERE)
        return job.future

    def subscribe(self) -> Subscription:
        """Tell of every transaction from the next on, once it is on disk."""
        subscription = Subscription()
        with self._lock:
            self._refuse_closed('the subscription')
            self._subscriptions += (subscription,)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        subscription.close()
        with self._lock:
            self._subscriptions = tuple(one for one in self._subscriptions if one is not subscription)

    @property
    def busy(self) -> Busy | None:
        """What it is doing, and for how long; None if it waits for updates."""
        batch, current, since = self._in_hand, self._current, self._since
        if batch is None:
            return None
        return Busy(current.label if current is not None else _labels(batch.jobs), time.monotonic() - since)

    def _report(self) -> None:
        busy = self.busy
        if busy is not None and busy.seconds > STALL:
            logger.warning(
                'nothing has been stored for %.0f s: %s %s',
                busy.seconds,
                busy.what,
                'is still running' if self._current is not None else 'cannot be stored yet',
            )

    def _queued(self, job: '_Job[R]') -> '_Batch':
        if threading.current_thread() is self._thread:
            raise StateError(
                f'{job.label} was called within an update, which would wait for itself: call the component'
            )
        above = refuse_within(self._database.db, job.label, 'which holds its turn')
        if above:
            job.run_within(above)
        with self._lock:
            self._refuse_closed(job.label)
            batch = self._queue
            batch.jobs.append(job)
            if isinstance(job, _Promise):
                batch.promises.append(job)
            self._wake()
        return batch

    def _refuse_closed(self, what: str) -> None:
        if self._failure is not None:
            raise StateClosed(f'{what} came too late: {self._end_of_writer()}')
        if self._closing:
            raise StateClosed(f'{what} came too late: the state is closed')

    def _end_of_writer(self) -> str:
        why = f' ({reason(self._failure)})' if self._failure is not None else ''
        return f'the state was closed by an error of its writer{why}'

    def close(self) -> None:
        """Run what has queued up, then end the thread and close its connection.

        Raises StateError if the thread has died of an error, or an update does not end.
        """
        with self._lock:
            self._closing = True
            self._wake()
        self.refuse_own_thread('the state')
        seen, deadline = None, 0.0
        while self._thread.is_alive():
            at = self._in_hand, self._current
            if at != seen:
                seen, deadline = at, time.monotonic() + CLOSE_TIMEOUT
            elif time.monotonic() > deadline:
                self._leave_database()
                raise StateError(
                    f'the state could not be closed: {self.busy.what if self.busy else "its storage"} has not ended '
                    f'for {CLOSE_TIMEOUT:g} s, and may or may not be stored'
                )
            self._thread.join(_LOOK)
        self._leave_database()
        if self._failure is not None:
            raise StateError(self._end_of_writer()) from self._failure

    def refuse_own_thread(self, what: str) -> None:
        """Raise StateError in the writer's thread, which closing waits for."""
        if threading.current_thread() is self._thread:
            raise StateError(
                f'{what} cannot be closed in an update or its callback, for which it would wait: close it elsewhere'
            )

    def _leave_database(self) -> None:
        if self in self._database.users:
            self._database.users.remove(self)

    def _wake(self) -> None:
        if self._asleep:
            self._asleep = False
            self._alarm.release()

    # The writer's thread runs what follows.

    def _run(self) -> None:
        try:
            while self._wait_for_jobs():
                self._work()
        except BaseException as error:
            self._failure = error
            raise  # for threading.excepthook, after `_end`
        finally:
            self._end()

    def _work(self) -> None:
        with self._turn:
            batch = self._next_batch()
            self._settle(batch.jobs)
        batch.finish()
        self._in_hand = None

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
        self._since = time.monotonic()
        self._in_hand = batch
        return batch

    def _end(self) -> None:
        """Take no more; callers that still wait get an error."""
        with self._lock:
            self._closing = True
            waiting, self._queue = self._queue, _Batch()
        batch, self._in_hand = self._in_hand, None
        if batch is not None:
            for job in batch.jobs:
                if not job.is_settled:
                    job.fail(OutcomeUnknown(f'{job.label} may or may not have been stored: {self._end_of_writer()}'))
            batch.finish()
        for job in waiting.jobs:
            job.fail(StateClosed(f'{job.label} was not run: {self._end_of_writer()}'))
        waiting.finish()
        for subscription in self._subscriptions:
            subscription.close()
        self._leave()

    def _leave(self) -> None:
        try:
            abort(self._transactions)
            if self._marker is not None:
                self._marker.remove()
            self._resources.close()
        except Exception:
            logger.exception('the connection of the writer could not be closed')

    def _settle(self, jobs: 'list[_Job[Any]]') -> None:
        """Give each of `jobs` its result or its error. A job that fails does not make others fail."""
        retries, of_guests = Retries(), Retries.of_guests()
        shares = [jobs]
        while shares:
            share = shares.pop()
            try:
                self._store(share, retries, of_guests)
            except NotBegun as error:  # nor could the other shares
                _fail(sum(reversed(shares), share), UpdateFailed, f'could not begin: {error}', error.__cause__)
                return
            except OutcomeUnknown as error:
                _fail(share, OutcomeUnknown, f'may or may not have been stored: {error}', error.__cause__)
            except BaseException as error:  # noqa: BLE001 -- for the caller to handle; this thread goes on
                shares += _divide(share, error)
            else:
                for job in share:
                    job.is_stored = True
                if self._subscriptions:
                    self._tell(share)

    def _store(self, jobs: 'list[_Job[Any]]', retries: Retries, of_guests: Retries) -> None:
        """Run `jobs` in one transaction and commit it; after any error but OutcomeUnknown nothing of it has happened.

        Raises _Culprit when one of them raises, otherwise as `commit` does.
        """
        while True:
            try:
                self._try(jobs)
                return
            except BaseException as error:
                abort(self._transactions)
                if not (_is_transient(error, jobs) and (of_guests if isinstance(error, _Culprit) else retries).pause()):
                    raise

    def _try(self, jobs: 'list[_Job[Any]]') -> None:
        current = begin(self._transactions, self._connection)
        with guests_of(self._database.db):
            self._run_jobs(jobs, self._connection.root())
        labels = _labels(jobs)
        current.note(labels)
        commit(self._transactions, labels, self._marker)

    def _run_jobs(self, jobs: 'list[_Job[Any]]', root: Root) -> None:
        for place, job in enumerate(jobs):
            self._current = job
            try:
                job.run(root)
            except BaseException as error:  # noqa: BLE001 -- the error of the job, of any type
                raise _Culprit(error, place) from None
        self._current = None

    def _tell(self, jobs: 'list[_Job[Any]]') -> None:
        try:
            stored = [job.stored() for job in jobs if not job.is_cancelled]
            lost = [one for one in self._subscriptions if not one.tell(stored)]
        except BaseException:  # the jobs are stored, and must not be run again
            logger.exception('the subscribers could not be told of %s', _labels(jobs))
            lost = [*self._subscriptions]
        for subscription in lost:
            subscription.lose()
            self.unsubscribe(subscription)


class _Culprit(Raised):
    """What one job of several raised, and its place among them."""

    def __init__(self, error: BaseException, place: int) -> None:
        super().__init__(error)
        self.place = place


class _Batch:
    """Jobs that are settled together, and whose callers wait for that."""

    def __init__(self) -> None:
        self.jobs: list[_Job[Any]] = []
        self.promises: list[_Promise[Any]] = []  # the jobs whose callers do not wait for the latch
        self._is_finished = False
        self._latch = threading.Lock()
        self._latch.acquire()

    def finish(self) -> None:
        """For the writer's thread: wake up all who wait."""
        if not self._is_finished:
            self._is_finished = True
            self._latch.release()
            for promise in self.promises:
                promise.keep()

    def wait(self, writer: threading.Thread) -> None:
        # Each wakes the next. Were all woken at once, they would only stand in one another's way for the GIL.
        while not self._latch.acquire(timeout=_LOOK):
            is_alive = writer.is_alive()
            if self._is_finished:  # the caller that was to wake this one was interrupted
                return
            if not is_alive:
                raise StateClosed(_NOT_HERE)
        self._latch.release()


class _Job(Generic[R]):
    """An update on its way: the writer gives it a result or an error."""

    __slots__ = ('_arguments', '_error', '_function', '_keywords', '_result', 'is_stored', 'label')

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
        #: Whether its transaction is on disk; until then nobody may see its result.
        self.is_stored = False

    def run_within(self, databases: tuple[object, ...]) -> None:
        """Let it run as what was queued by an update of `databases`, which waits for it: it may not wait for that."""
        function = self._function

        def run(*arguments: Any, **keywords: Any) -> R:
            with guests_of(*databases):
                return function(*arguments, **keywords)

        self._function = run

    @property
    def is_settled(self) -> bool:
        return self.is_stored or self._error is not None

    def run(self, root: Root) -> None:
        started = time.perf_counter()
        result = lost_changes.run(self._function, root, self._arguments, self._keywords, self.label)
        self._result = plain(result, self.label)
        took = time.perf_counter() - started
        if took > SLOW:
            logger.warning('%s held up all other updates for %.0f ms: make it shorter', self.label, took * 1000)

    def fail(self, error: BaseException) -> None:
        self._error = error

    def result(self) -> R:
        """For the caller, once the batch is finished. Raises the error if there is one."""
        if self.is_stored:
            return self._result
        try:
            raise self._failure()
        finally:
            self._error = None  # else its traceback and this frame hold each other

    def _failure(self) -> BaseException:
        return self._error or OutcomeUnknown(f'{self.label} may or may not have been stored')

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
        """Give the future its result or error, once the batch is settled."""
        try:
            self._start()
            if self.is_cancelled:
                return
            if self.is_stored:
                self.future.set_result(self._result)
            else:
                self.future.set_exception(self._failure())
        except BaseException:  # a callback's, as of sys.exit: the future logs others, and this thread goes on
            logger.exception('a callback of %s failed', self.label)


def _is_transient(error: BaseException, jobs: 'list[_Job[Any]]') -> bool:
    """Whether the transaction of `jobs` that `error` ended is to be retried unchanged.

    Not if one of several jobs is to blame, since then the others can be stored first.
    """
    if isinstance(error, _Culprit):
        return len(jobs) == 1 and is_of_storage(error.error)
    return isinstance(error, TransientError)


def _divide(jobs: 'list[_Job[Any]]', error: BaseException) -> 'list[list[_Job[Any]]]':
    """Those of `jobs` that are still to be done after `error`, in shares, the first one last; fails the culprit."""
    if isinstance(error, NotStored) and error.is_certain:
        _fail(jobs, UpdateFailed, f'could not be stored: {error}', error.__cause__)
        return []
    place = error.place if isinstance(error, _Culprit) else 0 if len(jobs) == 1 else None
    if place == 0 and jobs[1:] and isinstance(error, _Culprit) and is_of_storage(error.error):
        return [jobs[:1], jobs[1:]]  # it is retried alone, so that no other has to wait
    if place == 0:  # all before it is stored, so its error counts
        jobs[0].fail(_own(jobs[0], error))
        return [jobs[1:]] if jobs[1:] else []
    middle = place or len(jobs) // 2
    return [jobs[middle:], jobs[:middle]]


def _own(job: '_Job[Any]', error: BaseException) -> BaseException:
    """What the caller of `job` gets for `error`."""
    if isinstance(error, NotStored):
        return _error_of([job], UpdateFailed, f'could not be stored: {error}', error.__cause__)
    own = error.error if isinstance(error, Raised) else error
    if is_of_storage(own) or (own is error and isinstance(own, TransientError)):
        return _error_of([job], UpdateFailed, f'was not stored, because {given_up(own)}: try again later', own)
    return explained(own, job.label)


def _fail(jobs: 'list[_Job[Any]]', kind: type[StateError], what: str, cause: BaseException | None) -> None:
    for job in jobs:
        job.fail(_error_of(jobs, kind, what, cause))


def _error_of(jobs: 'list[_Job[Any]]', kind: type[StateError], what: str, cause: BaseException | None) -> StateError:
    error = kind(f'{_labels(jobs)} {what}')
    error.__cause__ = cause
    return error


def _labels(jobs: 'list[_Job[Any]]') -> str:
    counts = Counter(job.label for job in jobs)
    return ', '.join(label if count == 1 else f'{count} x {label}' for label, count in counts.items())
