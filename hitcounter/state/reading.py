"""What a State is for who may only read: queries, and no updates."""

from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar, cast

import ZODB

from ..errors import ComponentError, ReadOnly
from .component import Access, Component, accesses
from .session import Session
from .state import Parts
from .writer import plain

C = TypeVar('C', bound=Component)
R = TypeVar('R')
P = ParamSpec('P')


class ReadingState:
    """Offers of these components what a State does; each update raises ReadOnly. It needs no closing."""

    def __init__(self, database: ZODB.DB, components: Iterable[type[Component]]) -> None:
        self._database = database
        self._handles = {component: _Handle(self, component) for component in components}

    def __getitem__(self, component: type[C]) -> C:
        try:
            return cast(C, self._handles[component])  # it has the methods that others may call
        except KeyError:
            raise ComponentError(f'the database has no component {component.__name__}: see what root holds') from None

    def query(self, function: Callable[Concatenate[Parts, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `function(parts, ...)` as one query over components, in this thread."""
        with closing(Session(self._database)) as session:
            return plain(function(Parts(session.root), *args, **kwargs), repr(function))

    def update(self, *_: object, **__: object) -> NoReturn:
        """Raise ReadOnly."""
        raise ReadOnly('this state is only read: open it for writing to change it')


class _Handle:
    """The queries of one component, and in the place of each update its refusal."""

    def __init__(self, state: ReadingState, component: type[Component]) -> None:
        for name, access in accesses(component).items():
            setattr(self, name, state.update if access is Access.UPDATE else _query(state, component, name))


def _query(state: ReadingState, component: type[Component], name: str) -> Callable[..., Any]:
    def query(*args: Any, **kwargs: Any) -> Any:
        return state.query(lambda parts: getattr(parts[component], name)(*args, **kwargs))

    query.__name__ = name
    query.__doc__ = getattr(component, name).__doc__
    return query
