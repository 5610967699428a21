"""Components: the persistent objects at the root of the database, and the methods that others may call."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from itertools import zip_longest
from typing import Any, ClassVar, TypeVar

from persistent import Persistent

from ...deferred import deferred
from ...errors import ComponentError
from .root import ELSEWHERE, MARKS, SCHEMAS

Method = TypeVar('Method', bound=Callable[..., Any])

#: The hooks that may be generator functions.
_MANY = ('check', 'export', 'overdue', 'about')

_ACCESS = '__hitcounter_access__'
_MIGRATION = '__hitcounter_migration__'


class Access(Enum):
    """What a method of a component may do, and in which thread it runs."""

    #: Changes the component, in the writer.
    UPDATE = 'update'
    #: Only reads, in the caller's thread.
    QUERY = 'query'


class Component(Persistent):
    """A part of the state: a persistent object at the root of the database under its `name`.

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
    #: Attributes whose plain lists, dictionaries or sets are not changed in place, or only with `_p_changed`, so that
    #: the log does not name them. Any persistent class may have it; it may also list classes of collections, such as
    #: OOBTree, whose values are plain. A subclass adds to it.
    plain_on_purpose: ClassVar[tuple[str | type, ...]] = ()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        _check_attributes(cls)
        _check_hooks(cls)
        _check_migrations(cls)

    def __repr__(self) -> str:  # of what is not stored, because it is also shown where loading fails
        return outline(type(self))

    def check(self) -> Iterable[str]:
        """What is inconsistent in this component, a sentence for each; a verification of the database asks for it."""
        return ()

    def export(self) -> Iterable[Mapping[str, object]]:
        """A row for each record, with the same fields in each: texts, numbers, booleans or None.

        `hitcounter export --component NAME` writes them, as they are at one moment.
        """
        return ()

    def overdue(self, before: float) -> Iterable[Any]:
        """A key for each part that has records older than that time, in seconds since 1970, for `forget`.

        It may yield None for a part that has none: if there are very many, the server can stop at each of these.

        `hitcounter forget` and `--keep-calls` run it as a query, in addition to forgetting calls.
        """
        return ()

    def forget(self, key: Any, /, before: float, most: int) -> int:
        """Forget records of `key` from before that time, at most `most` of them; returns how many.

        It runs as an update, again and again until it returns 0, so that no call waits long.
        """
        return 0

    # `caller` is a SameCaller and `state` is the State, which this room does not know; Any, not a protocol, lets an
    # override say so.

    def about(self, caller: Any) -> Iterable[Any]:
        """A key for each part that has records about that caller, for `erase`; None as in `overdue`.

        `caller.is_(number, line)` is whether a caller ID, as it was sent to that line, is this caller's.
        `hitcounter forget --caller` runs it as a query.
        """
        return ()

    def erase(self, key: Any, /, caller: Any) -> int:
        """Remove from the records of `key` what says that they are about that caller; returns how many there were.

        It runs as an update, once for each key: a key should stand for few records, so that no call waits long.
        """
        return 0

    @classmethod
    def start(cls, state: Any) -> None:
        """Begin what is not stored, such as a cache; the components that this one depends on have started.

        Each process that opens the state runs it: the server, a shell, hitcounter-agi for each call.
        """

    @classmethod
    def stop(cls, state: Any) -> None:
        """End what `start` began, after all that depend on this one; `state` still takes updates and queries."""

    @classmethod
    def serve(cls, state: Any) -> None:
        """Begin what only one process may do, such as listening on a port; those that this one depends on are serving.

        The server alone runs it, once all components have started and before it takes calls; it must return.
        """

    @classmethod
    def stop_serving(cls, state: Any) -> None:
        """End what `serve` began, once the calls are over and all that depend on this one have stopped serving."""


def update(method: Method) -> Method:
    """Mark a method that changes its component: atomic, as if alone, and on disk before it returns.

    Raises ComponentError for an async or a generator function, which does not run when it is called.
    """
    return _marked(method, Access.UPDATE)


def query(method: Method) -> Method:
    """Mark a method that reads its component at one moment, and waits for no update. Raises as `update` does."""
    return _marked(method, Access.QUERY)


def _marked(method: Method, access: Access) -> Method:
    _check_method(method, access.value)
    setattr(method, _ACCESS, access)
    return method


def _check_method(method: object, mark: str) -> None:
    """Raise ComponentError unless `method` is a function of the component that runs when it is called."""
    if not callable(method) or isinstance(method, type | staticmethod | classmethod):
        raise ComponentError(f'{method!r} is not a method of a component: mark a function, in its class, with @{mark}')
    if kind := deferred(method):
        raise ComponentError(
            f'{label_of(method)} is {kind}, which does not run when it is called: make it a plain function to mark it '
            f'with @{mark}'
        )


def label_of(function: object) -> str:
    """The name of `function` in messages, in the log and in the database's history."""
    return getattr(function, '__qualname__', repr(function))


def access_of(function: object) -> Access | None:
    """What `function` is marked as; None if it is not a marked method."""
    access = getattr(function, _ACCESS, None)
    return access if isinstance(access, Access) else None


def migration(*, to: int) -> Callable[[Method], Method]:
    """Mark a method without arguments that makes schema `to` of its component, as the schema before left it."""
    if not _is_count(to, 2):
        raise ComponentError(f'a migration cannot be to {to!r}: give the schema that it makes, a number from 2 on')

    def mark(method: Method) -> Method:
        _check_method(method, f'migration(to={to})')
        _check_takes_nothing(method)
        setattr(method, _MIGRATION, to)
        return method

    return mark


