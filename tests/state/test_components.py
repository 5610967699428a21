"""The components of a state: which database they open, and how they start, serve and stop."""

import threading

import pytest

from hitcounter.errors import ComponentError, DatabaseRefused
from hitcounter.state import Component, Database, State, WriteConnection
from hitcounter.state.upkeep.verification import findings
from tests.support.modules import Modules
from tests.support.notes import Notes, Total


def test_a_database_of_another_program_is_refused_and_left_alone(database: Database) -> None:
    with WriteConnection(database.db) as session:
        session.root['theirs'] = 1
        session.commit()
    before = database.db.lastTransaction()
    with pytest.raises(DatabaseRefused, match="'theirs'"):
        State(database, [Notes])
    assert database.db.lastTransaction() == before


def test_a_database_that_cannot_be_read_is_refused(database: Database) -> None:
    with WriteConnection(database.db) as session:
        session.root['schemas'] = 'damaged'
        session.root['notes'] = 'damaged'
        session.commit()
    with pytest.raises(DatabaseRefused, match=r'cannot be read .*: restore a backup'):
        State(database, [Notes])


@pytest.mark.parametrize('lost', [['notes'], ['notes', 'schemas']])
def test_a_database_that_lost_a_component_does_not_begin_anew(database: Database, lost: list[str]) -> None:
    State(database, [Notes]).close()
    with WriteConnection(database.db) as session:
        for name in lost:
            del session.root[name]
        session.commit()
    before = database.db.lastTransaction()
    with pytest.raises(DatabaseRefused, match=r'restore a backup$'):
        State(database, [Notes])
    assert database.db.lastTransaction() == before
    assert list(findings(database))


def test_another_schema_is_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    State(database, [Notes]).close()
    monkeypatch.setattr(Notes, 'schema', 2)
    with pytest.raises(DatabaseRefused, match="schema 1 of 'notes', and this program needs 2"):
        State(database, [Notes])


def test_a_newer_schema_is_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        later.setattr(Notes, 'schema', 2)
        State(database, [Notes]).close()
    with pytest.raises(DatabaseRefused, match="schema 2 of 'notes', newer than the 1 of this program: install"):
        State(database, [Notes])


def test_a_component_whose_code_is_missing_is_named(database: Database) -> None:
    State(database, [Notes, Total]).close()
    before = database.db.lastTransaction()
    with pytest.raises(DatabaseRefused, match="component 'total', whose code is missing here: install its package"):
        State(database, [Notes])
    assert database.db.lastTransaction() == before


def test_a_component_can_be_added_to_a_database(database: Database) -> None:
    with State(database, [Notes]) as state:
        state[Notes].add('one')
    with State(database, [Notes, Total]) as state:
        assert (state[Notes].all(), state[Total].value()) == (['one'], 0)


happened: list[str] = []


class Bell(Component):
    """Writes down when it starts and stops."""

    name = 'bell'
    depends = (Notes,)

    @classmethod
    def start(cls, state: State) -> None:
        happened.append(f'start {cls.name} {state[Notes].add("start")}')

    @classmethod
    def stop(cls, state: State) -> None:
        happened.append(f'stop {cls.name} {state[Notes].add("stop")}')


class Tower(Bell):
    """Depends on the bell."""

    name = 'tower'
    depends = (Bell, Notes)  # type: ignore[assignment]  # as any tuple


class Ruin(Bell):
    """Cannot be started."""

    name = 'ruin'
    depends = (Tower, Notes)  # type: ignore[assignment]  # as any tuple

    @classmethod
    def start(cls, state: State) -> None:
        raise OSError('no stones')


def test_components_start_behind_those_they_depend_on_and_stop_in_reverse(database: Database) -> None:
    happened.clear()
    with State(database, [Tower, Bell, Notes]):
        assert happened == ['start bell 1', 'start tower 2']
    assert happened[2:] == ['stop tower 3', 'stop bell 4']


def test_one_that_cannot_start_is_named_and_those_that_started_are_stopped(database: Database) -> None:
    happened.clear()
    with pytest.raises(ComponentError, match=r"'ruin' could not start \(OSError: no stones, in .*, line \d+\)"):
        State(database, [Ruin, Tower, Bell, Notes])
    assert happened == ['start bell 1', 'start tower 2', 'stop tower 3', 'stop bell 4']
    assert not [thread for thread in threading.enumerate() if thread.name == 'state writer']


def test_one_that_cannot_stop_is_named_and_keeps_no_other_from_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: State) -> None:
        raise ValueError('stuck')

    happened.clear()
    monkeypatch.setattr(Tower, 'stop', fail)
    state = State(database, [Tower, Bell, Notes])
    with pytest.raises(ComponentError, match=r"component 'tower' could not stop \(ValueError: stuck, in .*"):
        state.close()
    assert happened[2:] == ['stop bell 3']
    assert not [thread for thread in threading.enumerate() if thread.name == 'state writer']


