"""Plain values: what an update or a query may return, because it outlives the transaction."""

from collections import deque
from collections.abc import Awaitable, ItemsView, Iterable, Iterator, KeysView, ValuesView
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from functools import partial
from itertools import chain, islice
from types import BuiltinMethodType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, TypeVar
from weakref import ref

from persistent import Persistent
from persistent.wref import WeakRef

from ...deferred import never_run
from ...errors import StateError

R = TypeVar('R')

#: How many parts of one container are checked, its first ones, and how many of a whole result, which takes 2 ms.
IN_ONE, IN_ALL = 1_000, 10_000

_SCALARS = frozenset({bool, bytes, complex, date, datetime, float, int, str, time, timedelta, type(None)})

#: Classes without attributes besides what they contain.
_CONTAINERS = frozenset({tuple, list, dict, set, frozenset, deque})

_NOTHING: tuple[object, ...] = ()


def plain(result: R, label: str) -> R:
    """`result`, if it neither is nor holds an object of the database, or something that reads one later.

    Containers and other objects are checked at every depth, within the bounds above. Raises StateError otherwise.
    """
    kind = type(result)
    if kind not in _SCALARS and not (kind is tuple and _is_of_scalars(result)):  # a fast path for most results
        _check(result, label)
    return result


def _is_of_scalars(values: Any) -> bool:  # Any: mypy does not see that it is a tuple
    for value in values[:IN_ONE]:  # noqa: SIM110 -- a generator would take three times as long
        if type(value) not in _SCALARS:
            return False
    return True


def _check(result: object, label: str) -> None:
    left, waiting = IN_ALL, [result]
    while waiting and left > 0:
        value = waiting.pop()
        if reason := _reason(value):
            holder = '' if value is result else f'{type(result).__name__} with '
            raise StateError(f'{label} returned {holder}{type(value).__name__}, {reason}')
        parts = list(islice(_parts(value), min(left, IN_ONE)))
        left -= len(parts)
        waiting += [part for part in reversed(parts) if type(part) not in _SCALARS]


def _reason(value: object) -> str:
    """Why `value` is not plain, and what to do; '' if it is."""
    if isinstance(value, tuple | list | dict):
        return ''
    if isinstance(value, Persistent | WeakRef):
        return 'an object of the database: return plain values'
    if never_run(value) or isinstance(value, Awaitable | Iterator):
        return 'which would run only after the transaction: return what it gives, in a list'
    if isinstance(value, KeysView | ValuesView | ItemsView) or type(value).__name__.endswith('TreeItems'):  # a BTree's
        return 'which would read only after the transaction: return a list of it'
    return ''


def _parts(value: object) -> Iterable[object]:
    """What `value` holds."""
    if isinstance(value, type | ModuleType):
        return _NOTHING
    return _held(value) if type(value) in _CONTAINERS else chain(_held(value), _attributes(value))


def _held(value: object) -> Iterable[object]:
    """What it holds besides attributes."""
    if isinstance(value, dict | MappingProxyType):
        return chain((getattr(value, 'default_factory', None),), chain.from_iterable(value.items()))
    if isinstance(value, tuple | list | set | frozenset | deque):
        return value
    if isinstance(value, BaseException):
        return value.args
    if isinstance(value, MethodType | BuiltinMethodType):
        return (value.__self__,)
    if isinstance(value, FunctionType):
        return (*_enclosed(value), *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values())
    if isinstance(value, partial):
        return (value.func, *value.args, *value.keywords.values())
    return (value(),) if isinstance(value, ref) else _NOTHING


def _enclosed(function: FunctionType) -> Iterable[object]:
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # it is empty
            yield cell.cell_contents


def _attributes(value: object) -> Iterable[object]:
    names = (name for kind in type(value).__mro__ for name in slots(kind))
    there = (getattr(value, name) for name in names if hasattr(value, name))
    return chain(getattr(value, '__dict__', {}).values(), there)


def slots(kind: type) -> Iterable[str]:
    """The names of the attributes that the class `kind`, without its bases, has slots for."""
    names = vars(kind).get('__slots__', ())
    for name in (names,) if isinstance(names, str) else names:
        is_private = name.startswith('__') and not name.endswith('__')
        yield f'_{kind.__name__.lstrip("_")}{name}' if is_private else name