def _check_takes_nothing(method: Callable[..., object]) -> None:
    try:
        inspect.signature(method).bind(None)
    except TypeError as error:
        raise ComponentError(
            f'the migration {label_of(method)} cannot be called without arguments ({error}): it takes self alone'
        ) from None


def migrations(component: type[Component]) -> list[tuple[int, str]]:
    """The schemas that `component` can be migrated to, and the method that does it, in order."""
    marked = ((getattr(getattr(component, name), _MIGRATION, None), name) for name in dir(component))
    return sorted((to, name) for to, name in marked if to is not None)


def _check_attributes(component: type[Component]) -> None:
    """Raise ComponentError if an attribute by which the class describes itself has the wrong type."""
    name, depends = getattr(component, 'name', 'not given yet'), component.depends
    if not isinstance(name, str) or not name:
        raise ComponentError(f'{component!r} has the name {name!r}: give it a text that is not empty')
    if not _is_count(component.schema, 1):
        raise ComponentError(f'{component!r} has the schema {component.schema!r}: give it a number from 1 on')
    if not isinstance(depends, tuple | list) or not all(map(is_component, depends)):
        raise ComponentError(
            f'{component!r} depends on {depends!r}: give it the classes of the components, as in (Polls,)'
        )
    purpose = component.plain_on_purpose
    if not isinstance(purpose, tuple | list | set | frozenset) or not all(isinstance(p, str | type) for p in purpose):
        raise ComponentError(f"{component!r} has the plain_on_purpose {purpose!r}: give it a tuple, as in ('names',)")
    if not isinstance(component.moved, Mapping) or not all(map(_is_class_name, _flat(component.moved))):
        raise ComponentError(
            f"{component!r} has moved {component.moved!r}: give it {{'old.module:Old': 'new.module:New'}}"
        )


def _check_hooks(component: type[Component]) -> None:
    """Raise ComponentError for a hook that a call would not run, or that a `for` could not iterate over."""
    for name in ('start', 'stop', 'serve', 'stop_serving', 'forget', 'erase', *_MANY):
        kind = deferred(getattr(component, name))
        if kind and not (name in _MANY and kind == 'a generator function'):
            raise ComponentError(
                f'{component!r} has a {name}() that is {kind}, which does not run when it is called: make it a plain '
                f'method'
            )


def is_component(component: object) -> bool:
    """Whether it is the class of a component."""
    return isinstance(component, type) and issubclass(component, Component)


def not_offered(component: object, reason: str) -> ComponentError:
    """The error for `component` where it is not offered, which `reason` says, unless it is not even a component."""
    if is_component(component):
        return ComponentError(f'{component.__name__} {reason}')  # type: ignore[attr-defined]  # it is a class
    return ComponentError(f'{component!r} is not a component: give its class, as in state[Polls]')


def _is_count(number: object, least: int) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= least


def _is_class_name(name: object) -> bool:
    return isinstance(name, str) and all(name.partition(':'))


def _flat(moved: Mapping[str, str]) -> Iterable[str]:
    return (*moved, *moved.values())


def _check_migrations(component: type[Component]) -> None:
    """Raise ComponentError unless there is one migration to each schema."""
    found = migrations(component)
    for expected, to in zip_longest(range(2, component.schema + 1), (to for to, _ in found)):
        if to != expected and (to is None or (expected is not None and to > expected)):
            raise ComponentError(
                f'{component!r} has schema {component.schema}, and no migration to {expected}: mark the method that '
                f'does it with @migration(to={expected})'
            )
        if to != expected:
            raise ComponentError(
                f'{component!r} has schema {component.schema}, and a migration to {to} too many: there is one to '
                f'each schema from 2 on'
            )


def accesses(component: type[Component]) -> dict[str, Access]:
    """The names of the updates and queries of `component`."""
    marked = ((name, getattr(getattr(component, name), _ACCESS, None)) for name in dir(component))
    return {name: access for name, access in marked if access is not None}


def outline(component: type[Component]) -> str:
    """What `component` offers, in one line."""
    offered = accesses(component)
    of_kind = {access: [name for name, found in offered.items() if found is access] for access in Access}
    shown = [f'{access.value}: {", ".join(names)}' for access, names in of_kind.items() if names]
    return f'<{component.__name__} ({"; ".join(shown)})>' if shown else f'<{component.__name__}>'


def in_order(components: Iterable[type[Component]]) -> list[type[Component]]:
    """`components`, each after those that it depends on.

    Raises ComponentError if two of them have one name, one is missing, or they depend on each other.
    """
    if isinstance(components, type | str) or not isinstance(components, Iterable):
        raise ComponentError(f'{components!r} is not a list of components: give their classes, as in [Polls]')
    wanted = list(components)
    names: dict[str, type[Component]] = {}
    for component in wanted:
        if not is_component(component):
            raise ComponentError(f'{component!r} is not a component: name a subclass of Component')
        if not hasattr(component, 'name'):
            raise ComponentError(f'{component!r} has no name: give it one')
        _check_attributes(component)
        if component.name in (SCHEMAS, MARKS, ELSEWHERE):
            raise ComponentError(f'{component!r} has the name {component.name!r}, which is taken: choose another')
        if component.__module__ == '__main__':
            raise ComponentError(f'{component!r} is where no other process can find it: put it into a module')
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
        needed = getattr(component, 'name', component.__qualname__)
        raise ComponentError(f'component {above[-1].name!r} depends on {needed!r}, which is missing: add it')
    for needed in component.depends:
        _place(needed, wanted, ordered, (*above, component))
    ordered.append(component)
