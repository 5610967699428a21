"""Forgetting: removing the records of components that are older than a given age, or about a given caller."""

from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import Any

from ..errors import ComponentError
from .model.component import Component
from .shards import Components
from .state import State

#: The most records that one update forgets.
MOST = 1000

#: Updates for one key, after which a `forget` that still returns records is taken for one that never ends.
_UPDATES = 10_000

#: Keys after which the cache is trimmed to its size.
_BREATH = 1000


def can_forget(component: type[Component]) -> bool:
    """Whether `component` has records that it can forget: it has an `overdue` and a `forget` of its own."""
    return component.overdue is not Component.overdue and component.forget is not Component.forget


def forget(
    state: State, component: type[Component], before: float, is_ending: Callable[[], bool] = lambda: False
) -> int:
    """Forget the records of `component` from before that time, in updates that are short; returns how many.

    It stops between two updates, or two keys, once `is_ending()`. Raises what the component raises, and ComponentError
    for a count that cannot be or for updates without an end; what was forgotten by then stays forgotten.
    """

    def some(components: Components, key: Any) -> int:
        count = components[component].forget(key, before, MOST)
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= MOST:
            raise ComponentError(
                f'{component.name}.forget returned {count!r:.80}: it must return how many records it forgot, '
                f'0 to {MOST}'
            )
        return count

    some.__qualname__ = f'{component.name}.forget'  # its name in the log
    forgotten = 0
    for key in _keys(state, component, 'overdue', before, is_ending):
        for _ in range(_UPDATES):
            if is_ending() or not (count := state.update(some, key)):
                break
            forgotten += count
        else:
            raise ComponentError(
                f'{component.name}.forget still returns records of {key!r:.80} after {_UPDATES:,} updates: it must '
                f'return 0 once none is left from before that time'
            )
    return forgotten


def can_erase(component: type[Component]) -> bool:
    """Whether `component` has records about callers that it can erase: it has an `about` and an `erase` of its own."""
    return component.about is not Component.about and component.erase is not Component.erase


def erase(state: State, component: type[Component], caller: Any) -> list[tuple[Any, int]]:
    """Erase the records of `component` about that caller, in updates that are short; returns each key and how many.

    Records that are stored after it began stay. Raises what the component raises, and ComponentError for a count that
    cannot be; what was erased by then stays erased.
    """

    def some(components: Components, key: Any) -> int:
        count = components[component].erase(key, caller)
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise ComponentError(
                f'{component.name}.erase returned {count!r:.80}: it must return how many records it erased'
            )
        return count

    some.__qualname__ = f'{component.name}.erase'  # its name in the log
    return [(key, state.update(some, key)) for key in _keys(state, component, 'about', caller)]


def _keys(
    state: State, component: type[Component], hook: str, asked: object, is_ending: Callable[[], bool] = lambda: False
) -> list[Any]:
    """The keys of that hook, `overdue` or `about`, as of one moment."""
    return state.query(lambda components: list(_found(components[component], hook, asked, is_ending)))


def _found(component: Component, hook: str, asked: object, is_ending: Callable[[], bool]) -> Iterator[Any]:
    keys = getattr(component, hook)(asked)
    if isinstance(keys, str) or not isinstance(keys, Iterable):
        raise ComponentError(f'{component.name}.{hook} returned {keys!r:.80}: it must give keys, as in a list')
    for count, key in enumerate(takewhile(lambda _: not is_ending(), keys), 1):
        if key is not None:
            yield key
        if count % _BREATH == 0:
            component._p_jar.cacheGC()
