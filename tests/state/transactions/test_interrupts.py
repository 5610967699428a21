"""Ctrl-C while something is stored: real signals, in this process."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from persistent.list import PersistentList

from hitcounter.errors import Interrupted
from hitcounter.state import Component, State, WriteConnection, open_database, query, update
from hitcounter.state.transactions import interrupts
from hitcounter.state.transactions.interrupts import put_off
from tests.support.patience import PATIENCE


@pytest.fixture(autouse=True)
def handled() -> Iterator[None]:
    """A process that was started in the background ignores Ctrl-C, and so would these tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def press() -> None:
    """Press Ctrl-C: the main thread, which takes it, has taken it when this returns there."""
    os.kill(os.getpid(), signal.SIGINT)


def test_one_waits_for_the_end_of_the_block() -> None:
    with put_off() as late:
        assert not late.came
        press()
        assert late.came
    with pytest.raises(KeyboardInterrupt):
        press()


def test_a_second_one_does_not_wait() -> None:
    def press_twice() -> None:
        with put_off():
            press()
            press()

    with pytest.raises(KeyboardInterrupt):
        press_twice()


def test_one_that_has_waited_long_enough_interrupts_even_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, 'GRACE', 0.1)
    started = time.monotonic()

    def press_and_wait() -> None:
        with put_off():
            press()
            threading.Event().wait(PATIENCE)

    with pytest.raises(KeyboardInterrupt):
        press_and_wait()
    assert time.monotonic() - started < PATIENCE


def test_neither_does_it_wait_for_what_the_error_makes_it_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, 'GRACE', 0.1)
    started = time.monotonic()

    def press_and_wait_twice() -> None:
        with put_off():
            press()
            try:
                threading.Event().wait(PATIENCE)
            finally:
                threading.Event().wait(PATIENCE)

    with pytest.raises(KeyboardInterrupt):
        press_and_wait_twice()
    assert time.monotonic() - started < PATIENCE


def test_no_thread_is_left_of_one_that_waited() -> None:
    with put_off():
        press()
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    for timer in timers:
        timer.join(PATIENCE)
    assert not [timer for timer in timers if timer.is_alive()]


def test_the_outer_of_two_blocks_learns_of_it() -> None:
    with put_off() as outer:
        with put_off() as inner:
            press()
        assert (outer.came, inner.came) == (True, False)


def test_a_handler_of_the_programs_own_is_left_in_place() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    with put_off() as late:
        press()
    signal.signal(signal.SIGINT, before)
    assert (seen, late.came) == ([signal.SIGINT], False)


def test_in_another_thread_nothing_changes() -> None:
    handlers: list[object] = []

    def work() -> None:
        with put_off():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE)
    assert handlers == [signal.default_int_handler]


# What is interrupted.


class Keys(Component):
    """Presses Ctrl-C."""

    name = 'keys'

    def __init__(self) -> None:
        self.texts = PersistentList()

    @update
    def add(self, text: str) -> int:
        if text == 'press':
            press()
        self.texts.append(text)
        if text == 'fail':
            press()
            raise ValueError(text)
        return len(self.texts)

    @query
    def all(self) -> list[str]:
        return list(self.texts)


class Pressing(PersistentList):
    """Presses Ctrl-C so many times while it is pickled."""

    times = 1

    def __getstate__(self) -> object:
        for _ in range(self.times):
            press()
        return super().__getstate__()


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f'file://{tmp_path}/test.fs'


@pytest.fixture
def state(uri: str) -> Iterator[State]:
    with open_database(uri, share=True) as database, State(database, [Keys]) as state:
        yield state


def test_an_update_is_stored_before_its_caller_is_interrupted(state: State) -> None:
    with pytest.raises(Interrupted, match=r'^keys\.add had been stored$'):
        state[Keys].add('press')
    assert state[Keys].all() == ['press']


def test_an_update_that_failed_says_so(state: State) -> None:
    with pytest.raises(Interrupted, match=r'^keys\.add had failed$'):
        state[Keys].add('fail')
    assert state[Keys].all() == []


def test_an_update_that_does_not_end_is_not_waited_for_for_ever(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, 'GRACE', 0.1)
    go_on = threading.Event()

    def wait(_: object) -> None:
        press()
        assert go_on.wait(PATIENCE)

    with pytest.raises(Interrupted, match='had not ended, and may still be stored'):
        state.update(wait)
    go_on.set()


def test_bulk_says_how_many_are_stored(state: State) -> None:
    words = ['one', 'press', 'three']
    with pytest.raises(Interrupted, match=r'^stored 3 updates of keys\.add$'):
        state.bulk(Keys.add, [(word,) for word in words])
    assert state[Keys].all() == words


def test_a_commit_ends_before_its_caller_is_interrupted(uri: str) -> None:
    with open_database(uri, share=True) as database, WriteConnection(database.db) as session:
        session.root['list'] = Pressing(['stored'])
        with pytest.raises(Interrupted, match=r'^the changes had been stored$'):
            session.commit()
        assert not session.is_changed
        assert list(session.root['list']) == ['stored']


def test_a_second_ctrl_c_before_the_vote_leaves_nothing_stored(uri: str) -> None:
    with open_database(uri, share=True) as database, WriteConnection(database.db) as session:
        session.root['list'] = Pressing(['never'])
        session.root['list'].times = 2
        with pytest.raises(Interrupted, match=r'^nothing of the changes was stored$'):
            session.commit()
        assert 'list' not in session.root


def test_what_a_session_runs_is_not_stored_when_it_is_interrupted(uri: str) -> None:
    def change(root: dict[str, int]) -> None:
        root['a'] = 1
        press()

    with open_database(uri, share=True) as database, WriteConnection(database.db) as session:
        with pytest.raises(Interrupted, match=r'^nothing was stored$'):
            session.run(change)
        assert 'a' not in session.root


def test_an_interrupt_once_all_have_voted_leaves_the_outcome_open(uri: str) -> None:
    with open_database(uri, share=True) as database, WriteConnection(database.db) as session:

        def stop(*_: object) -> None:
            press()
            press()

        session.root['a'] = 1
        vars(session._connection)['tpc_finish'] = stop
        with pytest.raises(Interrupted, match='the changes may or may not have been stored: check before'):
            session.commit()
        del vars(session._connection)['tpc_finish']
