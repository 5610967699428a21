"""The writer: what becomes of updates, whatever fails."""

import logging
import os
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from ZODB.FileStorage import FileStorage
from ZODB.POSException import ConflictError

from hitcounter.errors import OutcomeUnknown, StateClosed, StateError, UpdateFailed
from hitcounter.state import Components, Database, State, WriteConnection
from hitcounter.state.transactions import commit, job, writer
from tests.support.notes import Notes, held_up
from tests.support.patience import PATIENCE


def test_updates_that_raise_harm_no_other_of_their_batch(state: State) -> None:
    def add(number: int) -> int | None:
        try:
            return state[Notes].add(str(number), fail=number % 3 == 0)
        except ValueError as error:
            return None if str(error) == str(number) else -1

    with ThreadPoolExecutor(30) as callers, held_up(state):
        results = [callers.submit(add, number) for number in range(30)]
    places = [result.result(PATIENCE) for result in results]
    assert [place is None for place in places] == [number % 3 == 0 for number in range(30)]
    assert sorted(place for place in places if place) == list(range(1, 21))
    texts = state[Notes].all()
    assert all(texts[place - 1] == str(number) for number, place in enumerate(places) if place)


def test_what_cannot_be_stored_fails_alone(state: State) -> None:
    with ThreadPoolExecutor(3) as callers, held_up(state):
        before = callers.submit(state[Notes].add, 'one')
        wrong = callers.submit(state[Notes].add_what_cannot_be_stored)
        after = callers.submit(state[Notes].add, 'two')
    assert {before.result(PATIENCE), after.result(PATIENCE)} == {1, 2}
    with pytest.raises(TypeError, match='lock'):
        wrong.result(PATIENCE)
    assert sorted(state[Notes].all()) == ['one', 'two']


def test_closing_stores_what_has_queued_up(database: Database) -> None:
    state = State(database, [Notes])
    with ThreadPoolExecutor(10) as callers:
        with held_up(state):
            results = [callers.submit(state[Notes].add, 'queued') for _ in range(10)]
            while len(state._writer._queue.jobs) < 10:
                pass
            closing_it = callers.submit(state.close)
        closing_it.result(PATIENCE)
        assert sorted(result.result(PATIENCE) for result in results) == list(range(1, 11))


def test_an_update_that_holds_up_all_others_is_logged(
    state: State, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(job, 'SLOW', 0.0)
    state[Notes].add('slow')
    assert caplog.messages[0].startswith('notes.add held up all other updates for ')
    assert caplog.records[0].levelno == logging.WARNING


def test_a_change_by_another_process_is_tried_again(state: State, database: Database) -> None:
    with ThreadPoolExecutor(1) as callers, held_up(state):
        result = callers.submit(state[Notes].add, 'second')
        with WriteConnection(database.db) as other:
            other.root['notes'].texts.append('first')
            other.commit()
    assert result.result(PATIENCE) == 2
    assert state[Notes].all() == ['first', 'second']


def test_a_change_that_always_meets_another_gives_up(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, 'RETRY_TIMEOUT', 0.05)

    def collide(_: Components) -> None:
        raise ConflictError

    with pytest.raises(UpdateFailed, match=r'other processes changed the same objects each time: try again later'):
        state.update(collide)
    assert state[Notes].add('goes on') == 1


def test_a_full_disk_is_said_to_all_and_the_writer_goes_on(state: State, database: Database) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, 'No space left on device')

    connection = vars(state._writer._connection)
    with ThreadPoolExecutor(3) as callers:
        connection['tpc_vote'] = refuse
        results = [callers.submit(state[Notes].add, 'lost') for _ in range(3)]
        for result in results:
            with pytest.raises(UpdateFailed, match=r'could not be stored: .*No space left'):
                result.result(PATIENCE)
    del connection['tpc_vote']  # type: ignore[attr-defined]  # it is a dict
    assert state[Notes].add('stored') == 1


def test_a_failure_after_the_vote_leaves_the_outcome_open(state: State) -> None:
    def vanish(*_: object) -> None:
        raise OSError('the storage is gone')

    vars(state._writer._connection)['tpc_finish'] = vanish
    with pytest.raises(OutcomeUnknown, match=r'while it stored notes\.add'):
        state[Notes].add('perhaps')


def test_after_a_failed_fsync_each_update_fails_in_a_sentence_and_queries_go_on(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError('the disk fails')

    state[Notes].add('stored')
    with monkeypatch.context() as patches:
        patches.setitem(FileStorage._finish_finish.__globals__, 'fsync', fail)
        with pytest.raises(OutcomeUnknown, match='the disk fails'):
            state[Notes].add('perhaps')
    for _ in range(2):
        with pytest.raises(UpdateFailed, match='start the server again'):
            state[Notes].add('not stored')
    assert state[Notes].all() == ['stored']


def test_an_open_outcome_is_not_hidden_by_a_failure_to_abort(state: State) -> None:
    def vanish(*_: object) -> None:
        raise OSError('the storage is gone')

    connection = vars(state._writer._connection)
    with ThreadPoolExecutor(2) as callers, held_up(state):
        results = [callers.submit(state[Notes].add, 'perhaps') for _ in range(2)]
        while len(state._writer._queue.jobs) < 2:
            pass
        state.query(lambda _: connection.update(tpc_finish=vanish))  # type: ignore[attr-defined]  # it is a dict
        state._writer._transactions.abort, abort = vanish, state._writer._transactions.abort
    outcomes = [result.exception(10) for result in results]
    state._writer._transactions.abort = abort
    assert [type(outcome) for outcome in outcomes] == [OutcomeUnknown, OutcomeUnknown]


# The writer's thread.


def ends_of_threads(monkeypatch: pytest.MonkeyPatch) -> list[threading.ExceptHookArgs]:
    """The errors that end threads from now on: no fixture, since pytest sets a hook of its own after those."""
    ended: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, 'excepthook', ended.append)
    return ended


