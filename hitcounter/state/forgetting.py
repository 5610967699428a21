"""Forgetting: removing the records of components that are older than a given age."""

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
    for key in state.query(lambda components: list(_keys(components[component], before, is_ending))):
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


def _keys(component: Component, before: float, is_ending: Callable[[], bool]) -> Iterator[Any]:
    keys = component.overdue(before)
    if isinstance(keys, str) or not isinstance(keys, Iterable):
        raise ComponentError(f'{component.name}.overdue returned {keys!r:.80}: it must give keys, as in a list')
    for count, key in enumerate(takewhile(lambda _: not is_ending(), keys), 1):
        if key is not None:
            yield key
        if count % _BREATH == 0:
            component._p_jar.cacheGC()
