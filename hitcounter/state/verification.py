"""Verification: whether all that is in a database can be read, and agrees with itself."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import transaction
from persistent.TimeStamp import TimeStamp
from ZODB.broken import Broken
from ZODB.POSException import POSKeyError
from ZODB.serialize import referencesf
from ZODB.utils import get_pickle_metadata, p64, u64

from .component import SCHEMAS, Component
from .database import Database
from .session import Session

#: Objects between two times that the cache is brought back to its size.
_BREATH = 1000

#: Object ids in a row that cannot be read, after which the others are given up.
_FAILURES = 1000


def findings(database: Database) -> Iterator[str]:
    """What is wrong with the database, each in a sentence; nothing if it is whole.

    Every transaction is read, every object is loaded if the storage can list them, each that it refers to must be
    there, and each component checks itself. A byte of a text that has changed into another one is not found: no
    storage of ZODB keeps sums.
    """
    storage = database.db.storage
    yield from _transactions(storage)
    transactions = transaction.TransactionManager()
    with closing(database.db.open(transaction_manager=transactions)) as connection:
        yield from _objects(storage, connection)
        transactions.abort()  # what a damaged record leads to may be a change
    with closing(Session(database.db)) as session:
        try:
            components = [part for part in session.root.values() if isinstance(part, Component)]
            lost = sorted(session.root.get(SCHEMAS, {}).keys() - session.root.keys())
        except Exception as error:  # noqa: BLE001 -- whatever damaged bytes lead to, here and below
            yield f'the root cannot be read ({_reason(error)})'
            return
        yield from (f'the root has lost the component {name!r}' for name in lost)
        if not session.root and len(storage) > 1:
            yield 'the root leads to none of the other objects'
        for component in components:
            yield from _component(component)


def _transactions(storage: Any) -> Iterator[str]:
    if not hasattr(storage, 'iterator'):
        return
    at = 'the first one'
    try:
        for found in storage.iterator():
            at = f'the one of {TimeStamp(found.tid)} UTC or the next'
            for _ in found:
                pass
    except Exception as error:  # noqa: BLE001
        yield f'a transaction cannot be read: {at} ({_reason(error)})'


def _objects(storage: Any, connection: Any) -> Iterator[str]:
    position: bytes | None = p64(0) if hasattr(storage, 'record_iternext') else None
    count, failures, damage = 0, 0, ''
    while position is not None and failures < _FAILURES:
        try:
            oid, _, data, position = storage.record_iternext(position)
        except ValueError:  # there is no further one
            return
        except POSKeyError:  # an undo took back that it was made
            position = p64(u64(position) + 1)
        except Exception as error:  # noqa: BLE001
            if damage != (damage := _reason(error)):
                yield f'object {u64(position):#x} or the next one cannot be read ({damage})'
            position = p64(u64(position) + 1)
            failures += 1
        else:
            yield from _object(storage, connection, oid, data)
            count, failures = count + 1, 0
            if count % _BREATH == 0:
                connection.cacheGC()


def _object(storage: Any, connection: Any, oid: bytes, data: bytes) -> Iterator[str]:
    try:
        loaded = connection.get(oid)
        loaded._p_activate()
        references = set(referencesf(data))
    except Exception as error:  # noqa: BLE001
        yield f'{_name(oid, data)} cannot be loaded ({_reason(error)})'
        return
    if isinstance(loaded, Broken):
        yield f'{_name(oid, data)} is of a class that is not installed here'
    for reference in sorted(references):
        try:
            storage.getTid(reference)
        except Exception as error:  # noqa: BLE001
            yield f'{_name(oid, data)} refers to object {u64(reference):#x}, which cannot be read ({_reason(error)})'


def _component(component: Component) -> Iterator[str]:
    try:
        for sentence in component.check():
            yield f'{type(component).name}: {sentence}'
    except Exception as error:  # noqa: BLE001
        yield f'{type(component).name} cannot be checked ({_reason(error)})'


def _name(oid: bytes, data: bytes) -> str:
    try:
        module, name = get_pickle_metadata(data)
    except Exception:  # noqa: BLE001
        return f'object {u64(oid):#x}'
    return f'object {u64(oid):#x}, a {module}.{name},'


def _reason(error: Exception) -> str:
    return ' '.join(f'{type(error).__name__}: {error}'.split())
