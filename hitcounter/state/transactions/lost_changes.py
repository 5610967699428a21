"""Lost changes: finds, in tests, what was changed in place where ZODB does not see it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from persistent import Persistent
from persistent.wref import WeakRef
from zodbpickle import pickle

from ...errors import LostChange
from ..model.root import Root
from .connection import ReadConnection
from .job import Job

_blocks = 0  # how many are open; owned by the test's main thread
_run, _ask = Job.run, ReadConnection.ask


@contextmanager
def finding_lost_changes() -> Iterator[None]:
    """Let each update and query of this process raise LostChange if it changed what would not be stored.

    It empties the cache before each, and afterwards compares each loaded object with its record: for tests only.
    """
    global _blocks  # noqa: PLW0603 -- a switch for all states of the process
    _blocks += 1
    Job.run, ReadConnection.ask = _checked_run, _checked_ask  # type: ignore[assignment, method-assign]  # for the block
    try:
        yield
    finally:
        _blocks -= 1
        if not _blocks:
            Job.run, ReadConnection.ask = _run, _ask  # type: ignore[method-assign]  # as they were


def _checked_run(job: Job[Any], root: Root) -> None:
    with _checking(root, job.label):
        _run(job, root)


def _checked_ask(connection: ReadConnection, function: Callable[..., Any], label: str, *given: Any) -> Any:
    with _checking(connection.root, label):
        return _ask(connection, function, label, *given)


@contextmanager
def _checking(root: Root, label: str) -> Iterator[None]:
    connection = root._p_jar
    connection.cacheMinimize()
    yield
    for _, loaded in connection._cache.lru_items():  # ZODB names the loaded objects nowhere else
        if loaded._p_changed is False and not _is_in_a_savepoint(loaded):  # not a ghost, and not to be stored
            _compare(loaded, connection, label)


def _is_in_a_savepoint(loaded: Any) -> bool:
    """Whether it is not as it was loaded, but as a savepoint of this transaction has stored it."""
    savepoints = loaded._p_jar._savepoint_storage
    return savepoints is not None and loaded._p_oid in savepoints.index


def _compare(loaded: Any, connection: Any, label: str) -> None:
    now, stored = loaded.__getstate__(), _stored(loaded, connection).__getstate__()
    if _pickled(now) == _pickled(stored):
        return
    where = type(loaded).__name__
    if isinstance(now, dict) and isinstance(stored, dict):
        names = (name for name in now if _pickled(now[name]) != _pickled(stored.get(name)))
        where += ''.join(f'.{name}' for name in list(names)[:1])
    raise LostChange(
        f'{label} changed {where} in place, which would not be stored: use PersistentList or PersistentMapping '
        f'there, or set _p_changed to True'
    )


def _stored(loaded: Any, connection: Any) -> Any:
    """The object once more, as its record says."""
    kind = type(loaded)
    arguments = loaded.__getnewargs__() if hasattr(loaded, '__getnewargs__') else ()
    copy = kind.__new__(kind, *arguments)
    record, _ = connection._storage.load(loaded._p_oid)  # Connection.oldstate knows of no savepoint
    copy.__setstate__(connection._reader.getState(record))
    return copy


def _pickled(state: Any) -> bytes:
    """`state`, with other objects of the database by their ids."""
    file = BytesIO()
    pickler = pickle.Pickler(file, 3)
    pickler.persistent_id = _id
    pickler.dump(state)
    return file.getvalue()


def _id(part: Any) -> Any:
    if isinstance(part, Persistent | WeakRef):
        return getattr(part, '_p_oid', None) or getattr(part, 'oid', None) or id(part)
    return None
