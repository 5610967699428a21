"""Lost changes: finds, in tests, what was changed in place where ZODB does not see it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any, TypeVar

from persistent import Persistent
from persistent.wref import WeakRef
from zodbpickle import pickle

from ...errors import LostChange

R = TypeVar('R')

_finding = 0  # how many blocks are open; owned by the test's main thread


@contextmanager
def finding_lost_changes() -> Iterator[None]:
    """Let each update and query of this process raise LostChange when it changed what would not be stored.

    It forgets the cache before, and compares each loaded object with its record afterwards: for tests only.
    """
    global _finding  # noqa: PLW0603 -- a switch for all states of the process
    _finding += 1
    try:
        yield
    finally:
        _finding -= 1


def run(
    function: Callable[..., R], root: Any, arguments: tuple[Any, ...], keywords: Mapping[str, Any], label: str
) -> R:
    """What `function` returns for the root of a database, without losing a change if that is to be found."""
    if not _finding:
        return function(root, *arguments, **keywords)
    connection = root._p_jar
    connection.cacheMinimize()
    result = function(root, *arguments, **keywords)
    for _, loaded in connection._cache.lru_items():  # ZODB names the loaded objects nowhere else
        if loaded._p_changed is False and not _is_in_a_savepoint(loaded):  # not a ghost, and not to be stored
            _compare(loaded, connection, label)
    return result


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
