"""Changes in place: what is plain in an object of the database is named in the log, once, and nothing else is."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from BTrees.IOBTree import IOBTree
from BTrees.OOBTree import OOBTree, OOTreeSet
from persistent import Persistent
from persistent.list import PersistentList
from persistent.mapping import PersistentMapping

from hitcounter.errors import ComponentError
from hitcounter.hits import Caller, HitCounter
from hitcounter.state import Component, State, open_database, query, update
from hitcounter.state.model import in_place

REMEDY = ', and a change within it is not stored: use a persistent kind, or assign a new one to change it; if the '


class Shelf(Persistent):
    """Holds plain values, one of them on purpose."""

    plain_on_purpose = ('sorted',)

    def __init__(self) -> None:
        self.sorted: list[str] = []
        self.label = 'a'
        self.sizes = {1, 2}


class Tags(Component):
    """Holds plain values of several kinds."""

    name = 'tags'

    def __init__(self) -> None:
        self.plain: list[str] = []
        self.tree = OOBTree()
        self.shelves = PersistentList([Shelf(), Shelf()])

    @update
    def hold(self, name: str, value: object) -> None:
        setattr(self, name, value)

    @update
    def fill(self, values: int) -> None:
        self.tree.update({f'{number:05}': {} for number in range(values)})

    @query
    def look(self) -> int:
        return sum(len(shelf.sizes) for shelf in self.shelves)


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a process that has seen no class yet."""
    for name in ('_looks', '_settled', '_steady'):
        monkeypatch.setattr(in_place, name, type(getattr(in_place, name))())


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f'file://{tmp_path}/test.fs'


@pytest.fixture
def state(uri: str) -> Iterator[State]:
    with open_database(uri, share=True) as database, State(database, [Tags]) as state:
        yield state


