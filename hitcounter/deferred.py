"""Deferred functions: those whose call returns before a line of theirs has run."""

import functools
import inspect
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType

#: What does nothing but call another function, and where it has that one.
_AROUND = (functools.partial, functools.partialmethod, staticmethod, classmethod, type(functools.cache(len)))
_WITHIN = ('__func__', 'func', '__wrapped__')

_DEFERRED = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def deferred(function: object) -> str | None:
    """What kind of deferred function `function` is, as in `'an async function'`; None if a call runs it.

    It looks through partials, caches, methods and objects with a `__call__`. What a plain function wraps is not looked
    at: such a function may run it.
    """
    if isinstance(function, FunctionType) and not function.__code__.co_flags & _DEFERRED:  # mostly, and at no cost
        return None
    target = _target(function)
    if inspect.isasyncgenfunction(target):
        return 'an async generator function'
    if inspect.iscoroutinefunction(target):
        return 'an async function'
    if inspect.isgeneratorfunction(target):
        return 'a generator function'
    return None


def _target(function: object) -> object:
    """What runs when `function` is called."""
    while isinstance(function, _AROUND):
        function = next(getattr(function, name) for name in _WITHIN if hasattr(function, name))
    return function if inspect.isroutine(function) else getattr(type(function), '__call__', None)  # noqa: B004


def never_run(result: object) -> bool:
    """Whether `result` is what a deferred function returned; it is closed, so that Python does not warn of it too."""
    if isinstance(result, CoroutineType | GeneratorType):
        result.close()
        return True
    return isinstance(result, AsyncGeneratorType)
