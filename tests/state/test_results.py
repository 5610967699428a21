"""What updates and queries take and return."""

import re
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest
from BTrees.OOBTree import OOBTree
from persistent.list import PersistentList
from persistent.mapping import PersistentMapping

from hitcounter.errors import BulkStopped, ComponentError, DatabaseRefused, StateError
from hitcounter.state import (
    Component,
    Components,
    Database,
    State,
    Stored,
    WriteConnection,
    open_database,
    update,
)
from tests.support.notes import Notes


class Absent(Component):
    """A component that no state here has."""

    name = 'absent'


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
        (lambda state: state.query(lambda parts: parts[Absent]), ComponentError, 'Absent is not a component of this'),
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
    for offered in (state[Notes], State(database, [Notes], read_only=True)[Notes]):
        with pytest.raises(ComponentError, match="'texts' cannot be set or deleted from outside the component"):
            offered.texts = PersistentList()
        with pytest.raises(ComponentError, match="'all' cannot be set or deleted"):
            del offered.all
        with pytest.raises(ComponentError, match="Notes has no update and no query 'nosuch'"):
            _ = offered.nosuch
    assert state[Notes].all() == []
