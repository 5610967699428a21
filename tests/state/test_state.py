"""The state: what an application holds."""

import inspect
import threading
from pathlib import Path

import pytest

from hitcounter.errors import ComponentError, ReadOnly, StateClosed, StateError
from hitcounter.hits import Caller, HitCounter
from hitcounter.state import Components, Database, State, WriteConnection, open_database
from tests.support.notes import Notes, Total
from tests.support.patience import PATIENCE


def test_an_update_returns_its_result_and_a_query_sees_it(state: State) -> None:
    assert state[Notes].add('one') == 1
    assert state[Notes].add(text='two') == 2
    assert state[Notes].all() == ['one', 'two']


def test_what_an_update_stored_is_there_when_the_database_is_opened_again(tmp_path: Path) -> None:
    for count in (1, 2):
        with (
            open_database(f'file://{tmp_path}/test.fs', share=True) as database,
            State(database, [Notes]) as state,
        ):
            assert state[Notes].add('again') == count


def test_an_update_that_raises_changes_nothing_and_its_error_arrives(state: State) -> None:
    with pytest.raises(ValueError, match='bad'):
        state[Notes].add('bad', fail=True)
    assert state[Notes].all() == []


def test_one_update_can_span_components(state: State) -> None:
    def note_and_count(parts: Components, text: str, *, fail: bool = False) -> int:
        parts[Total].change(1)
        return parts[Notes].add(text, fail=fail)

    assert state.update(note_and_count, 'both') == 1
    with pytest.raises(ValueError, match='neither'):
        state.update(note_and_count, 'neither', fail=True)
    assert state.query(lambda parts: (parts[Total].value(), parts[Notes].all())) == (1, ['both'])


def test_a_query_that_writes_is_an_error_and_changes_nothing(state: State) -> None:
    with pytest.raises(ReadOnly):
        state[Notes].write_in_a_query()
    assert state[Notes].all() == []


def test_objects_of_the_database_stay_in_it(state: State) -> None:
    for leak in (state[Notes].leak, state[Notes].leak_in_a_query):
        with pytest.raises(StateError, match='return plain values'):
            leak()


def test_only_what_is_marked_can_be_called(state: State) -> None:
    with pytest.raises(ComponentError, match="Notes has no update and no query 'neither'"):
        state[Notes].neither()
    assert not hasattr(state[Notes], 'neither')


def test_a_component_that_the_state_was_not_opened_with_is_named(database: Database) -> None:
    with State(database, [Notes]) as state, pytest.raises(ComponentError, match='Total is not a component'):
        state[Total]


def test_an_update_cannot_wait_for_another_one(state: State) -> None:
    with pytest.raises(StateError, match='would wait for itself'):
        state.update(lambda _: state[Notes].add('inner'))


def test_a_closed_state_takes_no_more(state: State) -> None:
    state.close()
    with pytest.raises(StateClosed):
        state[Notes].add('late')
    assert not [thread for thread in threading.enumerate() if thread.name == 'state writer']


def test_the_history_tells_which_updates_a_transaction_held(state: State, database: Database) -> None:
    state[Notes].add('one')
    assert database.db.undoLog(0, 1)[0]['description'] == 'notes.add'


def test_a_callback_that_ends_in_an_exit_ends_nothing(state: State) -> None:
    def leave(_: object) -> None:
        raise SystemExit

    state.submit(Notes.add, 'one').add_done_callback(leave)

    assert state.submit(Notes.add, 'two').result(PATIENCE) == 2


# The database is closed first.


def test_a_database_that_is_closed_before_its_state_closes_that_too_and_says_so(tmp_path: Path) -> None:
    database = open_database(f'file://{tmp_path}/test.fs', share=True)
    state = State(database, [Notes])
    assert state[Notes].add('one') == 1
    with pytest.raises(StateError, match=r'test\.fs was closed before the state that uses it: close the state first'):
        database.close()
    with pytest.raises(StateClosed):
        state[Notes].add('late')
    state.close()
    with (
        open_database(f'file://{tmp_path}/test.fs', share=True) as again,
        State(again, [Notes]) as state,
    ):
        assert state[Notes].add('two') == 2


# What is seen at a prompt.
CALLER = Caller('555', 'Bob', '17.1')


def test_a_method_of_a_state_has_the_docstring_and_the_signature_of_the_components() -> None:
    with open_database('memory:') as database, State(database, [HitCounter]) as state:
        reading = State(database, [HitCounter], read_only=True)
        for method in (state[HitCounter].count, reading[HitCounter].count):
            assert method.__doc__ == HitCounter.count.__doc__
            assert str(inspect.signature(method)) == '(line: str) -> int'
        refused = reading[HitCounter].hit
        assert list(inspect.signature(refused).parameters) == ['line', 'caller', 'max_lines']
        with pytest.raises(ReadOnly):
            refused('1', CALLER)


def test_a_state_that_is_only_read_serves_nothing() -> None:
    with open_database('memory:') as database, State(database, [HitCounter], read_only=True) as reading:
        with pytest.raises(ReadOnly, match='its components have not started'), reading.serving():
            pytest.fail('it serves')
        assert repr(State(database, [], read_only=True)) == '<State of no components in memory://>'


def test_what_a_state_is_and_offers_is_shown_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / 'hits.fs'
    with open_database(f'file:{path}', share=True) as database, State(database, [HitCounter]) as state:
        assert repr(database) == f'<Database {path}>'
        assert repr(state) == f'<State of hits in {path}>'
        assert repr(state[HitCounter]).startswith('<HitCounter (update: forget, hit, import_hit; query: ')
        reading = State(database, [HitCounter], read_only=True)
        assert repr(reading) == f'<State of hits in {database.description}>'
        assert repr(reading[HitCounter]) == repr(state[HitCounter])
        with WriteConnection(database.db) as session:
            assert repr(session) == f'<WriteConnection on {path}>'
            session.root['note'] = 1
            assert repr(session) == f'<WriteConnection on {path}, changed>'


def test_a_with_block_closes_a_state_and_its_database(tmp_path: Path) -> None:
    with open_database(f'file:{tmp_path}/hits.fs', share=True) as database, State(database, [HitCounter]) as state:
        assert state[HitCounter].hit('1', CALLER) == 1
    with pytest.raises(StateClosed):
        state[HitCounter].hit('1', CALLER)
    with open_database(f'file:{tmp_path}/hits.fs', share=True):  # which is free again
        pass
