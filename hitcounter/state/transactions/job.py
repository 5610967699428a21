"""Jobs: updates on their way through the writer, and which of them are to blame when a transaction fails."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from transaction.interfaces import TransientError

from ...errors import OutcomeUnknown, StateClosed, StateError, UpdateFailed
from ..model.blame import explained
from ..model.plain import plain
from ..model.root import Root
from .commit import NotStored, Raised, given_up, guests_of, is_of_storage
from .subscription import Stored

logger = logging.getLogger(__name__)

R = TypeVar('R')

#: Seconds after which an update, which holds up all others, is logged.
SLOW = 0.05

#: Seconds between two checks whether the writer's thread is still alive, by a caller that waits.
LOOK = 1.0

#: Seconds after which the caller of an update is told what became of it, whatever the storage does.
UPDATE_TIMEOUT = 8.0

NOT_HERE = 'the writer of the state is not in this process: open the state after the fork'


class Job(Generic[R]):
    """An update on its way: the writer gives it a result or an error."""

    __slots__ = (
        '_arguments',
        '_error',
        '_function',
        '_keywords',
        '_result',
        'deadline',
        'is_stored',
        'label',
        'late',
        'seconds',
    )

    _result: R
    is_cancelled = False

    def __init__(
        self,
        function: Callable[..., R],
        label: str,
        arguments: tuple[Any, ...],
        keywords: Mapping[str, Any],
        seconds: float = UPDATE_TIMEOUT,
    ) -> None:
        self.label = label
        #: How long its caller waits, from now on, and until when, on the clock of time.monotonic().
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        #: What its caller is told once that time is over; under the writer's lock. It is then not run any more.
        self.late: StateError | None = None
        self._function = function
        self._arguments = arguments
        self._keywords = keywords
        self._error: BaseException | None = None
        #: Whether its transaction is on disk; until then nobody may see its result.
        self.is_stored = False

    def run_within(self, databases: tuple[object, ...]) -> None:
        """Note that an update of `databases` queued it and waits for it: it must not wait for that update."""
        function = self._function

        def run(*arguments: Any, **keywords: Any) -> R:
            with guests_of(*databases):
                return function(*arguments, **keywords)

        self._function = run

    @property
    def is_done(self) -> bool:
        return self.is_stored or self._error is not None

    def run(self, root: Root) -> None:
        started = time.perf_counter()
        self._result = plain(self._function(root, *self._arguments, **self._keywords), self.label)
        took = time.perf_counter() - started
        if took > SLOW:
            logger.warning('%s held up all other updates for %.0f ms: make it shorter', self.label, took * 1000)

    def reject(self, error: BaseException) -> None:
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
        return self.late or self._error or OutcomeUnknown(f'{self.label} may or may not have been stored')

    def outcome(self) -> str:
        """What became of it, in a phrase."""
        if self.is_stored:
            return f'{self.label} had been stored'
        if isinstance(self._failure(), OutcomeUnknown):
            return f'{self.label} may or may not have been stored'
        return f'{self.label} had failed'

    def stored(self) -> Stored:
        return Stored(self.label, self._arguments, self._keywords, self._result)


class Promise(Job[R]):
    """An update whose result is a future's, and which can be cancelled until it runs."""

    __slots__ = ('_claim', '_is_running', 'future', 'is_cancelled')

    def __init__(self, *update: Any) -> None:  # as a Job's
        super().__init__(*update)
        self.future: Future[R] = Future()
        self._claim = threading.Lock()  # of the one thread that resolves the future
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

    def resolve(self) -> None:
        """Give the future its result or error, once the batch is settled or its time is over."""
        if not self._claim.acquire(blocking=False):
            return
        try:
            self._start()
            if self.is_cancelled:
                return
            if self.is_stored:
                self.future.set_result(self._result)
            else:
                self.future.set_exception(self._failure())
        except BaseException:  # a callback's, such as SystemExit: the future logs others, and this thread goes on
            logger.exception('a callback of %s failed', self.label)


