"""The state, on a real FileStorage."""

import inspect
import logging
import os
import re
import threading
import warnings
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from BTrees.Length import Length
from BTrees.OOBTree import OOBTree
from persistent.list import PersistentList
from persistent.mapping import PersistentMapping
from ZODB.FileStorage import FileStorage
from ZODB.POSException import ConflictError

from hitcounter.errors import (
    BulkStopped,
    ComponentError,
    DatabaseRefused,
    OutcomeUnknown,
    ReadOnly,
    StateClosed,
    StateError,
    UpdateFailed,
)
from hitcounter.hits import Caller, HitCounter
from hitcounter.state import (
    Component,
    Components,
    Database,
    ReadingState,
    State,
    Stored,
    WriteConnection,
    open_database,
    query,
    update,
)
from hitcounter.state.transactions import commit, writer
from hitcounter.state.upkeep.verification import findings
from tests.support.modules import Modules
from tests.support.patience import PATIENCE


class Notes(Component):
    """Things that were said."""

    name = 'notes'

    def __init__(self) -> None:
        self.texts = PersistentList()

    @update
    def add(self, text: str, *, fail: bool = False) -> int:
        self.texts.append(text)
        if fail:
            raise ValueError(text)
        return len(self.texts)

    @update
    def add_what_cannot_be_stored(self) -> None:
        self.texts.append(threading.Lock())

    @update
    def leak(self) -> PersistentList:
        return self.texts

    @query
    def all(self) -> list[str]:
        return list(self.texts)

    @query
    def leak_in_a_query(self) -> PersistentList:
        return self.texts

    @query
    def write_in_a_query(self) -> None:
        self.texts.append('never')

    def neither(self) -> None:
        """Is not marked."""


class Total(Component):
    """How much was said."""

    name = 'total'
    depends = (Notes,)

    def __init__(self) -> None:
        self.length = Length()

    @update
    def change(self, by: int) -> None:
        self.length.change(by)

    @query
    def value(self) -> int:
        return int(self.length())


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(open_database(f'file://{tmp_path}/test.fs', share=True)) as database:
        yield database


@pytest.fixture
def state(database: Database) -> Iterator[State]:
    with closing(State(database, [Notes, Total])) as state:
        yield state


def test_an_update_returns_its_result_and_a_query_sees_it(state: State) -> None:
    assert state[Notes].add('one') == 1
    assert state[Notes].add(text='two') == 2
    assert state[Notes].all() == ['one', 'two']


def test_what_an_update_stored_is_there_when_the_database_is_opened_again(tmp_path: Path) -> None:
    for count in (1, 2):
        with (
            closing(open_database(f'file://{tmp_path}/test.fs', share=True)) as database,
            closing(State(database, [Notes])) as state,
        ):
            assert state[Notes].add('again') == count


def test_an_update_that_raises_changes_nothing_and_its_error_arrives(state: State) -> None:
    with pytest.raises(ValueError, match='bad'):
        state[Notes].add('bad', fail=True)
    assert state[Notes].all() == []


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


