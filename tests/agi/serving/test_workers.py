"""Workers, in real threads."""

import threading
import time
from collections.abc import Iterator

import pytest

from hitcounter.agi.serving import workers as workers_module
from hitcounter.agi.serving.workers import READY, Workers
from tests.support.patience import PATIENCE


class Jobs:
    """Jobs that tell in which thread they run, and end when they are told to."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def __call__(self, _: int) -> None:
        self.threads.append(threading.current_thread().name)
        self.begun.release()
        assert self.go.acquire(timeout=PATIENCE)


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    yield Jobs()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith('test')]


def test_the_one_most_recently_idle_is_taken_first(jobs: Jobs) -> None:
    workers = Workers(jobs, 4, 'test')
    for job in range(3):
        workers.submit(job)
        jobs.begun.acquire()
        jobs.go.release()
        assert workers.wait_idle(PATIENCE)
    assert len(set(jobs.threads)) == 1
    assert workers.stop(10) == 0


def test_a_job_waits_a_moment_for_one_of_the_ready_and_then_there_is_one_more(jobs: Jobs) -> None:
    workers = Workers(jobs, READY + 1, 'test')
    for job in range(READY + 1):
        assert workers.next_deadline() is None
        workers.submit(job)
    begin(jobs, READY)
    start_overdue(workers)
    begin(jobs, 1)
    end(workers, jobs, READY + 1)
    assert len(set(jobs.threads)) == READY + 1


def test_a_job_that_waits_goes_to_the_first_that_is_free(jobs: Jobs) -> None:
    workers = Workers(jobs, 1, 'test')
    workers.submit(1)
    workers.submit(2)
    begin(jobs, 1)
    jobs.go.release()
    begin(jobs, 1)
    assert workers.next_deadline() is None
    end(workers, jobs, 1)
    assert len(jobs.threads) == 2


def test_a_job_that_waits_too_long_when_there_can_be_no_more_is_given_back(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers_module, 'ADMISSION_TIMEOUT', 0.05)
    workers = Workers(jobs, 1, 'test')
    workers.submit(1)
    workers.submit(2)
    workers.submit(3)
    assert start_overdue(workers)[:1] == [2]
    end(workers, jobs, 2)


def test_where_the_system_gives_no_more_threads_there_are_as_many_as_it_gave(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    workers = Workers(jobs, READY + 10, 'test')
    for job in range(READY + 1):
        workers.submit(job)
    monkeypatch.setattr(threading.Thread, 'start', refuse)
    assert start_overdue(workers) == []
    monkeypatch.undo()
    assert caplog.messages == [f"the system allows only {READY} workers for now: can't start new thread"]
    end(workers, jobs, READY + 1)


def test_a_thread_that_was_refused_is_asked_for_again(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(workers_module, 'REFUSED_FOR', 0.05)
    workers = Workers(jobs, READY + 2, 'test')
    for job in range(READY + 2):
        workers.submit(job)
    begin(jobs, READY)
    with monkeypatch.context() as system:
        system.setattr(threading.Thread, 'start', refuse)
        assert start_overdue(workers) == []
    while workers.next_deadline() is not None:
        assert start_overdue(workers) == []
    begin(jobs, 2)
    end(workers, jobs, READY + 2)
    assert len(set(jobs.threads)) == READY + 2


def test_it_begins_with_the_threads_that_the_system_gives(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    start, begun = threading.Thread.start, []

    def refuse(thread: threading.Thread) -> None:
        if len(begun) == 3:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        start(thread)

    monkeypatch.setattr(workers_module, 'REFUSED_FOR', 0.05)
    with monkeypatch.context() as system:
        system.setattr(threading.Thread, 'start', refuse)
        workers = Workers(jobs, READY, 'test')
    assert len(workers._threads) == 3
    for job in range(5):
        workers.submit(job)
    begin(jobs, 3)
    while workers.next_deadline() is not None:
        assert start_overdue(workers) == []
    begin(jobs, 2)
    end(workers, jobs, 5)


def test_a_worker_outlives_what_its_work_raises(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()

    def work(job: int) -> None:
        if job:
            raise SystemExit(job)
        done.set()

    workers = Workers(work, 1, 'test')
    workers.submit(1)
    workers.submit(0)
    assert done.wait(PATIENCE)
    assert workers.wait_idle(PATIENCE)
    assert workers.stop(10) == 0
    assert 'a worker continues' in caplog.text


def begin(jobs: Jobs, count: int) -> None:
    for _ in range(count):
        assert jobs.begun.acquire(timeout=PATIENCE)


def end(workers: Workers[int], jobs: Jobs, count: int) -> None:
    for _ in range(count):
        jobs.go.release()
    assert workers.wait_idle(PATIENCE)
    assert workers.stop(10) == 0


def start_overdue(workers: Workers[int]) -> list[int]:
    due = workers.next_deadline()
    assert due is not None
    while time.monotonic() < due:
        pass
    return workers.start_overdue()


def test_waiting_for_all_to_be_idle_is_bounded(jobs: Jobs) -> None:
    workers = Workers(jobs, 1, 'test')
    workers.submit(1)
    assert not workers.wait_idle(0.01)
    assert workers.stop(0.01) == 1
    jobs.go.release()
    assert workers.stop(10) == 0
