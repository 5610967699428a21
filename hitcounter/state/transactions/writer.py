"""The writer: the one thread that changes the database. It knows transactions, and nothing of components.

Updates queue up while a transaction is committed; the next transaction takes all of them, so that one fsync
serves many. Each runs as if alone, and its caller is woken when it is on disk.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, closing
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import transaction

from ...errors import Interrupted, OutcomeUnknown, StateClosed, StateError, UpdateFailed
from ..model.blame import reason
from ..model.root import Root
from ..storage.database import Database
from ..storage.periodic import PeriodicTask
from ..storage.turn import Advice
from .commit import NotBegun, Retries, abort, begin, commit, guests_of, refuse_within
from .interrupts import put_off
from .job import LOOK, NOT_HERE, Batch, Culprit, Job, Promise, divide, is_transient, labels_of, reject_all
from .marker import Marker
from .subscription import Subscription

logger = logging.getLogger(__name__)

R = TypeVar('R')

_NO_KEYWORDS: Mapping[str, Any] = MappingProxyType({})

#: Seconds after which a transaction that has not ended is logged, again and again.
STALL = 5.0

#: Seconds that closing waits for an update that does not end; to look up whether one was stored may take 30.
CLOSE_TIMEOUT = 40.0


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
        names it in the log and in the database's history. Ctrl-C waits for its end and then raises Interrupted.
        """
        job = Job(function, label, arguments, keywords)
        if threading.current_thread() is threading.main_thread():
            self._wait_for(job)
        else:
            self._queued(job).wait(self._thread)
        return job.result()

    def _wait_for(self, job: 'Job[Any]') -> None:
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
        job = Promise(function, label, arguments, keywords)
        self._queued(job)
        if not self._thread.is_alive() and not job.future.done():
            raise StateClosed(NOT_HERE)
        return job.future

    def subscribe(self) -> Subscription:
        """A subscription to every transaction from the next on, once it is on disk."""
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
        return Busy(current.label if current is not None else labels_of(batch.jobs), time.monotonic() - since)

    def _report(self) -> None:
        busy = self.busy
        if busy is not None and busy.seconds > STALL:
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
            self._thread.join(LOOK)
        self._leave_database()
        if self._failure is not None:
            raise StateError(self._end_of_writer()) from self._failure

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
            abort(self._transactions)
            if self._marker is not None:
                self._marker.remove()
            self._resources.close()
        except Exception:
            logger.exception('the connection of the writer could not be closed')

    def _commit_jobs(self, jobs: 'list[Job[Any]]') -> None:
        """Give each of `jobs` its result or its error. A job that fails does not make others fail."""
        retries, of_guests = Retries(), Retries.of_guests()
        shares = [jobs]
        while shares:
            share = shares.pop()
            try:
                self._store(share, retries, of_guests)
            except NotBegun as error:  # nor could the other shares
                reject_all(sum(reversed(shares), share), UpdateFailed, f'could not begin: {error}', error.__cause__)
                return
            except OutcomeUnknown as error:
                reject_all(share, OutcomeUnknown, f'may or may not have been stored: {error}', error.__cause__)
            except BaseException as error:  # noqa: BLE001 -- for the caller to handle; this thread goes on
                shares += divide(share, error)
            else:
                for job in share:
                    job.is_stored = True
                if self._subscriptions:
                    self._publish(share)

    def _store(self, jobs: 'list[Job[Any]]', retries: Retries, of_guests: Retries) -> None:
        """Run `jobs` in one transaction and commit it; after any error but OutcomeUnknown nothing of it has happened.

        Raises Culprit when one of them raises, otherwise as `commit` does.
        """
        while True:
            try:
                self._try(jobs)
                return
            except BaseException as error:
                abort(self._transactions)
                if not (is_transient(error, jobs) and (of_guests if isinstance(error, Culprit) else retries).pause()):
                    raise

    def _try(self, jobs: 'list[Job[Any]]') -> None:
        current = begin(self._transactions, self._connection)
        with guests_of(self._database.db):
            self._run_jobs(jobs, self._connection.root())
        labels = labels_of(jobs)
        current.note(labels)
        commit(self._transactions, labels, self._marker)

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
