"""Forgetting: the removal of components' records beyond a given age."""

from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Any

from .component import Component
from .state import Parts, State

#: The most records that one update forgets.
MOST = 1000

#: Keys after which the cache is trimmed to its size.
_BREATH = 1000


def can_forget(component: type[Component]) -> bool:
    """Whether `component` has records that it can forget: it has an `overdue` and a `forget` of its own."""
    return component.overdue is not Component.overdue and component.forget is not Component.forget


def forget(
    state: State, component: type[Component], before: float, is_ending: Callable[[], bool] = lambda: False
) -> int:
    """Forget the records of `component` from before that time, in updates that are short; returns how many.

    It stops between two updates, or two keys, once `is_ending()`. Raises what the component raises; what was forgotten
    by then stays forgotten.
    """
    def some(parts: Parts, key: Any) -> int:
        return parts[component].forget(key, before, MOST)

    some.__qualname__ = f'{component.name}.forget'  # its name in the log
    forgotten = 0
    for key in state.query(lambda parts: list(_keys(parts[component], before, is_ending))):
        while not is_ending() and (count := state.update(some, key)):
            forgotten += count
    return forgotten


def _keys(component: Component, before: float, is_ending: Callable[[], bool]) -> Iterator[Any]:
    for count, key in enumerate(takewhile(lambda _: not is_ending(), component.overdue(before)), 1):
        if key is not None:
            yield key
        if count % _BREATH == 0:
            component._p_jar.cacheGC()
