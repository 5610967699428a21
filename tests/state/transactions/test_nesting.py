"""What may be asked of a state within its own updates and callbacks."""

import os
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from hitcounter.errors import OutcomeUnknown, StateClosed, StateError
from hitcounter.state import Components, State, WriteConnection, open_database
from tests.support.notes import Notes
from tests.support.patience import PATIENCE


def within_update(state: State, function: Callable[[Components], object]) -> object:
    return state.update(function)


def within_submit(state: State, function: Callable[[Components], object]) -> object:
    return state.submit(function).result(PATIENCE)


def within_run(state: State, function: Callable[[Components], object]) -> object:
    with WriteConnection(state._database.db) as session:
        return session.run(lambda root: function(Components(root)))


@pytest.mark.parametrize('within', [within_update, within_submit, within_run])
def test_a_query_within_an_update_is_refused_as_an_update_is(
    state: State, within: Callable[[State, Callable[[Components], object]], object]
) -> None:
    reading = State(state._database, [Notes], read_only=True)
    asked: list[Callable[[], object]] = [
        state[Notes].all,
        lambda: state.query(lambda parts: parts[Notes].all()),
        reading[Notes].all,
        lambda: state[Notes].add('never'),
    ]
    for ask in asked:
        with pytest.raises(StateError, match='was called within an update'):
            within(state, lambda parts, ask=ask: parts[Notes].add('never') and ask())
    assert within(state, lambda parts: parts[Notes].add('one') and parts[Notes].all()) == ['one']
    assert state[Notes].all() == ['one']


def test_an_update_that_waits_for_itself_by_way_of_another_state_is_refused(state: State) -> None:
    with open_database('memory:') as database, State(database, [Notes]) as other:
        for ask in (lambda: state[Notes].add('never'), state[Notes].all):
            with pytest.raises(StateError, match='was called within an update'):
                state.update(lambda _, ask=ask: other.update(lambda _: ask()))
        assert state.update(lambda _: other[Notes].add('one')) == 1


def test_a_session_within_an_update_is_refused_as_it_would_store_again_each_time(state: State) -> None:
    def twice(parts: Components, session: WriteConnection) -> None:
        parts[Notes].add('one')
        session.run(lambda root: root['notes'].add('two'))

    with WriteConnection(state._database.db) as session:
        with pytest.raises(StateError, match='the run of a connection was called within an update, which may run'):
            state.update(twice, session)
        with pytest.raises(StateError, match=r'the run of a connection was called within an update'):
            session.run(lambda root: session.run(lambda root: root['notes'].add('four')))
    assert state[Notes].all() == []


def test_a_state_is_not_closed_within_an_update_or_a_callback(state: State, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StateError, match='the state cannot be closed in an update or its callback'):
        state.update(lambda _: state.close())

    gate = threading.Event()
    state.submit(lambda _: gate.wait(PATIENCE) and None).add_done_callback(lambda _: state.close())
    added = state.submit(Notes.add, 'one')
    gate.set()

    assert added.result(PATIENCE) == 1
    assert state[Notes].add('two') == 2
    assert 'the state cannot be closed in an update' in caplog.text


def test_a_submit_after_a_fork_is_refused(state: State) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)  # of a fork while there are threads
        child = os.fork()
    if not child:
        try:
            state.submit(Notes.add, 'one')
        except StateClosed:
            os._exit(3)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


def test_an_interrupt_in_the_writers_thread_makes_nothing_happen_twice(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = state._writer._connection._storage
    finish = storage.tpc_finish

    def interrupted(*arguments: object) -> None:
        finish(*arguments)
        monkeypatch.undo()
        raise KeyboardInterrupt

    gate = threading.Event()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(state.update, lambda _: gate.wait(PATIENCE) and None)
        while not state._writer.busy:
            pass
        added = [state.submit(Notes.add, text) for text in 'ab']
        monkeypatch.setattr(storage, 'tpc_finish', interrupted)
        gate.set()
        first.result(PATIENCE)

    for future in added:
        with pytest.raises(OutcomeUnknown):
            future.result(PATIENCE)
    assert state[Notes].all() == ['a', 'b']


def test_a_callback_may_ask_for_what_is_stored(state: State) -> None:
    seen: list[list[str]] = []
    asked = threading.Event()

    def ask(_: object) -> None:
        seen.append(state[Notes].all())
        asked.set()

    state.submit(Notes.add, 'one').add_done_callback(ask)
    assert asked.wait(PATIENCE)
    assert seen == [['one']]
