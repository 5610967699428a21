"""Changes in place: the log names each stored plain list, dictionary or set, in which ZODB would miss a change.

Each object is examined when it is loaded and when it is stored, which takes about a microsecond. This does not find
out whether a change is really lost: transactions/lost_changes.py does, in tests.
"""

import logging
from array import array
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import transaction
from BTrees import family32, family64
from persistent.list import PersistentList
from persistent.mapping import PersistentMapping
from ZODB.broken import Broken
from ZODB.Connection import Connection

from .plain import slots

logger = logging.getLogger(__name__)

# ZODB both logs and raises the error of an object that it cannot load; the code that catches it reports it.
_connection_logger = logging.getLogger('ZODB.Connection.of_hitcounter')
_connection_logger.addFilter(lambda record: not str(record.msg).startswith("Couldn't load state"))

#: What can change without ZODB noticing, subclasses included.
_CHANGEABLE = (list, dict, set, bytearray, deque, array)

_MODULES = [module for family in (family32, family64) for module in (family.OO, family.IO, family.UO)]

#: The BTrees whose values are objects, by their own classes and by those of their buckets.
_TREES = {kind: module.BTree for module in _MODULES for kind in (module.BTree, module.Bucket)}

# What was found so far, an entry for each class, shared by all connections: at worst two threads find it twice.

#: Types whose objects cannot change unnoticed.
_steady: set[type] = set()

#: For each class, the function that examines its objects.
_looks: dict[type, Callable[[Any], None]] = {}

#: Slots that hold no attributes of a class's own.
_OF_PYTHON = ('__dict__', '__weakref__')

_NO_ATTRIBUTES: dict[str, Any] = {}

#: The collections whose values are plain on purpose, or were already named in the log.
_settled: set[type] = set()


class LookingConnection(Connection):
    """A connection to a database that examines each object that it loads or stores."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._log = _connection_logger

    def open(self, transaction_manager: Any = None, delegate: bool = True) -> None:
        """As in ZODB, but what could not be opened, as its storage is away, can be closed with its database."""
        try:
            super().open(transaction_manager, delegate)
        except BaseException:
            with suppress(KeyError):  # it was not yet registered
                (transaction_manager or transaction.manager).unregisterSynch(self)
            self.transaction_manager = None
            self.close()
            raise

    def setstate(self, obj: Any) -> None:
        super().setstate(obj)
        look(obj)

    def _commit(self, transaction: Any) -> None:  # ZODB calls it for a savepoint and for a commit
        super()._commit(transaction)
        for changed in self._registered_objects:
            look(changed)
        for oid in self._creating:
            look(self._cache.get(oid))


def look(stored: Any) -> None:
    """Log what is plain in an object of the database, once for each class and attribute."""
    kind = type(stored)
    looks = _looks.get(kind)
    if looks is None:
        looks = _looks[kind] = _looking_at(kind)
    looks(stored)


def _looking_at(kind: type) -> Callable[[Any], None]:
    """The function that examines the objects of the class `kind`."""
    purpose = _purpose(kind)
    _settled.update(part for part in purpose if isinstance(part, type))
    for known, tree in _TREES.items():
        if issubclass(kind, known):
            return _looking_at_values(tree, _values_of_tree if known is tree else _values_of_bucket)
    if issubclass(kind, PersistentMapping | PersistentList):
        return _looking_at_collections(kind, purpose)
    return _nothing if issubclass(kind, Broken) else _looking_at_attributes(kind, purpose)


def _purpose(kind: type) -> set[object]:
    """The `plain_on_purpose` of the class and its bases."""
    return {part for base in kind.__mro__ for part in _own_purpose(base)}


def _own_purpose(kind: type) -> Iterable[object]:
    named = vars(kind).get('plain_on_purpose', ())
    parts = (named,) if isinstance(named, str) else named
    if isinstance(parts, tuple | list | set | frozenset) and all(isinstance(part, str | type) for part in parts):
        return parts
    logger.warning(
        "%r has the plain_on_purpose %r, which names nothing: give it a tuple, as in ('names',)", kind, named
    )
    return ()


def _nothing(_: Any) -> None:
    pass


def _looking_at_attributes(kind: type, settled: set[object]) -> Callable[[Any], None]:
    """`settled` are the attributes that need not be named; it grows by each one that is."""

    def looks(stored: Any) -> None:
        for name, value in getattr(stored, '__dict__', _NO_ATTRIBUTES).items():
            if type(value) not in _steady and name not in settled and _is_changeable(type(value)):
                settled.add(name)
                if not name.startswith('_v_'):  # which is not stored
                    _warn(f'{kind.__qualname__}.{name} is a plain {type(value).__name__}', f'{name!r}', kind)

    in_slots = [name for base in kind.__mro__ for name in slots(base) if name not in _OF_PYTHON]
    if not in_slots:
        return looks

    def looks_into_slots(stored: Any) -> None:
        looks(stored)
        looks(SimpleNamespace(**{name: getattr(stored, name) for name in in_slots if hasattr(stored, name)}))

    return looks_into_slots


def _looking_at_values(kind: type, values: Callable[[Any], Any]) -> Callable[[Any], None]:

    def looks(stored: Any) -> None:
        if kind in _settled:
            return
        for plain in filter(_is_changeable, set(map(type, values(stored))) - _steady):
            _settled.add(kind)
            _warn(f'{kind.__qualname__} holds a plain {plain.__name__}', kind.__qualname__, None)
            return

    return looks


def _looking_at_collections(kind: type, purpose: set[object]) -> Callable[[Any], None]:
    if 'data' in purpose:
        _settled.add(kind)
    is_mapping = issubclass(kind, PersistentMapping)
    values = _looking_at_values(kind, _values_of_mapping if is_mapping else _values_of_list)
    attributes = _looking_at_attributes(kind, {*purpose, 'data'})

    def looks(stored: Any) -> None:
        attributes(stored)
        values(stored)

    return looks


def _values_of_mapping(stored: Any) -> Any:
    return stored.__dict__.get('data', _NO_ATTRIBUTES).values()


def _values_of_list(stored: Any) -> Any:
    return stored.__dict__.get('data', ())


def _values_of_tree(stored: Any) -> Any:
    """Those in its own record: all values of a small tree, none of a larger one, whose buckets hold them."""
    state = stored.__getstate__()
    return state[0][0][0][1::2] if state and len(state) == 1 else ()


def _values_of_bucket(stored: Any) -> Any:
    return stored.__getstate__()[0][1::2]


def _is_changeable(kind: type) -> bool:
    if issubclass(kind, _CHANGEABLE):
        return True
    _steady.add(kind)
    return False


def _warn(found: str, name: str, owner: type | None) -> None:
    where = f'the plain_on_purpose of {owner.__qualname__}' if owner else 'the plain_on_purpose of its component'
    logger.warning(
        '%s, and a change within it is not stored: use a persistent kind, or assign a new one to change it; if the '
        'code does that, name %s in %s',
        found,
        name,
        where,
    )