class Hollow(Component):
    """Cannot make its first state."""

    name = 'hollow'

    def __init__(self) -> None:
        raise ValueError('nothing in it')


class Locked(Component):
    """Makes a first state that cannot be stored."""

    name = 'locked'

    def __init__(self) -> None:
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ('component', 'said'),
    [
        (Hollow, r'\(ValueError: nothing in it, in .*/test_components.py, line \d+\)'),
        (Locked, r"\(TypeError: cannot pickle '_thread.lock' object, in .*/test_components.py, line \d+\)"),
    ],
)
def test_a_component_that_cannot_make_its_first_state_is_named_with_its_line_and_nothing_is_stored(
    database: Database, component: type[Component], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = database.db.lastTransaction()
    with pytest.raises(ComponentError, match=rf"'{component.name}' could not make its first state {said}") as failed:
        State(database, [Notes, component])
    assert str(failed.value).endswith(': correct its __init__()')
    assert not caplog.records
    assert database.db.lastTransaction() == before
    assert not [thread for thread in threading.enumerate() if thread.name == 'state writer']


def test_code_that_fails_while_the_root_is_loaded_is_not_called_damage(database: Database, modules: Modules) -> None:
    source = 'from hitcounter.state import Component\nclass Other(Component):\n    name = "other"\n'
    State(database, [Notes, modules.write('others', source).Other]).close()
    modules.spoil('others', 'import sys\n\nsys.nosuch\n')
    database.db.cacheMinimize()
    with pytest.raises(ComponentError, match=r'because code fails \(AttributeError: .*/others.py, line 3\)'):
        State(database, [Notes])
    modules.spoil('others', 'class Other(:\n')
    with pytest.raises(ComponentError, match=r'because code fails \(SyntaxError: .*/others.py, line 1\)'):
        State(database, [Notes])


def test_a_class_that_is_missing_is_named_once_in_the_log(
    database: Database, modules: Modules, caplog: pytest.LogCaptureFixture
) -> None:
    thing = modules.write('things', 'class Thing: pass').Thing()
    with State(database, [Notes]) as state:
        state.update(lambda parts: parts[Notes].texts.append(thing))
    modules.remove('things')
    for _ in range(2):
        database.db.cacheMinimize()
        with State(database, [Notes]) as state:
            assert len(state.query(lambda parts: str(parts[Notes].texts))) > 0
    assert caplog.messages == [
        'what is stored needs the class things.Thing, which cannot be found (ModuleNotFoundError: No module named '
        "'things'): install its package, or name it in the moved of its component"
    ]


class Port(Bell):
    """Writes down when it serves."""

    name = 'port'

    @classmethod
    def serve(cls, state: State) -> None:
        happened.append(f'serve {cls.name} {state[Notes].add("serve")}')

    @classmethod
    def stop_serving(cls, state: State) -> None:
        happened.append(f'stop serving {cls.name} {state[Notes].add("stop serving")}')


class Quay(Port):
    """Depends on the port."""

    name = 'quay'
    depends = (Port, Notes)  # type: ignore[assignment]  # as any tuple


class Wreck(Port):
    """Cannot serve."""

    name = 'wreck'
    depends = (Quay, Notes)  # type: ignore[assignment]  # as any tuple

    @classmethod
    def serve(cls, state: State) -> None:
        raise SystemExit('run aground')


def test_components_serve_only_where_they_are_told_to_and_stop_in_reverse(database: Database) -> None:
    happened.clear()
    with State(database, [Quay, Port, Notes]) as state:
        assert happened == ['start port 1', 'start quay 2']
        with state.serving():
            assert happened[2:] == ['serve port 3', 'serve quay 4']
        assert happened[4:] == ['stop serving quay 5', 'stop serving port 6']
    assert happened[6:] == ['stop quay 7', 'stop port 8']


def test_one_that_cannot_serve_is_named_and_those_that_do_are_stopped(database: Database) -> None:
    happened.clear()
    said = r"'wreck' could not serve \(SystemExit: run aground, in .*/test_components.py, line \d+\): remove"
    with (
        State(database, [Wreck, Quay, Port, Notes]) as state,
        pytest.raises(ComponentError, match=said),
        state.serving(),
    ):
        pytest.fail('it serves')
    assert [what for what in happened if 'serv' in what] == [
        'serve port 4',
        'serve quay 5',
        'stop serving quay 6',
        'stop serving port 7',
    ]
