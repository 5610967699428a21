"""What a State is for who may only read: queries, and no updates."""

from collections.abc import Callable, Iterable
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar, cast

import ZODB

from ..errors import ReadOnly
from .model.component import Access, Component, accesses, label_of, not_offered
from .state import Components, described, no_such_method, over_parts, read, refuse_to_set, show_handle

C = TypeVar('C', bound=Component)
R = TypeVar('R')
P = ParamSpec('P')


class ReadingState:
    """Offers of these components what a State does; each update raises ReadOnly. It needs no closing."""

    def __init__(self, database: ZODB.DB, components: Iterable[type[Component]]) -> None:
        self._database = database
        self._handles = {component: _Handle(self, component) for component in components}

    def __repr__(self) -> str:
        return f'<ReadingState of {", ".join(component.name for component in self._handles)}>'

    def __getitem__(self, component: type[C]) -> C:
        try:
            return cast(C, self._handles[component])  # it has the methods that others may call
        except (KeyError, TypeError):  # the latter: what was given cannot be a key
            raise not_offered(component, 'is not a component of this database: see what root holds') from None

    def query(self, function: Callable[Concatenate[Components, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `function(parts, ...)` as one query over components, in this thread."""
        return read(self._database, over_parts(function), label_of(function), args, kwargs)

    def update(self, *_: object, **__: object) -> NoReturn:
        """Raise ReadOnly."""
        raise ReadOnly('this state is only read: open it for writing to change it')


class _Handle:
    """The queries of one component, and in the place of each update its refusal."""

    def __init__(self, state: ReadingState, component: type[Component]) -> None:
        vars(self)['_component'] = component
        for name, access in accesses(component).items():
            method = _update(state) if access is Access.UPDATE else _query(state, component, name)
            vars(self)[name] = described(method, component, name)

    def __getattr__(self, name: str) -> Any:
        raise no_such_method(self._component, name)

    def __repr__(self) -> str:
        return show_handle(self._component)

    __setattr__ = __delattr__ = refuse_to_set


def _update(state: ReadingState) -> Callable[..., Any]:
    def update(*args: Any, **kwargs: Any) -> NoReturn:
        state.update(*args, **kwargs)

    return update


def _query(state: ReadingState, component: type[Component], name: str) -> Callable[..., Any]:
    def ask(parts: Components, *args: Any, **kwargs: Any) -> Any:
        return getattr(parts[component], name)(*args, **kwargs)

    def query(*args: Any, **kwargs: Any) -> Any:
        return state.query(ask, *args, **kwargs)

    ask.__qualname__ = f'{component.name}.{name}'
    return query
