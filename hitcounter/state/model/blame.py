"""Blame: whether an error comes from a component's code, and from which line, or from the storage and its bytes."""

import importlib
import inspect
import os
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import BTrees
import persistent
import transaction
import ZEO
import ZODB
import zodbpickle
from persistent import Persistent
from transaction.interfaces import TransientError
from ZEO.Exceptions import ClientDisconnected
from ZODB._compat import PersistentUnpickler
from ZODB.broken import Broken
from ZODB.Connection import Connection
from ZODB.POSException import StateLoadError
from ZODB.serialize import ObjectReader

import hitcounter

from ...errors import RESTORE, ComponentError, DatabaseDamaged, DatabaseRefused, HitcounterError, StateError

#: The code that loads objects: if an error is raised there, and not by code that it called, the bytes are to blame.
_STORAGES = tuple(os.path.dirname(module.__file__) + os.sep for module in (ZODB, ZEO, zodbpickle))

#: What is raised if nothing can be read, which says nothing about what is stored.
UNREADABLE = (OSError, ClientDisconnected)

#: Code that is not to blame for what other code passes to it; this package is part of it.
_GROUND = (
    *(os.path.dirname(module.__file__) + os.sep for module in (persistent, BTrees, transaction)),
    os.path.dirname(hitcounter.__file__) + os.sep,
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
    return place or _failing_class(error)


def _first(error: BaseException) -> BaseException:
    """The cause, if `error` is the one that ZODB wraps around whatever fails while it loads an object."""
    while isinstance(error, StateLoadError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _is_ground(file: str) -> bool:
    if file.startswith((*_STORAGES, *_GROUND)):
        return True
    return file.startswith(_PYTHON) and not any(folder in file for folder in _PACKAGES)


def _failing_class(error: BaseException) -> str | None:
    """Where the class is defined that does not take its stored state, as with too few arguments for its __new__.

    Such an error comes from no line of the class. But the record can be read without the class then: bytes that are
    damaged cannot.
    """
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        if not frame.f_code.co_filename.startswith(_STORAGES):
            continue  # f_locals of a frame of ours may hold `error`, which would keep its frames alive
        reader, record = frame.f_locals.get('self'), frame.f_locals.get('pickle')
        if isinstance(reader, Connection):
            reader, record = reader._reader, frame.f_locals.get('p')
        if isinstance(reader, ObjectReader) and isinstance(record, bytes):
            return next((defined_at(kind) for kind in _failing(reader, record)), None)
    return None


def _failing(reader: Any, record: bytes) -> Iterator[object]:
    """The code, among that which `record` names, that fails with it although its bytes are intact."""
    names: list[tuple[str, str]] = []

    def note(*name: str) -> object:
        names.append((name[0], name[1]))
        return _Anything

    if not _can_be_read(record, note):
        return
    kinds = [reader._get_class(*name) for name in names]
    if _can_be_read(record, reader._get_class):  # so that the object itself does not take its state
        yield from filter(_is_of_others, kinds[:1])
        return
    for name, kind in reversed([*zip(names, kinds, strict=True)]):
        if _is_of_others(kind) and _can_be_read(
            record, lambda *other, name=name: _Anything if other == name else reader._get_class(*other)
        ):
            yield kind


def is_whole(record: bytes) -> bool:
    """Whether the bytes of a record can be read, regardless of the classes that it names."""
    return _can_be_read(record, lambda *_: _Anything)


class _AnyMember(type):
    """Gives a class every member: Python stores one of an Enum by the names of both, or by its value."""

    def __getattr__(cls, name: str) -> object:
        if name.startswith('__'):
            raise AttributeError(name)
        return _Anything


class _Anything(Persistent, metaclass=_AnyMember):
    """Takes the place of a class, and takes any stored state."""

    def __new__(cls, *_: object) -> Any:
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        pass

    def take(self, *_: object) -> None:
        """Take a part of the state."""

    __call__ = __setstate__ = __setitem__ = append = extend = add = update = take


def _can_be_read(record: bytes, find: Callable[..., object]) -> bool:
    unpickler = PersistentUnpickler(find, _referred, BytesIO(record))
    try:
        unpickler.load()  # the class
        unpickler.load()
    except Exception:  # noqa: BLE001 -- whatever damaged bytes or code lead to
        return False
    return True


def _referred(reference: Any) -> object:
    """For an object that the record refers to."""
    kind = reference[1] if isinstance(reference, tuple) else Persistent
    if isinstance(kind, type) and not issubclass(kind, Persistent | Broken):
        raise TypeError
    return _Anything()


def _is_of_others(kind: Any) -> bool:
    if _is_missing(kind):
        return True
    try:
        file = inspect.getsourcefile(kind)
    except TypeError:  # it is built in, or of a module that is gone
        return False
    return file is not None and not _is_ground(file)


def _is_missing(kind: object) -> bool:
    """Whether it takes the place of a class whose code is missing."""
    return isinstance(kind, type) and issubclass(kind, Broken)


def defined_at(function: object) -> str:
    """`FILE, line N` at which `function`, or a class, is defined; its name if it has no source, or is missing."""
    if _is_missing(function):
        return f'the class {function.__module__}.{function.__name__}, which cannot be found'  # type: ignore[attr-defined]  # a class
    try:
        file, (_, line) = inspect.getsourcefile(function), inspect.getsourcelines(function)  # type: ignore[arg-type]  # TypeError below
    except (TypeError, OSError):
        return repr(function)
    return f'{file}, line {line}'


def reason(error: BaseException) -> str:
    """The error in one line."""
    error = _first(error)
    return ' '.join(f'{type(error).__name__}: {error}'.split()).removesuffix(':')


def described(error: BaseException) -> str:
    """The error in one line, and where code raised it if code did."""
    place = raised_at(error)
    said = reason(error)
    error = _first(error)
    if isinstance(error, SyntaxError):  # which names the file once more
        said = said.removesuffix(f' ({os.path.basename(error.filename or "")}, line {error.lineno})')
    return f'{said}, in {place}' if place else said


def why_missing(module: str, name: str) -> str:
    """Why the class `name` of `module` cannot be found, in a phrase."""
    try:
        importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 -- a module may raise anything while it is imported
        return described(error)
    return f'{module} has no {name}'


def failure(component: type[Any], what: str, error: BaseException, name: str) -> str:
    """That `component` failed in its method `name`, and where: a sentence to which the caller adds what to do."""
    method = getattr(component, name)
    place = raised_at(error) or defined_at(method)
    return f'component {component.name!r} could not {what} ({reason(error)}, in {place})'


def explained(error: BaseException, label: str) -> BaseException:
    """What the caller of `label` gets for `error`: whose it is, if that says only that an object was not loaded."""
    if not isinstance(error, StateLoadError):
        return error
    try:
        with blaming(f'{label} cannot load what it needs'):
            raise error
    except StateError as whose:
        return whose


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
            raise ComponentError(f'{what}, because code fails ({described(error)}): correct that code') from error
        if isinstance(error, UNREADABLE):
            raise DatabaseRefused(f'{what} ({reason(error)}): check its disk, or the process that serves it') from error
        raise DatabaseDamaged(f'{what} ({reason(error)}): {RESTORE}') from error
