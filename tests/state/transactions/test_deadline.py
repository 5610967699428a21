"""The time of an update: what its caller is told when it is over, and that the writer goes on."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from hitcounter.errors import OutcomeUnknown, StateError, StateUnavailable, UpdateFailed
from hitcounter.state import Components, Database, ReadConnection, State
from hitcounter.state.storage.away import StorageAway, answer_deadline, answering_within
from hitcounter.state.transactions import writer
from tests.support.notes import Notes, held_up
from tests.support.patience import PATIENCE


@pytest.fixture
def impatient(database: Database) -> Iterator[State]:
    """A state whose callers wait for a moment only."""
    with State(database, [Notes]) as patient:
        assert patient[Notes].all() == []
    with State(database, [Notes], timeout=0.3) as state:
        yield state


class Hanging:
    """Lets one step of the next commit hang, as a storage does that does not answer."""

    def __init__(self, state: State, step: str) -> None:
        self._methods = vars(state._writer._connection)
        self._step = step
        self._original: Callable[..., Any] = getattr(state._writer._connection, step)
        self.reached, self._go = threading.Event(), threading.Event()

    def _hang(self, *arguments: Any) -> Any:
        self.reached.set()
        assert self._go.wait(PATIENCE)
        return self._original(*arguments)

    def __enter__(self) -> 'Hanging':
        self._methods[self._step] = self._hang
        return self

    def __exit__(self, *_: object) -> None:
        del self._methods[self._step]
        self._go.set()


@contextmanager
def in_time() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < PATIENCE / 4


def wait_until_idle(state: State) -> None:
    while state._writer.busy is not None:
        time.sleep(0.001)


def test_an_update_that_waits_too_long_is_taken_back(impatient: State) -> None:
    with held_without_time(impatient), in_time():
        with pytest.raises(UpdateFailed, match=r'notes\.add was taken back after 0\.3 s, .* holds up all others'):
            impatient[Notes].add('never')
        assert impatient._writer._queue.jobs == []
    wait_until_idle(impatient)
    assert impatient[Notes].add('goes on') == 1


@contextmanager
def held_without_time(state: State) -> Iterator[None]:
    """As held_up, though the update that holds the writer up is itself taken back."""
    held, go = threading.Event(), threading.Event()

    def hold(_: Components) -> None:
        held.set()
        assert go.wait(PATIENCE)

    def run() -> None:
        with suppress(UpdateFailed):
            state.update(hold)

    thread = threading.Thread(target=run)
    thread.start()
    assert held.wait(PATIENCE)
    yield
    go.set()
    thread.join(PATIENCE)


def test_an_update_that_runs_too_long_is_taken_back_and_not_stored(impatient: State) -> None:
    go = threading.Event()

    def endless(parts: Components) -> None:
        parts[Notes].texts.append('never')
        assert go.wait(PATIENCE)

    with in_time(), pytest.raises(UpdateFailed, match='it was still running'):
        impatient.update(endless)
    go.set()
    wait_until_idle(impatient)
    assert impatient[Notes].all() == []


def test_the_others_of_a_batch_are_stored_when_one_is_taken_back(database: Database) -> None:
    with State(database, [Notes], timeout=PATIENCE) as state, ThreadPoolExecutor(1) as callers:
        with held_up(state):
            lasting = state.submit(Notes.add, 'lasting')
            hurried = callers.submit(state._writer.run, lambda root: root['notes'].add('late'), 'hurried', seconds=0.3)
            while len(state._writer._queue.jobs) < 2:
                pass
            while not hurried.done():
                pass
        with pytest.raises(UpdateFailed, match='hurried was taken back'):
            hurried.result(PATIENCE)
        assert lasting.result(PATIENCE) == 1
        assert state[Notes].all() == ['lasting']


@pytest.mark.parametrize('step', ['tpc_begin', 'tpc_vote'])
def test_an_update_whose_storage_hangs_before_it_is_asked_to_store_never_is(impatient: State, step: str) -> None:
    with Hanging(impatient, step) as hanging, in_time():
        with pytest.raises(UpdateFailed, match=r'notes\.add was taken back .*: the storage takes too long'):
            impatient[Notes].add('never')
        assert hanging.reached.is_set()
    wait_until_idle(impatient)
    assert impatient[Notes].all() == []
    assert impatient[Notes].add('goes on') == 1


def test_an_update_that_hangs_while_it_is_stored_has_an_open_outcome_which_the_log_says_later(
    impatient: State, caplog: pytest.LogCaptureFixture
) -> None:
    with Hanging(impatient, 'tpc_finish'), in_time():
        with pytest.raises(OutcomeUnknown, match=r'notes\.add may or may not have been stored: .* within 0\.3 s'):
            impatient[Notes].add('perhaps')
        with pytest.raises(UpdateFailed, match='was taken back'):
            impatient[Notes].add('never')
    wait_until_idle(impatient)
    assert 'notes.add had taken too long for its caller, and is stored' in caplog.messages
    assert impatient[Notes].all() == ['perhaps']
    assert impatient[Notes].add('goes on') == 2


@pytest.mark.parametrize(('step', 'kind'), [('tpc_vote', UpdateFailed), ('tpc_finish', OutcomeUnknown)])
def test_a_future_gets_its_error_though_the_writer_hangs(impatient: State, step: str, kind: type[StateError]) -> None:
    with Hanging(impatient, step) as hanging:
        future = impatient.submit(Notes.add, 'late')
        assert hanging.reached.wait(PATIENCE)
        waiting = impatient.submit(Notes.add, 'never')
        assert isinstance(future.exception(PATIENCE), kind)
        assert isinstance(waiting.exception(PATIENCE), UpdateFailed)
    wait_until_idle(impatient)
    assert impatient[Notes].all() == (['late'] if kind is OutcomeUnknown else [])


def test_a_storage_that_is_away_is_waited_for_and_no_batch_is_divided_for_it(state: State) -> None:
    connection, begun = state._writer._transactions, []
    begin = connection.begin

    def be_away() -> Any:
        begun.append(time.monotonic())
        if len(begun) < 6:
            raise StorageAway('gone')
        return begin()

    with held_up(state):
        futures = [state.submit(Notes.add, str(number)) for number in range(8)]
        connection.begin = be_away
    assert [future.result(PATIENCE) for future in futures] == list(range(1, 9))
    assert len(begun) == 6


def test_a_storage_that_goes_away_before_the_vote_divides_no_batch_either(
    state: State, caplog: pytest.LogCaptureFixture
) -> None:
    methods, votes = vars(state._writer._connection), []

    def be_away(*_: object) -> None:
        votes.append(1)
        if len(votes) == 3:
            del methods['tpc_vote']
        raise StorageAway('gone')

    with held_up(state), state.subscribe() as updates:
        futures = [state.submit(Notes.add, str(number)) for number in range(8)]
        methods['tpc_vote'] = be_away
    assert [future.result(PATIENCE) for future in futures] == list(range(1, 9))
    assert updates
    assert len(votes) == 3


def test_a_storage_that_stays_away_is_said_to_be_away_and_the_writer_goes_on_by_itself(impatient: State) -> None:
    def be_away() -> Any:
        raise StorageAway('nobody answers')

    transactions = vars(impatient._writer._transactions)
    transactions['begin'] = be_away
    for _ in range(2):
        with in_time(), pytest.raises(UpdateFailed, match=r'the storage is away \(nobody answers\)|could not begin'):
            impatient[Notes].add('never')
    del transactions['begin']
    wait_until_idle(impatient)
    assert impatient[Notes].add('goes on') == 1


def test_closing_ends_in_time_and_says_what_may_be_stored(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, 'CLOSE_GRACE', 0.2)
    state = State(database, [Notes], timeout=0.3)
    with Hanging(state, 'tpc_finish'):
        with pytest.raises(OutcomeUnknown):
            state[Notes].add('perhaps')
        with in_time(), pytest.raises(StateError, match=r'not said whether it stored notes\.add, which may or may not'):
            state.close()
    assert [record.levelno for record in caplog.records if 'could not be closed' in record.message] == [logging.ERROR]
    state._writer.close()


@pytest.mark.parametrize('error', [StorageAway('gone'), OSError('broken')], ids=lambda error: type(error).__name__)
def test_a_query_says_in_a_sentence_that_the_storage_is_away(
    impatient: State, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(ReadConnection, '_begin', fail)
    with in_time(), pytest.raises(StateUnavailable, match=r'the storage (is away|cannot be read) \(.*(gone|broken)\)'):
        impatient[Notes].all()


def test_a_query_waits_for_a_storage_that_comes_back(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, left = ReadConnection._begin, [StorageAway('gone') for _ in range(5)]

    def fail(connection: ReadConnection) -> None:
        if left:
            raise left.pop()
        begin(connection)

    monkeypatch.setattr(ReadConnection, '_begin', fail)
    assert state[Notes].all() == []


def test_a_load_that_fails_within_a_query_says_so_too(state: State) -> None:
    def fail(_: Components) -> None:
        raise StorageAway('gone')

    with pytest.raises(StateUnavailable, match=r'the storage is away \(gone\): try again when it is back'):
        state.query(fail)


@pytest.mark.parametrize(
    ('timeout', 'kind'), [(0, ValueError), (-1.0, ValueError), ('8s', TypeError), (None, TypeError)]
)
def test_a_time_that_cannot_be_is_refused(database: Database, timeout: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match='timeout is '):
        State(database, [Notes], timeout=timeout)


def test_of_two_limits_for_an_answer_the_inner_one_decides() -> None:
    assert answer_deadline() is None
    with answering_within(10):
        outer = answer_deadline()
        with answering_within(20):
            inner = answer_deadline()
        assert answer_deadline() == outer
    assert outer is not None
    assert inner is not None
    assert 9 < inner - outer <= 11
    assert answer_deadline() is None