class held_up:
    """Hold the writer up, so that what comes meanwhile is one batch."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._held, self._go = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=state.update, args=(self._hold,))

    def _hold(self, _: Components) -> None:
        self._held.set()
        assert self._go.wait(PATIENCE)

    def __enter__(self) -> None:
        self._thread.start()
        assert self._held.wait(PATIENCE)

    def __exit__(self, *_: object) -> None:
        self._go.set()
        self._thread.join(PATIENCE)


def test_what_cannot_be_stored_fails_alone(state: State) -> None:
    with ThreadPoolExecutor(3) as callers, held_up(state):
        before = callers.submit(state[Notes].add, 'one')
        wrong = callers.submit(state[Notes].add_what_cannot_be_stored)
        after = callers.submit(state[Notes].add, 'two')
    assert {before.result(PATIENCE), after.result(PATIENCE)} == {1, 2}
    with pytest.raises(TypeError, match='lock'):
        wrong.result(PATIENCE)
    assert sorted(state[Notes].all()) == ['one', 'two']


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
    with closing(State(database, [Notes])) as state, pytest.raises(ComponentError, match='Total is not a component'):
        state[Total]


def test_an_update_cannot_wait_for_another_one(state: State) -> None:
    with pytest.raises(StateError, match='would wait for itself'):
        state.update(lambda _: state[Notes].add('inner'))


def test_a_closed_state_takes_no_more(state: State) -> None:
    state.close()
    with pytest.raises(StateClosed):
        state[Notes].add('late')
    assert not [thread for thread in threading.enumerate() if thread.name == 'state writer']


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
    monkeypatch.setattr(writer, 'SLOW', 0.0)
    state[Notes].add('slow')
    assert caplog.messages[0].startswith('notes.add held up all other updates for ')
    assert caplog.records[0].levelno == logging.WARNING


def test_a_change_by_another_process_is_tried_again(state: State, database: Database) -> None:
    with ThreadPoolExecutor(1) as callers, held_up(state):
        result = callers.submit(state[Notes].add, 'second')
        with closing(WriteConnection(database.db)) as other:
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
    del connection['tpc_vote']
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
        state.query(lambda _: connection.update(tpc_finish=vanish))
        state._writer._transactions.abort, abort = vanish, state._writer._transactions.abort
    outcomes = [result.exception(10) for result in results]
    state._writer._transactions.abort = abort
    assert [type(outcome) for outcome in outcomes] == [OutcomeUnknown, OutcomeUnknown]


def test_the_history_tells_which_updates_a_transaction_held(state: State, database: Database) -> None:
    state[Notes].add('one')
    assert database.db.undoLog(0, 1)[0]['description'] == 'notes.add'


def test_a_database_of_another_program_is_refused_and_left_alone(database: Database) -> None:
    with closing(WriteConnection(database.db)) as session:
        session.root['theirs'] = 1
        session.commit()
    before = database.db.lastTransaction()
    with pytest.raises(DatabaseRefused, match="'theirs'"):
        State(database, [Notes])
    assert database.db.lastTransaction() == before


def test_a_database_that_cannot_be_read_is_refused(database: Database) -> None:
    with closing(WriteConnection(database.db)) as session:
        session.root['schemas'] = 'damaged'
        session.root['notes'] = 'damaged'
        session.commit()
    with pytest.raises(DatabaseRefused, match=r'cannot be read .*: restore a backup'):
        State(database, [Notes])


@pytest.mark.parametrize('lost', [['notes'], ['notes', 'schemas']])
def test_a_database_that_lost_a_component_does_not_begin_anew(database: Database, lost: list[str]) -> None:
    State(database, [Notes]).close()
    with closing(WriteConnection(database.db)) as session:
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
    with closing(State(database, [Notes])) as state:
        state[Notes].add('one')
    with closing(State(database, [Notes, Total])) as state:
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
    depends = (Bell, Notes)


class Ruin(Bell):
    """Cannot be started."""

    name = 'ruin'
    depends = (Tower, Notes)

    @classmethod
    def start(cls, state: State) -> None:
        raise OSError('no stones')


def test_components_start_behind_those_they_depend_on_and_stop_in_reverse(database: Database) -> None:
    happened.clear()
    with closing(State(database, [Tower, Bell, Notes])):
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


def test_a_callback_that_ends_in_an_exit_ends_nothing(state: State) -> None:
    def leave(_: object) -> None:
        raise SystemExit

    state.submit(Notes.add, 'one').add_done_callback(leave)

    assert state.submit(Notes.add, 'two').result(PATIENCE) == 2


class Unhurried:
    """Holds what it is given, as any plain object may."""

    __slots__ = ('held',)

    def __init__(self, held: object) -> None:
        self.held = held


async def asynchronous(parts: Components) -> None:
    """Is never awaited."""


def generator(parts: Components) -> Iterator[int]:
    yield 1


def hidden(parts: Components) -> object:
    return generator(parts)


class Private:
    __slots__ = ('__held',)

    def __init__(self, held: object) -> None:
        self.__held = held


class Rows(list[int]):
    """A list with attributes."""


def with_attribute(value: object, held: object) -> object:
    value.held = held  # type: ignore[attr-defined]
    return value


@pytest.mark.parametrize(
    ('give', 'said'),
    [
        (lambda texts: [1, (2, {'three': [texts]})], 'list with PersistentList, an object of the database'),
        (lambda texts: {texts._p_oid: Unhurried(texts)}, 'dict with PersistentList'),
        (lambda texts: Stored('a', (texts,), {}, 1), 'Stored with PersistentList'),
        (lambda texts: {'error': ValueError(texts)}, 'dict with PersistentList'),
        (lambda texts: texts.append, 'method with PersistentList'),
        (lambda texts: (text for text in texts), 'generator, which would run only after the transaction'),
        (lambda texts: [iter([texts])], 'list with list_iterator'),
        (lambda texts: {'map': map(str, texts)}, 'dict with map, which would run'),
        (lambda texts: OOBTree({'a': 1}).items(), 'OOBTreeItems, which would read only after the transaction'),
        (lambda texts: (OOBTree({'a': 1}).keys(),), 'tuple with OOBTreeItems'),
        (lambda texts: [OOBTree({'a': 1}).values()], 'list with OOBTreeItems'),
        (lambda texts: OOBTree({'a': 1}).iteritems(), 'OOTreeIterator, which would run'),
        (lambda texts: {'a': 1}.items(), 'dict_items, which would read'),
        (lambda texts: PersistentMapping(a=1).keys(), 'KeysView, which would read'),
        (hidden, 'generator, which would run'),
        (lambda texts: [asynchronous(texts)], 'list with coroutine, which would run'),
        (lambda texts: [Private(texts)], 'list with PersistentList'),
        (lambda texts: with_attribute(Rows([1]), texts), 'Rows with PersistentList'),
        (lambda texts: with_attribute(ValueError('x'), texts), 'ValueError with PersistentList'),
        (lambda texts: lambda: texts, 'function with PersistentList'),
        (lambda texts: lambda held=texts: held, 'function with PersistentList'),
        (lambda texts: lambda *, held=texts: held, 'function with PersistentList'),
        (weakref.ref, 'ReferenceType with PersistentList'),
        (lambda texts: defaultdict(texts.pop), 'defaultdict with PersistentList'),
    ],
)
@pytest.mark.parametrize('run', [State.update, State.query])
def test_a_result_that_is_not_plain_at_every_depth_is_refused(
    state: State, run: Callable[..., object], give: Callable[[PersistentList], object], said: str
) -> None:
    def returning(parts: Components) -> object:
        return give(parts[Notes].texts)

    with pytest.raises(StateError, match=re.escape(said)):
        run(state, returning)


def test_plain_results_come_as_they_are(state: State) -> None:
    around: list[object] = []
    around.append(around)
    results = (1, (1, 'a', None), [{'a': {1, 2}}], Stored('a', (), {}, Unhurried(b'')), range(3), around, [{}] * 20_000)
    for result in results:
        assert state.query(lambda _, result=result: result) is result


@pytest.mark.parametrize(
    ('use', 'error', 'said'),
    [
        (lambda state: state['notes'], ComponentError, "'notes' is not a component: give its class"),
        (lambda state: state[[]], ComponentError, '[] is not a component'),
        (lambda state: state[Component], ComponentError, 'Component is not a component of this state'),
        (lambda state: state.query(lambda parts: parts['notes']), ComponentError, "'notes' is not a component"),
        (lambda state: state.query(lambda parts: parts[Bell]), ComponentError, 'Bell is not a component of this'),
        (lambda state: state.update('add', 'text'), TypeError, "'add' is not a function of the components"),
        (lambda state: state.update(Notes.add, 'text'), ComponentError, 'Notes.add is the update of a component'),
        (lambda state: state.query(Notes.all), ComponentError, 'Notes.all is the query of a component, and not'),
        (lambda state: state.update(asynchronous), ComponentError, 'asynchronous is an async function'),
        (lambda state: state.submit(generator), ComponentError, 'generator is a generator function'),
        (lambda state: state.submit(None), TypeError, 'None is not a function of the components'),
        (lambda state: state.submit(Notes.all), ComponentError, 'Notes.all is not an update: mark it as one'),
        (lambda state: state.submit(Bystander.look), ComponentError, 'Bystander.look is not a method of a component'),
        (lambda state: state.bulk(Notes.add, 5), TypeError, '5 is not a list of arguments'),
        (lambda state: state.bulk(Notes.add, 'ab'), TypeError, "'ab' is not a list of arguments"),
        (lambda state: state.bulk(Notes.add, ['ab']), BulkStopped, "'ab' is not a tuple"),
        (lambda state: state.bulk(Notes.add, [('a',)], progress=5), TypeError, '5 cannot be called with the progress'),
        (lambda state: state[Notes].add(), TypeError, "missing 1 required positional argument: 'text'"),
        (lambda state: State('memory:', [Notes]), TypeError, "'memory:' is not an open database"),
        (lambda state: WriteConnection(state._database), TypeError, 'give the db of an open one, as in database.db'),
        (lambda state: open_database(None), DatabaseRefused, 'None is not a URI of a database'),
    ],
)
def test_a_wrong_type_is_said_in_a_sentence(
    state: State, use: Callable[[State], object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=re.escape(said)):
        use(state)
    assert state[Notes].all() == []


class Bystander(Component):
    """Is not part of the state."""

    name = 'bystander'

    @update
    def look(self) -> None:
        """Look."""


def test_nothing_can_be_set_on_what_a_state_offers(state: State, database: Database) -> None:
    for offered in (state[Notes], ReadingState(database.db, [Notes])[Notes]):
        with pytest.raises(ComponentError, match="'texts' cannot be set or deleted from outside the component"):
            offered.texts = PersistentList()
        with pytest.raises(ComponentError, match="'all' cannot be set or deleted"):
            del offered.all
        with pytest.raises(ComponentError, match="Notes has no update and no query 'nosuch'"):
            _ = offered.nosuch
    assert state[Notes].all() == []


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
        (Hollow, r'\(ValueError: nothing in it, in .*/test_state.py, line \d+\)'),
        (Locked, r"\(TypeError: cannot pickle '_thread.lock' object, in .*/test_state.py, line \d+\)"),
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
    with closing(State(database, [Notes])) as state:
        state.update(lambda parts: parts[Notes].texts.append(thing))
    modules.remove('things')
    for _ in range(2):
        database.db.cacheMinimize()
        with closing(State(database, [Notes])) as state:
            assert len(state.query(lambda parts: str(parts[Notes].texts))) > 0
    assert caplog.messages == [
        'what is stored needs the class things.Thing, which is not there (ModuleNotFoundError: No module named '
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
    depends = (Port, Notes)


class Wreck(Port):
    """Cannot serve."""

    name = 'wreck'
    depends = (Quay, Notes)

    @classmethod
    def serve(cls, state: State) -> None:
        raise SystemExit('run aground')


def test_components_serve_only_where_they_are_told_to_and_stop_in_reverse(database: Database) -> None:
    happened.clear()
    with closing(State(database, [Quay, Port, Notes])) as state:
        assert happened == ['start port 1', 'start quay 2']
        with state.serving():
            assert happened[2:] == ['serve port 3', 'serve quay 4']
        assert happened[4:] == ['stop serving quay 5', 'stop serving port 6']
    assert happened[6:] == ['stop quay 7', 'stop port 8']


def test_one_that_cannot_serve_is_named_and_those_that_do_are_stopped(database: Database) -> None:
    happened.clear()
    said = r"'wreck' could not serve \(SystemExit: run aground, in .*/test_state.py, line \d+\): remove"
    with (
        closing(State(database, [Wreck, Quay, Port, Notes])) as state,
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
            monkeypatch.setattr(writer, 'Retries', fail)  # what every transaction begins with
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
        with closing(State(database, [Notes])) as state:
            assert state._writer.busy is None
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
    with pytest.raises(StateError, match=r'could not be closed: .*endless has not ended for 0\.1 s'):
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


# Within an update.


def within_update(state: State, function: Callable[[Components], object]) -> object:
    return state.update(function)


def within_submit(state: State, function: Callable[[Components], object]) -> object:
    return state.submit(function).result(PATIENCE)


def within_run(state: State, function: Callable[[Components], object]) -> object:
    with closing(WriteConnection(state._database.db)) as session:
        return session.run(lambda root: function(Components(root)))


@pytest.mark.parametrize('within', [within_update, within_submit, within_run])
def test_a_query_within_an_update_is_refused_as_an_update_is(
    state: State, within: Callable[[State, Callable[[Components], object]], object]
) -> None:
    reading = ReadingState(state._database.db, [Notes])
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
    with closing(open_database('memory:')) as database, closing(State(database, [Notes])) as other:
        for ask in (lambda: state[Notes].add('never'), state[Notes].all):
            with pytest.raises(StateError, match='was called within an update'):
                state.update(lambda _, ask=ask: other.update(lambda _: ask()))
        assert state.update(lambda _: other[Notes].add('one')) == 1


def test_a_session_within_an_update_is_refused_as_it_would_store_again_each_time(state: State) -> None:
    def twice(parts: Components, session: WriteConnection) -> None:
        parts[Notes].add('one')
        session.run(lambda root: root['notes'].add('two'))

    with closing(WriteConnection(state._database.db)) as session:
        with pytest.raises(StateError, match=r"a session's run was called within an update, which may run again"):
            state.update(twice, session)
        with pytest.raises(StateError, match=r"a session's run was called within an update"):
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


# The database is closed first.


def test_a_database_that_is_closed_before_its_state_closes_that_too_and_says_so(tmp_path: Path) -> None:
    database = open_database(f'file://{tmp_path}/test.fs', share=True)
    state = State(database, [Notes])
    assert state[Notes].add('one') == 1
    with pytest.raises(StateError, match=r'test\.fs was closed before the state on it, which now takes no more'):
        database.close()
    with pytest.raises(StateClosed):
        state[Notes].add('late')
    state.close()
    with (
        closing(open_database(f'file://{tmp_path}/test.fs', share=True)) as again,
        closing(State(again, [Notes])) as state,
    ):
        assert state[Notes].add('two') == 2


# What is seen at a prompt.

CALLER = Caller('555', 'Bob', '17.1')


def test_a_method_of_a_state_has_the_docstring_and_the_signature_of_the_components() -> None:
    with open_database('memory:') as database, State(database, [HitCounter]) as state:
        reading = ReadingState(database.db, [HitCounter])
        for method in (state[HitCounter].count, reading[HitCounter].count):
            assert method.__doc__ == HitCounter.count.__doc__
            assert str(inspect.signature(method)) == '(line: str) -> int'
        refused = reading[HitCounter].hit
        assert list(inspect.signature(refused).parameters) == ['line', 'caller', 'max_lines']
        with pytest.raises(ReadOnly):
            refused('1', CALLER)


def test_what_a_state_is_and_offers_is_shown_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / 'hits.fs'
    with open_database(f'file:{path}', share=True) as database, State(database, [HitCounter]) as state:
        assert repr(database) == f'<Database {path}>'
        assert repr(state) == f'<State of hits in {path}>'
        assert repr(state[HitCounter]).startswith('<HitCounter (update: forget, hit, take; query: ')
        reading = ReadingState(database.db, [HitCounter])
        assert repr(reading) == '<ReadingState of hits>'
        assert repr(reading[HitCounter]) == repr(state[HitCounter])
        with closing(WriteConnection(database.db)) as session:
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
