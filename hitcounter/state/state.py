"""The state: components in a database, their updates in the writer, their queries on snapshots."""

import functools
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from persistent.mapping import PersistentMapping

from ..errors import ComponentError, DatabaseRefused, NoSuchMethod, StateError
from .component import SCHEMAS, Access, Component, accesses, in_order
from .database import Database
from .session import Session
from .writer import Root, Writer, plain

C = TypeVar('C', bound=Component)
R = TypeVar('R')
P = ParamSpec('P')


class Parts:
    """The components themselves, as one transaction sees them: `parts[HitCounter]`."""

    __slots__ = ('_root',)

    def __init__(self, root: Root) -> None:
        self._root = root

    def __getitem__(self, component: type[C]) -> C:
        return cast(C, self._root[component.name])


class State:
    """Native objects, durable and ACID: `state[HitCounter].hit(...)`.

    `state[Class]` has the updates and queries of that component, with their ordinary arguments, for any thread. An
    update that raises has changed nothing; one that returns is on disk. Their results are plain values.

    Opening it makes the first state of components that the database does not have. Raises ComponentError when the
    components do not fit together, DatabaseRefused when the database does not fit them.
    """

    def __init__(self, database: Database, components: Iterable[type[Component]]) -> None:
        ordered = in_order(components)
        self._database = database
        self._writer = Writer(database.db)
        try:
            self._writer.run(functools.partial(_prepare, ordered), 'first state')
        except StateError:
            self._writer.close()
            raise
        except Exception as error:  # whatever a damaged record leads to
            self._writer.close()
            raise DatabaseRefused(f'the database cannot be read ({error}): restore a backup') from error
        self._handles = {component: _Handle(self, component) for component in ordered}

    def __getitem__(self, component: type[C]) -> C:
        try:
            return cast(C, self._handles[component])  # it has the methods that others may call
        except KeyError:
            raise ComponentError(f'{component.__name__} is no component of this state: open it with') from None

    def update(self, function: Callable[Concatenate[Parts, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `function(parts, ...)` as one update that may span components: all of it happens, or nothing."""
        return self._writer.run(lambda root: function(Parts(root), *args, **kwargs), _label(function))

    def query(self, function: Callable[Concatenate[Parts, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `function(parts, ...)` as one query over components, in this thread."""
        with closing(Session(self._database.db)) as session:
            return plain(function(Parts(session.root), *args, **kwargs), _label(function))

    def close(self) -> None:
        """Let the updates that wait be stored, then take no more. The database stays open."""
        self._writer.close()


class _Handle:
    """The updates and queries of one component, for every thread."""

    def __init__(self, state: State, component: type[Component]) -> None:
        self._component = component
        for name, access in accesses(component).items():
            run = state._writer.run if access is Access.UPDATE else functools.partial(_read, state._database)
            setattr(self, name, _method(run, component.name, name))

    def __getattr__(self, name: str) -> Any:
        raise NoSuchMethod(f'{self._component.__name__} has no update and no query {name!r}: mark its method as one')


def _method(run: Callable[[Callable[[Root], Any], str], Any], component: str, name: str) -> Callable[..., Any]:
    label = f'{component}.{name}'

    def method(*args: Any, **kwargs: Any) -> Any:
        return run(lambda root: getattr(root[component], name)(*args, **kwargs), label)

    method.__name__ = name
    method.__qualname__ = label
    return method


def _read(database: Database, function: Callable[[Root], R], label: str) -> R:
    with closing(Session(database.db)) as session:
        return plain(function(session.root), label)


def _label(function: Callable[..., Any]) -> str:
    return getattr(function, '__qualname__', repr(function))


def _prepare(components: list[type[Component]], root: Root) -> None:
    """Make what is missing; refuse a database that is not of these components."""
    if SCHEMAS not in root:
        if len(root):
            raise DatabaseRefused(f'the database holds {sorted(root)}, of some other program: choose another file')
        root[SCHEMAS] = PersistentMapping()
    schemas = root[SCHEMAS]
    for component in components:
        if component.name not in root:
            root[component.name] = component()
            schemas[component.name] = component.schema
        elif schemas[component.name] != component.schema:
            raise DatabaseRefused(
                f'the database holds schema {schemas[component.name]} of {component.name!r}, and this program '
                f'needs {component.schema}: use the program that wrote it, or restore a backup'
            )