class Batch:
    """Jobs that are settled together, and whose callers wait for that."""

    def __init__(self) -> None:
        self.jobs: list[Job[Any]] = []
        self.promises: list[Promise[Any]] = []  # the jobs whose callers do not wait for the latch
        self._is_finished = False
        self._latch = threading.Lock()
        self._latch.acquire()

    def wake(self) -> None:
        """For the writer's thread: wake up all callers that wait."""
        if not self._is_finished:
            self._is_finished = True
            self._latch.release()

    def finish(self) -> None:
        """For the writer's thread: wake up all callers, and resolve the promises, which may run code of others."""
        self.wake()
        for promise in self.promises:
            promise.resolve()

    def wait(self, writer: threading.Thread, deadline: float) -> bool:
        """Wait for the end of the batch, or until `deadline`; returns whether it has ended."""
        # Each wakes the next. Were all woken at once, they would only compete for the GIL.
        while not self._latch.acquire(timeout=_until(deadline)):
            is_alive = writer.is_alive()
            if self._is_finished:  # the caller that was to wake this one was interrupted
                return True
            if not is_alive:
                raise StateClosed(NOT_HERE)
            if time.monotonic() >= deadline:
                return False
        self._latch.release()
        return True

    def withdraw(self, job: Job[Any]) -> None:
        """For whoever holds the writer's lock, before the batch is run: leave out `job`."""
        self.jobs.remove(job)
        if isinstance(job, Promise):
            self.promises.remove(job)

    def overdue(self) -> list[Promise[Any]]:
        """The promises whose time is over, and whose callers do not know."""
        now = time.monotonic()
        return [promise for promise in self.promises if promise.deadline <= now and promise.late is None]


def _until(deadline: float) -> float:
    return max(0.0, min(LOOK, deadline - time.monotonic()))


class Culprit(Raised):
    """What one job of several raised, and its place among them."""

    def __init__(self, error: BaseException, place: int) -> None:
        super().__init__(error)
        self.place = place


def divide(jobs: 'list[Job[Any]]', error: BaseException) -> 'list[list[Job[Any]]]':
    """Those of `jobs` that are still to be done after `error`, in shares, the first one last; fails the culprit."""
    if isinstance(error, NotStored) and error.is_certain:
        reject_all(jobs, UpdateFailed, f'could not be stored: {error}', error.__cause__)
        return []
    place = error.place if isinstance(error, Culprit) else 0 if len(jobs) == 1 else None
    if place == 0 and jobs[1:] and isinstance(error, Culprit) and is_of_storage(error.error):
        return [jobs[:1], jobs[1:]]  # it is retried alone, so that no other has to wait
    if place == 0:  # all before it is stored, so its error counts
        jobs[0].reject(_own(jobs[0], error))
        return [jobs[1:]] if jobs[1:] else []
    middle = place or len(jobs) // 2
    return [jobs[middle:], jobs[:middle]]


def _own(job: 'Job[Any]', error: BaseException) -> BaseException:
    """What the caller of `job` gets for `error`."""
    if isinstance(error, NotStored):
        return _error_for([job], UpdateFailed, f'could not be stored: {error}', error.__cause__)
    own = error.error if isinstance(error, Raised) else error
    if is_of_storage(own) or (own is error and isinstance(own, TransientError)):
        return _error_for([job], UpdateFailed, f'was not stored, because {given_up(own)}: try again later', own)
    return explained(own, job.label)


def reject_all(jobs: 'list[Job[Any]]', kind: type[StateError], what: str, cause: BaseException | None) -> None:
    for job in jobs:
        job.reject(_error_for(jobs, kind, what, cause))


def _error_for(jobs: 'list[Job[Any]]', kind: type[StateError], what: str, cause: BaseException | None) -> StateError:
    error = kind(f'{labels_of(jobs)} {what}')
    error.__cause__ = cause
    return error


def labels_of(jobs: 'list[Job[Any]]') -> str:
    counts = Counter(job.label for job in jobs)
    return ', '.join(label if count == 1 else f'{count} x {label}' for label, count in counts.items())
