"""The writer: the one thread that changes the database. It knows transactions, and nothing of components.

Updates queue up while a transaction is committed; the next transaction takes all of them, so that one fsync
serves many. Each runs as if alone, and its caller is woken when it is on disk, or when its time is over: then it is
taken back, unless it is just being stored.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, closing
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import transaction

from ...errors import Interrupted, OutcomeUnknown, StateClosed, StateError, UpdateFailed
from ..model.blame import reason
from ..model.root import Root
from ..storage.away import answering_within
from ..storage.database import Database
from ..storage.periodic import PeriodicTask
from ..storage.turn import Advice
from .attempts import Attempts, says_away
from .commit import NotBegun, TakenBack, abort, begin, commit, guests_of, refuse_within
from .interrupts import put_off
from .job import LOOK, NOT_HERE, UPDATE_TIMEOUT, Batch, Culprit, Job, Promise, divide, labels_of, reject_all
from .marker import Marker
from .subscription import Subscription

logger = logging.getLogger(__name__)

R = TypeVar('R')

_NO_KEYWORDS: Mapping[str, Any] = MappingProxyType({})

#: Seconds after which a transaction that has not ended is logged, again and again.
STALL = 5.0

#: Seconds that closing waits for an update that does not end, at most.
CLOSE_TIMEOUT = 40.0

#: Seconds that closing waits once the time of every update is over: for what is being stored, or looked up.
CLOSE_GRACE = 5.0

#: The least that the storage gets to answer, even if the time of the updates is nearly over.
_LEAST_ANSWER = 1.0

#: Seconds that the storage has to answer while the writer leaves it; its mark may stay behind.
_LEAVE_TIMEOUT = 2.0

_NOTHING: list[Job[Any]] = []


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

    def __init__(self, database: Database, timeout: float = UPDATE_TIMEOUT) -> None:
        self._database = database
        self._timeout = timeout
        self._lock = threading.Lock()  # of the five below, and of `late` of the jobs; _subscriptions is replaced
        self._storing = _NOTHING  # the jobs whose outcome is open: the storage was asked to store them
        self._subscriptions: tuple[Subscription, ...] = ()
        self._queue = Batch()
        self._asleep = False
        self._closing = False
        self._alarm = threading.Lock()  # the writer acquires it to sleep, and whoever wakes it releases it
        self._alarm.acquire()
        # Written by the writer's thread.
        self._failure: BaseException | None = None
        self._in_hand: Batch | None = None
        self._since = 0.0
        self._current: Job[Any] | None = None
        self._away: BaseException | None = None  # why the storage cannot be reached
        self._reported = 0.0  # by the watch
        with ExitStack() as resources:
            self._transactions = transaction.TransactionManager(explicit=True)
            self._connection = database.db.open(transaction_manager=self._transactions)
            resources.callback(self._connection.close)
            self._marker = Marker(self._transactions, self._connection) if database.is_remote else None
            self._turn = resources.enter_context(closing(Advice(database.new_turn())))
            resources.enter_context(closing(PeriodicTask('state watch', min(LOOK, STALL), self._watch)))
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
        *,
        seconds: float = 0.0,
    ) -> R:
        """What `function`, called with the root and the arguments in the writer's thread, returned; it is on disk.

        Raises what `function` raised, or UpdateFailed if it could not be stored: then nothing of it happened, and
        never will. Raises OutcomeUnknown if the storage failed while it was storing, and cannot be asked in time
        whether it did. It returns or raises within `seconds`, or those of the writer. `label` names it in the log and
        in the database's history. Ctrl-C waits for its end and then raises Interrupted.
        """
        job = Job(function, label, arguments, keywords, seconds or self._timeout)
        if threading.current_thread() is threading.main_thread():
            self._wait_in_main_thread(job)
        else:
            self._wait_for(job)
        return job.result()

    def _wait_for(self, job: 'Job[Any]') -> None:
        batch = self._queued(job)
        if not batch.wait(self._thread, job.deadline):
            self._give_up(job, batch)

    def _give_up(self, job: 'Job[Any]', batch: Batch) -> None:
        """Take `job` back, whose time is over; if the storage was asked to store it, its outcome is open."""
        with self._lock:
            if job.is_done:
                return
            if job in self._storing:
                job.late = OutcomeUnknown(
                    f'{job.label} may or may not have been stored: the storage has not said so within {job.seconds:g} s'
                )
                return
            job.late = UpdateFailed(
                f'{job.label} was taken back after {job.seconds:g} s, and is not stored: {self._why_late(job)}'
            )
            if batch is self._queue:
                batch.withdraw(job)

    def _why_late(self, job: 'Job[Any]') -> str:
        away, current = self._away, self._current
        if away is not None:
            return f'the storage is away ({away}): try again later'
        if current is job:
            return 'it was still running: make it shorter, or give it more time'
        if current is not None:
            return f'{current.label} is running and holds up all others: make that one shorter'
        return 'the storage takes too long: try again later'

    def _wait_in_main_thread(self, job: 'Job[Any]') -> None:
        """Wait in the thread that Ctrl-C reaches."""
        try:
            with put_off() as late:
                self._wait_for(job)
        except KeyboardInterrupt as interrupt:
            raise Interrupted(f'{job.label} had not ended, and may still be stored') from interrupt
        if late.came:
            raise Interrupted(job.outcome())

    def submit(
        self, function: Callable[..., R], label: str, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> Future[R]:
        """As `run`, but what it would return or raise is the future's, whose callbacks the writer's thread calls.

        If its time is over while the writer waits for the storage, the thread that watches the writer calls them.
        """
        job: Promise[R] = Promise(function, label, arguments, keywords, self._timeout)
        self._queued(job)
        if not self._thread.is_alive() and not job.future.done():
            raise StateClosed(NOT_HERE)
        return job.future

    def subscribe(self, subscription: Subscription | None = None) -> Subscription:
        """A subscription to every transaction from the next on, once it is on disk; it may be one of another writer."""
        subscription = subscription or Subscription()
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
        return Busy(current.label if current is not None else labels_of(batch.jobs), time.monotonic() - since)

    def _watch(self) -> None:
        """Report a writer that does not get on, and resolve the futures whose time is over."""
        in_hand = self._in_hand
        with self._lock:
            waiting = [(promise, self._queue) for promise in self._queue.overdue()]
        waiting += [(promise, in_hand) for promise in in_hand.overdue()] if in_hand is not None else []
        for promise, batch in waiting:
            self._give_up(promise, batch)
            if promise.late is not None:
                promise.resolve()
        self._report(time.monotonic())

    def _report(self, now: float) -> None:
        busy = self.busy
        if busy is not None and busy.seconds > STALL and now - self._reported >= STALL:
            self._reported = now
            logger.warning(
                'nothing has been stored for %.0f s: %s %s',
                busy.seconds,
                busy.what,
                'is still running' if self._current is not None else 'cannot be stored yet',
            )

    def _queued(self, job: 'Job[R]') -> 'Batch':
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
            if isinstance(job, Promise):
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

        Raises StateError if the thread has died of an error, or if it has not ended CLOSE_GRACE seconds after the time
        of every update is over; the message, which is also logged, says what may or may not be stored.
        """
        with self._lock:
            self._closing = True
            self._wake()
        self.refuse_own_thread('the state')
        began = time.monotonic()
        seen, deadline = None, 0.0
        last = began + self._timeout + CLOSE_GRACE
        while self._thread.is_alive():
            at = self._in_hand, self._current
            if at != seen:
                seen, deadline = at, min(time.monotonic() + CLOSE_TIMEOUT, last)
            elif time.monotonic() > deadline:
                self._leave_database()
                why = self._why_not_closed(time.monotonic() - began)
                logger.error('%s', why)  # what is closed next may fail, too, and with another error
                raise StateError(why)
            self._thread.join(max(0.0, min(LOOK, deadline - time.monotonic())))
        self._leave_database()
        if self._failure is not None:
            raise StateError(self._end_of_writer()) from self._failure

    def _why_not_closed(self, seconds: float) -> str:
        said = f'the state could not be closed within {seconds:.0f} s'
        if storing := self._storing:
            return f'{said}: the storage has not said whether it stored {labels_of(storing)}, which may or may not be'
        if current := self._current:
            return f'{said}: {current.label} is still running, and will not be stored if the process ends now'
        return f'{said}: its storage does not answer; nothing is open that may or may not be stored'

    def refuse_own_thread(self, what: str) -> None:
        """Raise StateError in the writer's thread, which closing waits for."""
        if threading.current_thread() is self._thread:
            raise StateError(
                f'{what} cannot be closed in an update or its callback, which closing waits for: close it elsewhere'
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
            self._commit_jobs(batch.jobs)
            batch.wake()  # before the turn ends, which may take a round trip to a server
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

    def _next_batch(self) -> 'Batch':
        """All that has queued up."""
        with self._lock:
            batch, self._queue = self._queue, Batch()
        self._since = time.monotonic()
        self._in_hand = batch
        return batch

    def _end(self) -> None:
        """Take no more; callers that still wait get an error."""
        with self._lock:
            self._closing = True
            waiting, self._queue = self._queue, Batch()
        batch, self._in_hand = self._in_hand, None
        if batch is not None:
            for job in batch.jobs:
                if not job.is_done:
                    job.reject(OutcomeUnknown(f'{job.label} may or may not have been stored: {self._end_of_writer()}'))
            batch.finish()
        for job in waiting.jobs:
            job.reject(StateClosed(f'{job.label} was not run: {self._end_of_writer()}'))
        waiting.finish()
        for subscription in self._subscriptions:
            subscription.close()
        self._leave()

    def _leave(self) -> None:
        try:
            with answering_within(_LEAVE_TIMEOUT):
                abort(self._transactions)
                if self._marker is not None:
                    self._marker.remove()
                self._resources.close()
        except Exception:
            logger.exception('the connection of the writer could not be closed')

    def _commit_jobs(self, jobs: 'list[Job[Any]]') -> None:
        """Give each of `jobs` its result or its error. A job that fails does not make others fail."""
        attempts = Attempts(jobs)
        shares = [jobs]
        while shares:
            share = shares.pop()
            try:
                self._store(share, attempts)
            except OutcomeUnknown as error:
                reject_all(share, OutcomeUnknown, f'may or may not have been stored: {error}', error.__cause__)
            except BaseException as error:  # noqa: BLE001 -- for the caller to handle; this thread goes on
                if isinstance(error, NotBegun) or says_away(error):  # nor could the other shares be stored
                    _reject_without_storage(sum(reversed(shares), share), error)
                    shares = []
                else:
                    shares += divide(share, error)
            else:
                self._settle(share)
            self._storing = _NOTHING

    def _settle(self, jobs: 'list[Job[Any]]') -> None:
        """Note that `jobs` are stored; there are none if all were taken back."""
        for job in jobs:
            job.is_stored = True
        if jobs and self._subscriptions:
            self._publish(jobs)
        if late := [job for job in jobs if job.late is not None]:
            logger.warning('%s had taken too long for its caller, and is stored', labels_of(late))

    def _store(self, jobs: 'list[Job[Any]]', attempts: Attempts) -> None:
        """Run `jobs` in one transaction and commit it; after any error but OutcomeUnknown nothing of it has happened.

        Those that were taken back meanwhile are left out. Raises Culprit when one of them raises, otherwise as `commit`
        does.
        """
        while True:
            _leave_out_late(jobs)
            if not jobs:
                return
            try:
                self._try(jobs)
                self._away = None
                return
            except OutcomeUnknown:
                abort(self._transactions)
                raise
            except BaseException as error:
                abort(self._transactions)
                self._storing = _NOTHING
                self._away = error if says_away(error) else None
                if not attempts.go_on(error, jobs):
                    raise

    def _try(self, jobs: 'list[Job[Any]]') -> None:
        with answering_within(max(_LEAST_ANSWER, jobs[-1].deadline - time.monotonic())):
            current = begin(self._transactions, self._connection)
            self._away = None
            with guests_of(self._database.db):
                self._run_jobs(jobs, self._connection.root())
            labels = labels_of(jobs)
            current.note(labels)
            commit(self._transactions, labels, self._marker, partial(self._ask_to_store, jobs))

    def _ask_to_store(self, jobs: 'list[Job[Any]]') -> None:
        """Note that the outcome of `jobs` is open. Raises TakenBack if one of them is not to be stored any more."""
        with self._lock:
            if any(job.late is not None for job in jobs):
                raise TakenBack
            self._storing = jobs

    def _run_jobs(self, jobs: 'list[Job[Any]]', root: Root) -> None:
        for place, job in enumerate(jobs):
            self._current = job
            try:
                job.run(root)
            except BaseException as error:  # noqa: BLE001 -- the error of the job, of any type
                raise Culprit(error, place) from None
        self._current = None

    def _publish(self, jobs: 'list[Job[Any]]') -> None:
        try:
            stored = [job.stored() for job in jobs if not job.is_cancelled]
            lost = [one for one in self._subscriptions if not one.publish(stored)]
        except BaseException:  # the jobs are stored, and must not be run again
            logger.exception('the subscribers could not be notified of %s', labels_of(jobs))
            lost = [*self._subscriptions]
        for subscription in lost:
            subscription.lose()
            self.unsubscribe(subscription)


def _leave_out_late(jobs: 'list[Job[Any]]') -> None:
    """Remove those of `jobs` that were taken back, or whose callers were told that the outcome is open."""
    late = [job for job in jobs if job.late is not None]
    if late:
        jobs[:] = [job for job in jobs if job.late is None]
    if doubted := [job for job in late if isinstance(job.late, OutcomeUnknown)]:
        logger.warning('%s had taken too long for its caller, and is not stored', labels_of(doubted))


def _reject_without_storage(jobs: 'list[Job[Any]]', error: BaseException) -> None:
    if isinstance(error, NotBegun):
        reject_all(jobs, UpdateFailed, f'could not begin: {error}', error.__cause__)
    else:
        reject_all(jobs, UpdateFailed, f'was not stored, because the storage is away ({error}): try again later', error)
