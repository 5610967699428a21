"""Workers: threads that are started before they are needed, and kept."""

import collections
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar('Job')

#: Threads that are there from the start; to start one costs more than a short call.
READY = 32


class Workers(Generic[Job]):
    """At most `most` threads that run `work(job)`, the one most recently idle first, so that few stay hot.

    A job that finds all of them busy waits, first come first served. `work` must not raise.
    """

    def __init__(self, work: Callable[[Job], None], most: int, name: str) -> None:
        self._work = work
        self._most = most
        self._name = name
        self._lock = threading.Lock()  # of all below
        self._all_idle = threading.Condition(self._lock)
        self._threads: list[threading.Thread] = []
        self._idle = [self._start() for _ in range(min(READY, most))]
        self._waiting: collections.deque[Job] = collections.deque()
        self._stopping = False

    def hand(self, job: Job) -> bool:
        """Give `job` to an idle worker; False if there is none, and the job waits."""
        with self._lock:
            if self._idle:
                worker = self._idle.pop()
            elif len(self._threads) < self._most:
                worker = self._start()
            else:
                self._waiting.append(job)
                return False
        worker.take(job)
        return True

    def withdraw(self, job: Job) -> bool:
        """Take back a job that waits; False if a worker has it by now."""
        with self._lock:
            try:
                self._waiting.remove(job)
            except ValueError:
                return False
            return True

    def wait_idle(self, timeout: float) -> bool:
        """Wait until no worker has a job, for `timeout` seconds at most; False if that was too short."""
        with self._lock:
            return self._all_idle.wait_for(lambda: len(self._idle) == len(self._threads), timeout)

    def stop(self, timeout: float) -> int:
        """Let every worker end after its job, and join them; returns how many had not ended after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._lock:
            self._stopping = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.take(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return sum(thread.is_alive() for thread in self._threads)

    def _start(self) -> '_Worker[Job]':
        worker: _Worker[Job] = _Worker()
        name = f'{self._name} {len(self._threads) + 1}'
        thread = threading.Thread(target=self._run, args=(worker,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()
        return worker

    def _run(self, worker: '_Worker[Job]') -> None:
        job = worker.wait()
        while job is not None:
            self._work(job)
            job = self._next(worker)

    def _next(self, worker: '_Worker[Job]') -> Job | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if self._stopping:
                return None
            self._idle.append(worker)
            if len(self._idle) == len(self._threads):
                self._all_idle.notify_all()
        return worker.wait()


class _Worker(Generic[Job]):
    """One thread's letter box. A bare lock: an Event costs three times as much, twice a call."""

    def __init__(self) -> None:
        self._letter = threading.Lock()
        self._letter.acquire()
        self._job: Job | None = None

    def take(self, job: Job | None) -> None:
        self._job = job
        self._letter.release()

    def wait(self) -> Job | None:
        self._letter.acquire()
        job, self._job = self._job, None
        return job
