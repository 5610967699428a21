"""Turns of processes, on real locks."""

import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from hitcounter.state.storage import turn
from hitcounter.state.storage.turn import FileTurn
from tests.support.patience import PATIENCE

Open = Callable[[], FileTurn]


@pytest.fixture
def open_turn(tmp_path: Path) -> Iterator[Open]:
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    with ExitStack() as resources:
        resources.callback(os.close, folder)
        yield lambda: resources.enter_context(closing(FileTurn(folder)))


def test_a_full_disk_takes_nobody_their_turn(open_turn: Open) -> None:
    mine, other = open_turn(), open_turn()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, unlimited[1]))  # no file may grow, as on a full disk
    try:
        with mine, other:  # who comes second goes on without
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)


def test_one_after_the_other(open_turn: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, 'TURN_TIMEOUT', 10.0)
    inside: list[int] = []
    most: list[int] = []

    def work(mine: FileTurn) -> None:
        for _ in range(50):
            with mine:
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work, args=(open_turn(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert most == [1] * 200


def test_a_long_line_is_waited_for_as_long_as_it_moves(open_turn: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, 'TURN_TIMEOUT', 1.5)
    inside: list[int] = []
    most: list[int] = []

    def work(mine: FileTurn) -> None:
        with mine:
            inside.append(1)
            time.sleep(0.1)  # what a turn is for
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=work, args=(open_turn(),)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert most == [1] * 20


def test_nobody_passes_the_one_who_waits(open_turn: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, 'TURN_TIMEOUT', 10.0)
    hot, other = open_turn(), open_turn()
    has_had_it = threading.Event()
    passed = 0

    def wait() -> None:
        with other:
            has_had_it.set()

    waiting = threading.Thread(target=wait)
    with hot:
        waiting.start()
        while turn._lock(hot._door):  # until the other waits there
            turn.fcntl.flock(hot._door, turn.fcntl.LOCK_UN)  # type: ignore[attr-defined]  # what the module imports is replaced
    while not has_had_it.is_set():
        with hot:
            passed += not has_had_it.is_set()
    waiting.join(PATIENCE)
    assert passed == 0


def test_one_that_is_stopped_is_waited_for_once(open_turn: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, 'TURN_TIMEOUT', 0.3)
    stopped, other = open_turn(), open_turn()
    with stopped:
        started = time.monotonic()
        with other:
            assert time.monotonic() - started >= 0.3
        monkeypatch.setattr(turn, 'TURN_TIMEOUT', 1000.0)  # a wait would show
        for _ in range(3):
            with other:
                pass
    with other:  # it has its turns again
        assert not turn._lock(stopped._turn)


class Failing:
    """A turn that raises, as one on a network file system may."""

    def __init__(self, *, at: str) -> None:
        self._at = at
        self.left = 0

    def __enter__(self) -> None:
        if self._at == 'enter':
            raise OSError(37, 'No locks available')

    def __exit__(self, *_: object) -> None:
        self.left += 1
        if self._at == 'exit':
            raise OSError(37, 'No locks available')

    def close(self) -> None:
        pass


@pytest.mark.parametrize(('at', 'left'), [('enter', 0), ('exit', 2)])
def test_whatever_a_turn_raises_is_no_turn_and_is_logged_once(
    at: str, left: int, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Failing(at=at)
    advice = turn.Advice(failing)
    done = 0
    for _ in range(2):
        with advice:
            done += 1
    assert (done, failing.left) == (2, left)
    (message,) = caplog.messages
    assert message.startswith('no turns can be taken')
    assert 'No locks available' in message


def test_what_is_raised_in_a_turn_is_not_the_turns(open_turn: Open) -> None:
    mine, other = open_turn(), open_turn()
    with pytest.raises(ValueError, match='own'), turn.Advice(mine):
        raise ValueError('own')
    assert turn._lock(other._turn)


def test_a_turn_that_was_closed_touches_no_other_file(open_turn: Open, tmp_path: Path) -> None:
    mine = open_turn()
    mine.close()
    opened = [os.open(tmp_path / f'other{number}', os.O_RDWR | os.O_CREAT) for number in range(2)]  # with its numbers
    with turn.Advice(mine):
        pass
    mine.close()
    for file in opened:
        assert os.fstat(file).st_size == 0
        os.close(file)


def test_an_interrupt_in_a_turns_line_leaves_the_door_open(open_turn: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = open_turn(), open_turn()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with other:
        monkeypatch.setattr(turn.time, 'sleep', interrupt)  # type: ignore[attr-defined]  # what the module imports is replaced
        with pytest.raises(KeyboardInterrupt), mine:
            pass
    assert turn._lock(other._door)


def test_no_line_is_waited_in_for_ever(open_turn: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, 'TURN_TIMEOUT', 1000.0)
    monkeypatch.setattr(turn, 'LINE_TIMEOUT', 0.2)
    with open_turn():
        started = time.monotonic()
        with open_turn():
            assert 0.2 <= time.monotonic() - started < 100
