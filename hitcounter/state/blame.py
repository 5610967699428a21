"""Blame: whether an error comes from a component's code, and from which line, or from the storage and its bytes."""

import importlib
import inspect
import os
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import BTrees
import persistent
import transaction
import ZEO
import ZODB
import zodbpickle
from transaction.interfaces import TransientError
from ZEO.Exceptions import ClientDisconnected
from ZODB.POSException import StateLoadError

from ..errors import ComponentError, DatabaseDamaged, DatabaseRefused, HitcounterError, StateError
from .guard import RESTORE

#: The code that loads objects: if an error is raised there, and not by code that it called, the bytes are to blame.
_STORAGES = tuple(os.path.dirname(module.__file__) + os.sep for module in (ZODB, ZEO, zodbpickle))

#: What is raised if nothing can be read, which says nothing about what is stored.
UNREADABLE = (OSError, ClientDisconnected)

#: Code that is not to blame for what other code passes to it; this package is part of it.
_GROUND = (
    *(os.path.dirname(module.__file__) + os.sep for module in (persistent, BTrees, transaction)),
    os.path.dirname(os.path.dirname(__file__)) + os.sep,
    '<frozen ',
    '<string>',  # what dataclasses compile, such as the __init__ of a Script
)

#: Python's own modules, and the folders among them in which packages are installed.
_PYTHON, _PACKAGES = sysconfig.get_path('stdlib') + os.sep, ('/site-packages/', '/dist-packages/')


def raised_at(error: BaseException) -> str | None:
    """`FILE, line N` of the code, of a component or of a stored class, that raised `error`; None if none did."""
    error = _first(error)
    if isinstance(error, SyntaxError) and error.filename:  # of a module that was being imported: no line of it has run
        return f'{error.filename}, line {error.lineno}'
    place = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if file.startswith(_STORAGES) and not isinstance(error, HitcounterError):
            place = None
        elif not _is_ground(file):
            place = f'{file}, line {line}'
    return place


def _first(error: BaseException) -> BaseException:
    """The cause, if `error` is the one that ZODB wraps around whatever fails while it loads an object."""
    while isinstance(error, StateLoadError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _is_ground(file: str) -> bool:
    if file.startswith((*_STORAGES, *_GROUND)):
        return True
    return file.startswith(_PYTHON) and not any(folder in file for folder in _PACKAGES)


def defined_at(function: object) -> str:
    """`FILE, line N` at which `function`, or a class, is defined; its name if it has no source."""
    try:
        file, (_, line) = inspect.getsourcefile(function), inspect.getsourcelines(function)  # type: ignore[arg-type]  # TypeError below
    except (TypeError, OSError):
        return repr(function)
    return f'{file}, line {line}'


def reason(error: BaseException) -> str:
    """The error in one line."""
    error = _first(error)
    return ' '.join(f'{type(error).__name__}: {error}'.split()).removesuffix(':')


def told(error: BaseException) -> str:
    """The error in one line, and where code raised it if code did."""
    place = raised_at(error)
    said = reason(error)
    if isinstance(error, SyntaxError):  # which names the file once more
        said = said.removesuffix(f' ({os.path.basename(error.filename or "")}, line {error.lineno})')
    return f'{said}, in {place}' if place else said


def why_missing(module: str, name: str) -> str:
    """Why the class `name` of `module` cannot be found, in a phrase."""
    try:
        importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 -- a module may raise anything while it is imported
        return told(error)
    return f'{module} has no {name}'


def failure(component: type[Any], what: str, error: BaseException, name: str) -> str:
    """That `component` failed in its method `name`, and where: a sentence to which the caller adds what to do."""
    method = getattr(component, name)
    place = raised_at(error) or defined_at(method)
    return f'component {component.name!r} could not {what} ({reason(error)}, in {place})'


@contextmanager
def blaming(what: str) -> Iterator[None]:
    """Say who is to blame for an error that is raised while the database is read.

    `what` is a clause, as in `the database cannot be read`. Raises ComponentError if it is code, and
    DatabaseRefused if it is what is stored.
    """
    try:
        yield
    except (StateError, TransientError):  # the latter: the storage is away at the moment
        raise
    except Exception as error:
        if raised_at(error):
            raise ComponentError(f'{what}, because code fails ({told(error)}): correct that code') from error
        if isinstance(error, UNREADABLE):
            raise DatabaseRefused(
                f'{what} ({reason(error)}): see to its disk, or to the process that serves it') from error
        raise DatabaseDamaged(f'{what} ({reason(error)}): {RESTORE}') from error
