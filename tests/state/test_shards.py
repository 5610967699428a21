"""One state over several databases: each component in its own, with its own writer, and nothing that spans two."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from hitcounter.errors import BulkStopped, ComponentError, ComponentMisplaced, ReadOnly
from hitcounter.state import Component, Components, Database, State, WriteConnection, open_database, query, update
from tests.support.notes import Notes, Total, held_up
from tests.support.patience import PATIENCE


class Board(Component):
    """What is shown on the wall."""

    name = 'board'
    events: list[str] = []  # noqa: RUF012 -- of the class, and not stored

    def __init__(self) -> None:
        self.text = ''

    @update
    def show(self, text: str) -> str:
        self.text = text
        return text

    @query
    def shown(self) -> str:
        return self.text

    @classmethod
    def start(cls, state: State) -> None:
        cls.events.append(f'start, {state[Notes].all()}')

    @classmethod
    def stop(cls, state: State) -> None:
        cls.events.append(f'stop, {state[Board].show("good night")}')


class Frame(Component):
    """Around the board."""

    name = 'frame'
    depends = (Board,)


def open_file(folder: Path, name: str) -> Database:
    return open_database(f'file://{folder}/{name}.fs', share=True)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Database]:
    with open_file(tmp_path, 'other') as other:
        yield other


@pytest.fixture
def state(database: Database, other: Database) -> Iterator[State]:
    Board.events.clear()
    with State(database, [Notes, Total, Board], elsewhere={'board': other}) as state:
        yield state


def names_in(database: Database) -> list[str]:
    with WriteConnection(database.db) as connection:
        return sorted(connection.root['schemas'])


# Where components live.


def test_each_component_is_stored_in_its_own_database(state: State, database: Database, other: Database) -> None:
    state[Notes].add('hello')
    state[Board].show('hello')

    assert (state[Notes].all(), state[Board].shown()) == (['hello'], 'hello')
    assert (names_in(database), names_in(other)) == (['notes', 'total'], ['board'])
    assert repr(state) == f'<State of notes, total in {database.description}, board in {other.description}>'


def test_an_update_waits_for_no_other_database(state: State) -> None:
    with held_up(state):
        assert state[Board].show('not held up') == 'not held up'


def test_the_hooks_of_a_component_use_what_lives_elsewhere(state: State) -> None:
    state.close()

    assert Board.events == ['start, []', 'stop, good night']


def test_two_components_may_share_the_other_database_and_its_transactions(database: Database, other: Database) -> None:
    def change_both(parts: Components) -> None:
        parts[Notes].add('both')
        parts[Total].change(1)

    with State(database, [Board, Notes, Total], elsewhere={'notes': other, 'total': other}) as state:
        state.update(change_both)

        assert (state[Notes].all(), state[Total].value()) == (['both'], 1)
    assert names_in(other) == ['notes', 'total']


def test_a_state_that_only_reads_offers_the_queries_of_all(state: State, database: Database, other: Database) -> None:
    state[Board].show('hello')

    reading = State(database, [Notes, Board], elsewhere={'board': other}, read_only=True)

    assert (reading[Notes].all(), reading[Board].shown()) == ([], 'hello')
    with pytest.raises(ReadOnly):
        reading[Board].show('never')


# Functions over components find the database that they are about.


def show(parts: Components, text: str) -> str:
    return parts[Board].show(text)


def test_a_function_runs_where_its_component_lives(state: State) -> None:
    assert state.update(show, 'updated') == 'updated'
    assert state.query(lambda parts: parts[Board].text) == 'updated'
    assert state.submit(show, 'submitted').result(PATIENCE) == 'submitted'
    assert state.submit(Board.show, 'by its name').result(PATIENCE) == 'by its name'
    assert state.bulk(show, [('one',), ('two',)]) == 2
    assert state.bulk(Board.show, [('three',)]) == 1
    assert state[Board].shown() == 'three'


def test_a_function_that_has_run_goes_straight_to_where_its_component_lives(state: State) -> None:
    state.update(show, 'first')

    with held_up(state):
        assert state.update(show, 'not held up') == 'not held up'
        assert state.submit(show, 'nor this').result(PATIENCE) == 'nor this'


def test_one_function_may_be_about_another_database_each_time(state: State) -> None:
    def touch(parts: Components, component: type[Component], text: str) -> None:
        parts[component].text = text

    state.update(touch, Board, 'a')
    state.update(touch, Notes, 'b')
    assert state.bulk(touch, [(Notes, 'c'), (Board, 'd'), (Notes, 'e')]) == 3
    assert state[Board].shown() == 'd'
    assert state.query(lambda parts: parts[Notes].text) == 'e'


def test_a_function_that_catches_everything_still_runs_where_its_component_lives(state: State) -> None:
    def catch(parts: Components) -> None:
        with suppress(BaseException):
            parts[Board].show('caught')

    state.update(catch)

    assert state[Board].shown() == 'caught'


def test_a_submitted_function_can_be_cancelled_until_it_runs(state: State) -> None:
    with held_up(state):
        future = state.submit(lambda parts: parts[Board].show('never'))
        assert future.cancel()

    state.update(lambda parts: parts[Notes].add('later'))
    assert state[Board].shown() == ''


def test_a_submitted_function_has_its_own_error(state: State) -> None:
    def fail(parts: Components) -> None:
        parts[Board].show('never')
        raise ValueError('mine')

    with pytest.raises(ValueError, match='mine'):
        state.submit(fail).result(PATIENCE)
    assert state[Board].shown() == ''


def test_a_subscriber_gets_what_each_database_stores(state: State) -> None:
    with state.subscribe() as updates:
        state[Board].show('one')
        state[Notes].add('two')

    assert sorted(stored.name for stored in updates) == ['board.show', 'notes.add']


# Nothing spans two databases.


def both(parts: Components) -> None:
    parts[Notes].add('half')
    parts[Board].show('half')


def both_the_other_way(parts: Components) -> None:
    parts[Board].show('half')
    parts[Notes].add('half')


@pytest.mark.parametrize('function', [both, both_the_other_way])
def test_an_update_over_two_storages_is_refused_and_changes_nothing(
    function: object, state: State, database: Database, other: Database
) -> None:
    with pytest.raises(ComponentError) as refused:
        state.update(function)
    with pytest.raises(ComponentError, match='no common transaction'):
        state.submit(function).result(PATIENCE)
    with pytest.raises(BulkStopped, match='no common transaction'):
        state.bulk(function, [()])

    assert f'in {database.place}' in str(refused.value)
    assert f'in {other.place}' in str(refused.value)
    assert 'no common transaction, and a crash could store one half without the other' in str(refused.value)
    assert (state[Notes].all(), state[Board].shown()) == ([], '')


def test_a_query_over_two_storages_is_refused(state: State) -> None:
    with pytest.raises(ComponentError, match='no common moment: ask each of them by itself'):
        state.query(lambda parts: (parts[Notes].all(), parts[Board].shown()))


@pytest.mark.parametrize('inner', ['shown', 'show'])
def test_an_update_may_not_use_the_state_of_another_storage(inner: str, state: State, other: Database) -> None:
    def nested(parts: Components) -> None:
        parts[Notes].add('half')
        getattr(state[Board], inner)(*['half'][: inner == 'show'])

    with pytest.raises(ComponentError, match=rf'board\.{inner} lives in {other.place}, and was called within'):
        state.update(nested)

    assert (state[Notes].all(), state[Board].shown()) == ([], '')


def test_a_component_that_depends_on_one_elsewhere_is_refused(database: Database, other: Database) -> None:
    with pytest.raises(ComponentError) as refused:
        State(database, [Board, Frame], elsewhere={'board': other})

    assert str(refused.value) == (
        f"component 'frame' depends on 'board', which lives in {other.place}, and not in {database.place}: name one "
        f'storage for both'
    )


def test_an_unknown_name_is_refused_with_those_that_there_are(database: Database, other: Database) -> None:
    with pytest.raises(ComponentError, match=r"'bord' is not a component, .* there are board, notes"):
        State(database, [Board, Notes], elsewhere={'bord': other})


def test_the_database_of_the_state_is_not_another_one(database: Database) -> None:
    with pytest.raises(ComponentError, match='is the database of the state'):
        State(database, [Board], elsewhere={'board': database})


# No component gets a second state.


def test_a_component_that_the_main_database_holds_is_not_begun_elsewhere(database: Database, other: Database) -> None:
    State(database, [Notes, Board]).close()

    with pytest.raises(ComponentMisplaced) as refused:
        State(database, [Notes, Board], elsewhere={'board': other})

    assert str(refused.value) == (
        f"{database.place} holds the component 'board', which is to live in {other.place}: name the storage that holds "
        f'it, or move it'
    )
    with WriteConnection(other.db) as connection:  # so that it can be moved there
        assert not list(connection.root)


def test_a_component_that_lives_elsewhere_is_not_begun_in_the_main_database(
    state: State, database: Database, other: Database
) -> None:
    state.close()

    with pytest.raises(ComponentMisplaced, match=f"'board' lives in {other.place}, and not in {database.place}"):
        State(database, [Notes, Total, Board])


def test_an_empty_database_does_not_take_the_place_of_the_one_that_holds_a_component(
    state: State, database: Database, tmp_path: Path
) -> None:
    state.close()

    with open_file(tmp_path, 'empty') as empty, pytest.raises(ComponentMisplaced, match=r"does not hold .* 'board'"):
        State(database, [Notes, Total, Board], elsewhere={'board': empty})


def test_the_database_of_one_component_does_not_become_that_of_all(
    state: State, database: Database, other: Database
) -> None:
    state.close()

    with pytest.raises(ComponentMisplaced, match=f'only holds components for the state in {database.place}'):
        State(other, [Notes, Total, Board])
    State(other, [Board], read_only=True)[Board].shown()


def test_a_database_that_holds_more_than_its_component_is_refused(database: Database, other: Database) -> None:
    State(other, [Board, Notes]).close()

    with pytest.raises(ComponentMisplaced, match=f"{other.place} holds the component 'notes', which is to live in"):
        State(database, [Board, Notes], elsewhere={'board': other})


def test_a_start_that_ends_between_the_two_databases_is_made_up_for_by_the_next(
    database: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Notes, '__init__', None)  # the main database is the last
        with pytest.raises(ComponentError):
            State(database, [Notes, Board], elsewhere={'board': other})
    assert names_in(other) == ['board']

    with State(database, [Notes, Board], elsewhere={'board': other}) as state:
        assert state[Board].shown() == ''


def test_many_threads_change_both_and_each_is_whole(state: State) -> None:
    def work() -> None:
        for _ in range(20):
            state[Notes].add('x')
            state.update(show, str(len(state[Notes].all())))

    threads = [threading.Thread(target=work) for _ in range(4)]
    with ExitStack() as joined:
        for thread in threads:
            thread.start()
            joined.callback(thread.join, PATIENCE)

    assert len(state[Notes].all()) == 80
    assert state[Board].shown() != ''
