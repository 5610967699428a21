"""Components: what they offer, and in which order they start."""

import functools
import re
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from hitcounter.errors import ComponentError
from hitcounter.state import Component, migration, query, update
from hitcounter.state.model.component import Access, accesses, in_order


class First(Component):
    """The first."""

    name = 'first'

    @update
    def change(self) -> None:
        """Change it."""

    @query
    def look(self) -> None:
        """Look at it."""

    def neither(self) -> None:
        """Nobody but itself may call this."""


class Second(Component):
    """Depends on the first."""

    name = 'second'
    depends = (First,)


class Third(First):
    """Depends on both."""

    name = 'third'
    depends = (Second, First)


def test_what_is_marked_is_offered_and_nothing_else() -> None:
    assert accesses(First) == {'change': Access.UPDATE, 'look': Access.QUERY}


def test_a_subclass_offers_what_its_base_does() -> None:
    assert accesses(Third) == accesses(First)


def test_a_component_stands_behind_those_it_depends_on() -> None:
    assert in_order([Third, Second, First]) == [First, Second, Third]
    assert in_order([First, Third, Second]) == [First, Second, Third]


def test_a_component_named_twice_is_there_once() -> None:
    assert in_order([First, First]) == [First]


def test_two_components_of_one_name_are_named() -> None:
    class Other(Component):
        name = 'first'

    with pytest.raises(ComponentError, match=r"'first': .*First.*Other"):
        in_order([First, Other])


def test_the_name_of_the_schemas_is_taken() -> None:
    class Schemas(Component):
        name = 'schemas'

    with pytest.raises(ComponentError, match='which is taken'):
        in_order([Schemas])


def test_a_component_that_no_other_process_could_import_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(First, '__module__', '__main__')
    with pytest.raises(ComponentError, match='put it into a module'):
        in_order([First])


def test_a_missing_component_is_named() -> None:
    with pytest.raises(ComponentError, match="'second' depends on 'first', which is missing"):
        in_order([Second])


def test_a_circle_is_named() -> None:
    class Egg(Component):
        name = 'egg'

    class Hen(Component):
        name = 'hen'
        depends = (Egg,)

    Egg.depends = (Hen,)
    with pytest.raises(ComponentError, match='in a circle: egg -> hen -> egg'):
        in_order([Egg, Hen])


def defined(**attributes: object) -> type[Component]:
    return type('Polls', (Component,), {'__module__': 'polls', **attributes})


@pytest.mark.parametrize(
    ('attributes', 'said'),
    [
        ({'name': 5}, 'has the name 5: give it a text that is not empty'),
        ({'name': ''}, "has the name ''"),
        ({'name': property(lambda self: 'polls')}, 'has the name <property object'),
        ({'schema': 'two'}, "has the schema 'two': give it a number from 1 on"),
        ({'schema': 0}, 'has the schema 0'),
        ({'schema': True}, 'has the schema True'),
        ({'depends': 'a'}, "depends on 'a': give it the classes of the components, as in (Polls,)"),
        ({'depends': ('first',)}, "depends on ('first',): give it the classes"),
        ({'depends': First}, "First'>: give it the classes"),
        ({'depends': (int,)}, "depends on (<class 'int'>,)"),
        ({'moved': ['a:A']}, "has moved ['a:A']: give it {'old.module:Old': 'new.module:New'}"),
        ({'moved': {'a:A': 'B'}}, "has moved {'a:A': 'B'}: give it"),
        ({'moved': {'a:A': None}}, "has moved {'a:A': None}: give it"),
    ],
)
def test_a_class_that_says_something_of_a_wrong_type_is_refused_where_it_is_defined(
    attributes: dict[str, object], said: str
) -> None:
    with pytest.raises(ComponentError, match=re.escape(said)):
        defined(**attributes)


def test_what_was_put_into_a_class_later_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Second, 'depends', 'first')
    with pytest.raises(ComponentError, match="Second'> depends on 'first': give it the classes"):
        in_order([First, Second])


@pytest.mark.parametrize(
    ('components', 'said'),
    [
        (First, "First'> is not a list of components: give their classes, as in [Polls]"),
        ('first', "'first' is not a list of components"),
        (5, '5 is not a list of components'),
        (['first'], "'first' is not a component: name a subclass of Component"),
        ([First()], 'is not a component: name a subclass'),
        ([Component], "Component'> has no name: give it one"),
    ],
)
def test_what_is_no_list_of_components_is_said_in_a_sentence(components: object, said: str) -> None:
    with pytest.raises(ComponentError, match=re.escape(said)):
        in_order(components)  # type: ignore[arg-type]  # that is the mistake


async def asynchronous(self: Component) -> None:
    """Is never awaited."""


async def asynchronous_generator(self: Component) -> AsyncIterator[int]:
    yield 1


def generator(self: Component) -> Iterator[int]:
    yield 1


@pytest.mark.parametrize('mark', [update, query, migration(to=2)])
@pytest.mark.parametrize(
    ('method', 'kind'),
    [
        (asynchronous, 'asynchronous is an async function, which does not run when it is called'),
        (asynchronous_generator, 'asynchronous_generator is an async generator function'),
        (generator, 'generator is a generator function'),
        (functools.partial(generator), 'is a generator function'),
        (functools.partialmethod(asynchronous), 'is not a method of a component'),
    ],
)
def test_what_does_not_run_when_it_is_called_is_refused_where_it_is_defined(
    mark: Callable[..., object], method: object, kind: str
) -> None:
    with pytest.raises(ComponentError, match=re.escape(kind)):
        mark(method)


@pytest.mark.parametrize('method', [5, 'vote', property(generator), staticmethod(len), classmethod(len), First])
def test_what_is_no_method_is_refused_where_it_is_marked(method: object) -> None:
    with pytest.raises(ComponentError, match='is not a method of a component: mark a function, in its class, with @up'):
        update(method)  # type: ignore[type-var]  # that is the mistake


@pytest.mark.parametrize('to', ['2', 1, 2.0, None, True])
def test_a_migration_to_what_is_no_schema_is_refused(to: object) -> None:
    with pytest.raises(ComponentError, match=re.escape(f'a migration cannot be to {to!r}: give the schema')):
        migration(to=to)  # type: ignore[arg-type]  # that is the mistake


def test_a_migration_that_takes_arguments_is_refused() -> None:
    def fill(self: Component, number: int) -> None:
        """Takes one too many."""

    with pytest.raises(ComponentError, match=r"fill cannot be called without arguments \(missing .*'number'\)"):
        migration(to=2)(fill)


@pytest.mark.parametrize('hook', ['start', 'stop', 'serve', 'stop_serving', 'forget', 'check', 'export', 'overdue'])
def test_a_hook_that_would_run_nothing_is_refused(hook: str) -> None:
    with pytest.raises(ComponentError, match=rf'has a {hook}\(\) that is an async function, which does not run'):
        defined(name='polls', **{hook: classmethod(asynchronous)})
