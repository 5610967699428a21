"""What is done again and again."""

import threading
from contextlib import closing

import pytest
from patience import PATIENCE

from hitcounter.errors import NoRoom
from hitcounter.state import repeated
from hitcounter.state.repeated import Repeated


def test_it_is_done_until_it_is_closed() -> None:
    times = threading.Semaphore(0)
    with closing(Repeated('counting', 0.001, times.release)):
        for _ in range(3):
            assert times.acquire(timeout=PATIENCE)
    assert 'counting' not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize(
    ('error', 'said'),
    [(NoRoom('make room'), 'counting failed, and is tried again later: make room'), (KeyError(5), 'KeyError: 5')],
)
def test_what_fails_is_logged_and_tried_again(
    error: Exception, said: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeated, 'AFTER_FAILURE', 0.001)
    times = threading.Semaphore(0)

    def fail() -> None:
        times.release()
        raise error

    with closing(Repeated('counting', 0.001, fail)):
        for _ in range(3):
            assert times.acquire(timeout=PATIENCE)
    assert said in caplog.text
