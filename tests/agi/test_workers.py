"""Workers, in real threads."""

import threading
from collections.abc import Iterator

import pytest

from hitcounter.agi.workers import READY, Workers


class Jobs:
    """Jobs that tell in which thread they run, and end when they are told to."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def __call__(self, _: int) -> None:
        self.threads.append(threading.current_thread().name)
        self.begun.release()
        assert self.go.acquire(timeout=10)


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    yield Jobs()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith('test')]


def test_the_one_most_recently_idle_is_taken_first(jobs: Jobs) -> None:
    workers = Workers(jobs, 4, 'test')
    for job in range(3):
        workers.hand(job)
        jobs.begun.acquire()
        jobs.go.release()
        assert workers.wait_idle(10)
    assert len(set(jobs.threads)) == 1
    assert workers.stop(10) == 0


def test_there_are_more_of_them_when_more_are_needed_and_never_too_many(jobs: Jobs) -> None:
    most = READY + 2
    workers = Workers(jobs, most, 'test')
    assert [workers.hand(job) for job in range(most + 1)] == [True] * most + [False]
    for _ in range(most):
        assert jobs.begun.acquire(timeout=10)
    for _ in range(most + 1):
        jobs.go.release()
    assert workers.wait_idle(10)
    assert len(jobs.threads) == most + 1
    assert len(set(jobs.threads)) == most
    assert workers.stop(10) == 0


def test_a_job_that_waits_can_be_withdrawn_once(jobs: Jobs) -> None:
    workers = Workers(jobs, 1, 'test')
    workers.hand(1)
    workers.hand(2)
    assert workers.withdraw(2)
    assert not workers.withdraw(2)
    jobs.go.release()
    assert workers.stop(10) == 0
    assert len(jobs.threads) == 1


def test_waiting_for_all_to_be_idle_is_bounded(jobs: Jobs) -> None:
    workers = Workers(jobs, 1, 'test')
    workers.hand(1)
    assert not workers.wait_idle(0.01)
    assert workers.stop(0.01) == 1
    jobs.go.release()
    assert workers.stop(10) == 0
