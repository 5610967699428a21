"""Components: the persistent objects at the root of the database, and the methods that others may call."""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from persistent import Persistent

from ..errors import ComponentError

if TYPE_CHECKING:
    from .state import State

Method = TypeVar('Method', bound=Callable[..., Any])

_ACCESS = '__hitcounter_access__'
_MIGRATION = '__hitcounter_migration__'

#: The key at the root under which the schema of each component in the database stands.
SCHEMAS = 'schemas'

#: The key at the root under which writers elsewhere leave their marks, see marks.py.
MARKS = 'marks'


class Access(Enum):
    """What a method of a component may do, and in which thread it runs."""

    #: Changes the component, in the writer.
    UPDATE = 'update'
    #: Only reads, in the caller's thread.
    QUERY = 'query'


class Component(Persistent):
    """A part of the state: a persistent object that lies at the root of the database under its `name`.

    Calling the class makes its first state. Its methods marked `@update` and `@query` are what `state[Class]`
    offers; within an update they are ordinary methods.
    """

    #: The key at the root. Once there is a database it cannot change.
    name: ClassVar[str]
    #: Counts the changes of the persistent classes that an older database does not have.
    schema: ClassVar[int] = 1
    #: Persistent classes of an older database that have other names since: `{'old.module:Old': 'new.module:New'}`.
    moved: ClassVar[Mapping[str, str]] = {}
    #: Components that must be there before this one's first state is made.
    depends: ClassVar[tuple[type['Component'], ...]] = ()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        _check_migrations(cls)

    def check(self) -> Iterable[str]:
        """What does not agree with itself, each in a sentence; `hitcounter verify` asks each component."""
        return ()

    @classmethod
    def start(cls, state: 'State') -> None:
        """Begin what lives beside the database, a thread, say; those that this one depends on have started."""

    @classmethod
    def stop(cls, state: 'State') -> None:
        """End what `start` began, after all that depend on this one; `state` still takes updates and queries."""


def update(method: Method) -> Method:
    """Mark a method that changes its component: atomic, as if alone, and on disk before it returns."""
    setattr(method, _ACCESS, Access.UPDATE)
    return method


def query(method: Method) -> Method:
    """Mark a method that reads its component on a snapshot, without waiting for updates."""
    setattr(method, _ACCESS, Access.QUERY)
    return method


def migration(*, to: int) -> Callable[[Method], Method]:
    """Mark a method without arguments that makes schema `to` of its component, as the schema before left it."""

    def mark(method: Method) -> Method:
        setattr(method, _MIGRATION, to)
        return method

    return mark


def migrations(component: type[Component]) -> list[tuple[int, str]]:
    """The schemas that `component` can be migrated to, and the method that does it, in order."""
    marked = ((getattr(getattr(component, name), _MIGRATION, None), name) for name in dir(component))
    return sorted((to, name) for to, name in marked if to is not None)


def _check_migrations(component: type[Component]) -> None:
    """Raise ComponentError unless there is one migration to each schema."""
    found = migrations(component)
    for expected, to in zip_longest(range(2, component.schema + 1), (to for to, _ in found)):
        if to != expected and (to is None or (expected is not None and to > expected)):
            raise ComponentError(
                f'{component!r} has schema {component.schema}, and no migration to {expected}: mark the method that '
                f'does it with @migration(to={expected})')
        if to != expected:
            raise ComponentError(
                f'{component!r} has schema {component.schema}, and a migration to {to} too many: there is one to '
                f'each schema from 2 on')


def accesses(component: type[Component]) -> dict[str, Access]:
    """The names of the updates and queries of `component`."""
    marked = ((name, getattr(getattr(component, name), _ACCESS, None)) for name in dir(component))
    return {name: access for name, access in marked if access is not None}


def in_order(components: Iterable[type[Component]]) -> list[type[Component]]:
    """`components`, each behind those that it depends on.

    Raises ComponentError when a name stands for two of them, one is missing, or they depend on each other.
    """
    wanted = list(components)
    names: dict[str, type[Component]] = {}
    for component in wanted:
        if not isinstance(getattr(component, 'name', None), str):
            raise ComponentError(f'{component!r} has no name: give it one')
        if component.name in (SCHEMAS, MARKS):
            raise ComponentError(f'{component!r} has the name {component.name!r}, which is taken: choose another')
        if component.__module__ == '__main__':
            raise ComponentError(f'{component!r} is where no other process finds it: put it into a module')
        other = names.setdefault(component.name, component)
        if other is not component:
            raise ComponentError(f'two components have the name {component.name!r}: {other!r} and {component!r}')
    ordered: list[type[Component]] = []
    for component in names.values():
        _place(component, wanted, ordered, ())
    return ordered


def _place(
    component: type[Component],
    wanted: list[type[Component]],
    ordered: list[type[Component]],
    above: tuple[type[Component], ...],
) -> None:
    if component in ordered:
        return
    if component in above:
        circle = ' -> '.join(one.name for one in (*above[above.index(component) :], component))
        raise ComponentError(f'components depend on each other in a circle: {circle}')
    if component not in wanted:
        raise ComponentError(f'component {above[-1].name!r} depends on {component.name!r}, which is not there: add it')
    for needed in component.depends:
        _place(needed, wanted, ordered, (*above, component))
    ordered.append(component)
