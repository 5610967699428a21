"""Deferred functions: those of which a call returns before any of their code has run, as async functions do."""

import functools
import inspect
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType

#: Wrappers that only call another function, and the attributes that may hold it.
_AROUND = (functools.partial, functools.partialmethod, staticmethod, classmethod, type(functools.cache(len)))
_WITHIN = ('__func__', 'func', '__wrapped__')

_DEFERRED = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def deferred(function: object) -> str | None:
    """What kind of deferred function `function` is, as in `'an async function'`; None if a call runs it.

    It looks through partials, caches, methods and objects with a `__call__`, but not into a plain function, which may
    run the deferred one that it wraps.
    """
    if isinstance(function, FunctionType) and not function.__code__.co_flags & _DEFERRED:  # the usual case, kept cheap
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
    """The function that runs when `function` is called."""
    while isinstance(function, _AROUND):
        function = next(getattr(function, name) for name in _WITHIN if hasattr(function, name))
    return function if inspect.isroutine(function) else getattr(type(function), '__call__', None)  # noqa: B004 -- the function itself is wanted


def never_run(result: object) -> bool:
    """Whether `result` is what a deferred function returned; closes it, or Python would warn about it, too."""
    if isinstance(result, CoroutineType | GeneratorType):
        result.close()
        return True
    return isinstance(result, AsyncGeneratorType)