def test_a_writer_that_fails_leaves_nobody_waiting_and_says_so_to_the_process(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError('no memory')

    ends = ends_of_threads(monkeypatch)
    state = State(database, [Notes])
    with state.subscribe() as updates, ThreadPoolExecutor(2) as callers:
        with held_up(state):
            results = [callers.submit(state[Notes].add, 'waits') for _ in range(2)]
            future = state.submit(Notes.add, 'waits')
            while len(state._writer._queue.jobs) < 3:
                pass
            monkeypatch.setattr(writer, 'Attempts', fail)  # what every transaction begins with
        for result in [*results, future]:
            with pytest.raises(OutcomeUnknown, match=r'may or may not have been stored: .*MemoryError: no memory'):
                result.result(PATIENCE)
        assert [stored.result for stored in updates] == [None]
    with pytest.raises(StateClosed, match=r'came too late: .* by an error of its writer \(MemoryError: no memory\)'):
        state[Notes].add('later')
    with pytest.raises(StateClosed), state.subscribe():
        pass
    with pytest.raises(StateError, match='an error of its writer'):
        state.close()
    assert [end.exc_type for end in ends] == [MemoryError]
    assert state[Notes].all() == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith('state ')]


def test_an_error_that_takes_no_attributes_ends_nothing(state: State) -> None:
    @dataclass(frozen=True)
    class Frozen(Exception):
        """Raises at `error.__cause__ = None`."""

    def fail(_: Components) -> None:
        raise Frozen

    with pytest.raises(Frozen):
        state.update(fail)
    assert state[Notes].add('goes on') == 1


def test_an_update_goes_on_without_a_turn_that_cannot_be_taken(state: State, caplog: pytest.LogCaptureFixture) -> None:
    state._writer._turn.close()
    assert state[Notes].add('one') == 1
    assert state[Notes].add('two') == 2
    assert [message for message in caplog.messages if message.startswith('no turns can be taken')]


def test_a_process_that_forked_has_no_writer_and_says_so(state: State) -> None:
    reader, sink = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # since Python 3.12, of threads that are lost
        child = os.fork()
    if child == 0:
        try:
            state[Notes].add('lost')
        except BaseException as error:  # noqa: BLE001 -- which is what this is about
            os.write(sink, f'{type(error).__name__}: {error}'.encode())
        finally:
            os._exit(0)
    os.close(sink)
    os.waitpid(child, 0)
    assert os.read(reader, 1000).startswith(b'StateClosed: the writer of the state is not in this process')
    os.close(reader)
    assert state[Notes].all() == []


def test_an_update_that_does_not_end_is_logged_while_it_runs(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, 'STALL', 0.05)
    go_on, logged = threading.Event(), threading.Event()

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if 'nothing has been stored for' in record.getMessage():
                logged.set()

    def endless(_: Components) -> None:
        assert go_on.wait(PATIENCE)

    handler = Listening()
    writer.logger.addHandler(handler)
    try:
        with State(database, [Notes]) as state:
            deadline = time.monotonic() + PATIENCE
            while state._writer.busy:  # with the turn of its first update, which ends after that has returned
                assert time.monotonic() < deadline
            future = state.submit(endless)
            assert logged.wait(PATIENCE)
            busy = state._writer.busy
            assert busy
            assert busy.what.endswith('endless')
            assert busy.seconds > 0.05
            go_on.set()
            future.result(PATIENCE)
    finally:
        writer.logger.removeHandler(handler)
    message = next(message for message in caplog.messages if message.startswith('nothing has been stored for'))
    assert message.endswith('endless is still running')


def test_closing_does_not_wait_for_ever_for_an_update_that_does_not_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, 'CLOSE_TIMEOUT', 0.1)
    go_on = threading.Event()

    def endless(_: Components) -> None:
        assert go_on.wait(PATIENCE)

    state = State(database, [Notes])
    future = state.submit(endless)
    with pytest.raises(StateError, match=r'not be closed within 0 s: .*endless is still running, and will not'):
        state.close()
    go_on.set()
    future.result(PATIENCE)
    state._writer.close()


def test_a_writer_whose_thread_cannot_start_leaves_nothing_open(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == 'state writer':
            raise RuntimeError("can't start new thread")
        start(thread)

    State(database, [Notes]).close()
    before = len(os.listdir('/proc/self/fd'))
    monkeypatch.setattr(threading.Thread, 'start', refuse)
    with pytest.raises(RuntimeError, match='new thread'):
        State(database, [Notes])
    assert len(os.listdir('/proc/self/fd')) == before
    assert not [entry for entry in database.db.connectionDebugInfo() if entry['opened']]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith('state ')]