def named(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was named since, without what to do."""
    said = [record.getMessage().partition(REMEDY)[0] for record in caplog.records]
    caplog.clear()
    return said


def test_what_is_stored_is_named_once_for_each_class_and_attribute(uri: str, caplog: pytest.LogCaptureFixture) -> None:
    with open_database(uri, share=True) as database, State(database, [Tags]) as state:
        assert sorted(named(caplog)) == ['Shelf.sizes is a plain set', 'Tags.plain is a plain list']
        state[Tags].hold('plain', ['another'])
        state[Tags].hold('shelves', PersistentList([Shelf()]))
        assert named(caplog) == []
        state[Tags].hold('counts', Counter())
    assert named(caplog) == ['Tags.counts is a plain Counter']


def test_what_is_loaded_is_named_too(
    uri: str, state: State, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.close()
    monkeypatch.setattr(in_place, '_looks', {})
    caplog.clear()
    with open_database(uri) as database, State(database, [Tags]) as state:
        assert state[Tags].look() == 4
        assert sorted(named(caplog)) == ['Shelf.sizes is a plain set', 'Tags.plain is a plain list']
        state[Tags].look()
    assert named(caplog) == []


def test_the_line_says_what_to_do(uri: str, caplog: pytest.LogCaptureFixture) -> None:
    with open_database(uri, share=True) as database:
        State(database, [Tags]).close()
    assert [record.levelname for record in caplog.records] == ['WARNING'] * 2
    assert (
        'Tags.plain is a plain list, and a change within it is not stored: use a persistent kind, or assign a new '
        "one to change it; if the code does that, name 'plain' in the plain_on_purpose of Tags"
    ) in caplog.messages


@pytest.mark.parametrize('value', [{}, set(), bytearray(), deque(), defaultdict(list), Counter()])
def test_all_that_changes_without_a_word_is_named(
    state: State, caplog: pytest.LogCaptureFixture, value: object
) -> None:
    caplog.clear()
    state[Tags].hold('value', value)
    assert named(caplog) == [f'Tags.value is a plain {type(value).__name__}']


@pytest.mark.parametrize(
    'value',
    [1, 'a', (1, 2), frozenset({1}), None, PersistentMapping(a=1), PersistentList([1]), OOTreeSet([1]), OOBTree()],
)
def test_nothing_else_is_named(state: State, caplog: pytest.LogCaptureFixture, value: object) -> None:
    caplog.clear()
    state[Tags].hold('value', value)
    state[Tags].hold('_v_cache', {})  # which is not stored
    assert named(caplog) == []


@pytest.mark.parametrize(
    ('value', 'said'),
    [
        (OOBTree({'a': []}), 'OOBTree holds a plain list'),
        (IOBTree({1: {}}), 'IOBTree holds a plain dict'),
        (PersistentMapping(a=set()), 'PersistentMapping holds a plain set'),
        (PersistentList([[]]), 'PersistentList holds a plain list'),
    ],
)
def test_a_value_of_a_collection_is_named_by_the_kind_of_the_collection(
    state: State, caplog: pytest.LogCaptureFixture, value: object, said: str
) -> None:
    caplog.clear()
    state[Tags].hold('value', value)
    state[Tags].hold('value', value)
    assert named(caplog) == [said]


def test_a_value_in_a_bucket_of_a_large_tree_is_named_too(state: State, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    state[Tags].fill(100)
    assert named(caplog) == ['OOBTree holds a plain dict']


def test_what_is_plain_on_purpose_is_not_named(
    uri: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tags, 'plain_on_purpose', ('plain', OOBTree))
    with open_database(uri, share=True) as database, State(database, [Tags]) as state:
        assert named(caplog) == ['Shelf.sizes is a plain set']
        state[Tags].fill(100)
        state[Tags].hold('value', {})
    assert named(caplog) == ['Tags.value is a plain dict']


def test_a_subclass_adds_to_what_is_on_purpose(state: State, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    state[Tags].hold('shelves', PersistentList([NarrowShelf()]))
    assert named(caplog) == ['NarrowShelf.narrow is a plain list']


class NarrowShelf(Shelf):
    """Has one more."""

    plain_on_purpose = ('sizes',)

    def __init__(self) -> None:
        super().__init__()
        self.narrow: list[str] = []


def test_a_text_for_what_is_on_purpose_is_refused() -> None:
    with pytest.raises(ComponentError, match=r"plain_on_purpose 'plain': give it a tuple, as in \('names',\)"):
        type('Wrong', (Component,), {'name': 'wrong', 'plain_on_purpose': 'plain'})


class Slotted(Persistent):
    """Has slots in the place of a dictionary."""

    __slots__ = ('__tags', 'size')
    plain_on_purpose = ('size',)

    def __init__(self) -> None:
        self.__tags: list[str] = []
        self.size = {1}


def test_what_is_plain_in_a_slot_is_named_too(state: State, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    state[Tags].hold('slotted', Slotted())
    assert named(caplog) == ['Slotted._Slotted__tags is a plain list']


class Wrong(Persistent):
    """Holds what is plain."""

    def __init__(self) -> None:
        self.names: list[str] = []


@pytest.mark.parametrize('purpose', [5, None, ([],), (5,)])
def test_what_cannot_name_anything_on_purpose_is_said_and_keeps_nothing_from_being_stored(
    state: State, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, purpose: object
) -> None:
    monkeypatch.setattr(Wrong, 'plain_on_purpose', purpose, raising=False)
    caplog.clear()
    state[Tags].hold('wrong', Wrong())
    said = named(caplog)
    assert said == [
        f"{Wrong!r} has the plain_on_purpose {purpose!r}, which names nothing: give it a tuple, as in ('names',)",
        'Wrong.names is a plain list',
    ]


def test_a_migration_is_looked_at_as_it_stores(state: State, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()

    def change_by_savepoints(parts: object) -> None:
        tags = parts[Tags]  # type: ignore[index]
        tags.later = {}
        tags._p_jar.transaction_manager.savepoint(optimistic=True)

    state.update(change_by_savepoints)
    assert named(caplog) == ['Tags.later is a plain dict']


def test_nothing_of_the_hit_counter_is_plain_but_on_purpose(uri: str, caplog: pytest.LogCaptureFixture) -> None:
    with open_database(uri, share=True) as database, State(database, [HitCounter]) as state:
        for number in range(100):
            state[HitCounter].hit(str(number % 2), Caller('555', None, '1.1'))
    assert named(caplog) == []
