"""Workers: threads that are started before they are needed, and kept."""

import collections
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

Job = TypeVar('Job')

#: Threads that exist from the start, and run jobs as soon as they come. Starting one costs more than a short call,
#: and threads that wait for the GIL slow down all others: it pays to wait a moment for one of these.
READY = 32

#: Seconds that a job waits for one of these to be idle, before another thread is started.
WAIT_FOR_READY = 0.002

#: Seconds that a job waits if there can be no further thread.
ADMISSION_TIMEOUT = 1.0

#: Seconds to wait before trying again to start a thread that the system refused.
REFUSED_FOR = 0.5


class Workers(Generic[Job]):
    """At most `most` threads that run `work(job)`, the one most recently idle first, so that few stay hot.

    A job that finds no idle thread waits, first come first served. The one thread that submits jobs must call
    `start_overdue` at `next_deadline`. What `work` raises is logged. Raises RuntimeError if the system refuses
    even the first thread; if it refuses a later one, the workers try again after a while.
    """

    def __init__(self, work: Callable[[Job], None], most: int, name: str) -> None:
        self._work = work
        self._most = most
        self._name = name
        self._lock = threading.Lock()  # guards all below
        self._all_idle = threading.Condition(self._lock)
        self._threads: list[threading.Thread] = []
        self._ask_again = -math.inf  # when to try again to start a thread
        self._idle = [self._start()]
        while len(self._threads) < min(READY, most) and (mailbox := self._another()):
            self._idle.append(mailbox)
        self._waiting: collections.deque[tuple[float, Job]] = collections.deque()  # each since when
        self._stopping = False

    def submit(self, job: Job) -> None:
        """Give `job` to a worker if one of the ready ones is idle; otherwise it waits."""
        with self._lock:
            if len(self._threads) - len(self._idle) >= READY or not (mailbox := self._spare()):
                self._waiting.append((time.monotonic(), job))
                return
        mailbox.put(job)

    def next_deadline(self) -> float | None:
        """When to call `start_overdue`, on the clock of time.monotonic(); None if no job waits."""
        with self._lock:
            if not self._waiting:
                return None
            since = self._waiting[0][0]
            if self._idle:
                return since + WAIT_FOR_READY
            if len(self._threads) == self._most:
                return since + ADMISSION_TIMEOUT
            return min(max(since + WAIT_FOR_READY, self._ask_again), since + ADMISSION_TIMEOUT)

    def start_overdue(self) -> list[Job]:
        """Start a worker for each job that has waited long enough; returns the jobs that have waited too long."""
        now = time.monotonic()
        expired = []
        with self._lock:
            while self._waiting and self._waiting[0][0] <= now - WAIT_FOR_READY and (mailbox := self._spare()):
                mailbox.put(self._waiting.popleft()[1])
            while self._waiting and self._waiting[0][0] <= now - ADMISSION_TIMEOUT:
                expired.append(self._waiting.popleft()[1])
        return expired

    def cancel_waiting(self) -> list[Job]:
        """Remove and return all jobs that wait."""
        with self._lock:
            jobs = [job for _, job in self._waiting]
            self._waiting.clear()
        return jobs

    def wait_idle(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until no worker has a job; returns whether that has happened."""
        with self._lock:
            return self._all_idle.wait_for(lambda: len(self._idle) == len(self._threads), timeout)

    def stop(self, timeout: float) -> int:
        """Let every worker end after its job, and join them; returns how many still run after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._lock:
            self._stopping = True
            idle, self._idle = self._idle, []
        for mailbox in idle:
            mailbox.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return sum(thread.is_alive() for thread in self._threads)

    def _spare(self) -> '_Mailbox[Job] | None':
        if self._idle:
            return self._idle.pop()
        return self._another() if len(self._threads) < self._most else None

    def _another(self) -> '_Mailbox[Job] | None':
        if time.monotonic() < self._ask_again:
            return None
        try:
            return self._start()
        except RuntimeError as error:  # the system refuses another thread
            if self._ask_again == -math.inf:
                logger.warning('the system allows only %d workers for now: %s', len(self._threads), error)
            self._ask_again = time.monotonic() + REFUSED_FOR
            return None

    def _start(self) -> '_Mailbox[Job]':
        mailbox: _Mailbox[Job] = _Mailbox()
        name = f'{self._name} {len(self._threads) + 1}'
        thread = threading.Thread(target=self._run, args=(mailbox,), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)
        self._ask_again = -math.inf
        return mailbox

    def _run(self, mailbox: '_Mailbox[Job]') -> None:
        job = mailbox.get()
        while job is not None:
            try:
                self._work(job)
            except BaseException:  # a worker that ended would be missing for good
                logger.exception('a worker continues after an unexpected error')
            job = self._next(mailbox)

    def _next(self, mailbox: '_Mailbox[Job]') -> Job | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()[1]
            if self._stopping:
                return None
            self._idle.append(mailbox)
            if len(self._idle) == len(self._threads):
                self._all_idle.notify_all()
        return mailbox.get()


class _Mailbox(Generic[Job]):
    """The next job of one thread. A bare lock: an Event costs three times as much, twice a call."""

    def __init__(self) -> None:
        self._filled = threading.Lock()
        self._filled.acquire()
        self._job: Job | None = None

    def put(self, job: Job | None) -> None:
        self._job = job
        self._filled.release()

    def get(self) -> Job | None:
        self._filled.acquire()
        job, self._job = self._job, None
        return job
