"""What is done again and again."""

import itertools
import threading
import time
from contextlib import closing

import pytest

from hitcounter.errors import NoRoom
from hitcounter.state.storage import periodic
from hitcounter.state.storage.periodic import PeriodicTask
from tests.support.patience import PATIENCE


def test_it_is_done_until_it_is_closed() -> None:
    times = threading.Semaphore(0)
    with closing(PeriodicTask('counting', 0.001, times.release)):
        for _ in range(3):
            assert times.acquire(timeout=PATIENCE)
    assert 'counting' not in [thread.name for thread in threading.enumerate()]


def test_what_takes_long_is_done_less_often() -> None:
    ends: list[float] = []
    begins: list[float] = []
    twice = threading.Event()

    def work() -> None:
        begins.append(time.monotonic())
        threading.Event().wait(0.02)  # the work itself, not for anything
        ends.append(time.monotonic())
        if len(begins) == 2:
            twice.set()

    with closing(PeriodicTask('counting', 0.001, work)):
        assert twice.wait(PATIENCE)
    assert begins[1] - ends[0] >= 9 * (ends[0] - begins[0])


def test_after_each_failure_it_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(periodic, 'MOST_AFTER_FAILURE', 0.04)
    begins: list[float] = []
    often = threading.Event()

    def fail() -> None:
        begins.append(time.monotonic())
        if len(begins) == 5:
            often.set()
        raise NoRoom('make room')

    with closing(PeriodicTask('counting', 0.001, fail, after_failure=0.01)):
        assert often.wait(PATIENCE)
    pauses = [after - before for before, after in itertools.pairwise(begins)]
    assert all(pause >= least for pause, least in zip(pauses, [0.01, 0.02, 0.04, 0.04], strict=True))


@pytest.mark.parametrize(
    ('error', 'said'),
    [
        (NoRoom('make room'), 'counting failed, and is tried again later: make room'),
        (KeyError(5), 'KeyError: 5'),
        (SystemExit(3), 'SystemExit: 3'),
    ],
)
def test_what_fails_is_logged_and_tried_again(
    error: BaseException, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    times = threading.Semaphore(0)

    def fail() -> None:
        times.release()
        raise error

    with closing(PeriodicTask('counting', 0.001, fail, after_failure=0.001)):
        for _ in range(3):
            assert times.acquire(timeout=PATIENCE)
    assert said in caplog.text
