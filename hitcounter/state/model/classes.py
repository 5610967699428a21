"""The classes of stored objects: they are looked up by name on loading, and the log names the missing ones."""

import logging
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import ZODB
from ZODB.broken import Broken, find_global

from .blame import why_missing
from .in_place import LookingConnection

logger = logging.getLogger(__name__)

_of_thread = threading.local()  # its `watching` records the classes that the thread's loads miss

#: Missing classes that were logged; two threads may log the same one.
_logged: set[tuple[str, str]] = set()


class LookingDB(ZODB.DB):
    """ZODB's database, which examines what is loaded and stored, and logs which classes are missing."""

    klass = LookingConnection
    #: Module and name of classes that have moved, by the module and name under which they are stored.
    moves: Mapping[tuple[str, str], tuple[str, str]] = MappingProxyType({})

    def classFactory(self, connection: Any, modulename: str, globalname: str) -> Any:
        found = find_global(*self.moves.get((modulename, globalname), (modulename, globalname)))
        if isinstance(found, type) and issubclass(found, Broken):
            _miss(modulename, globalname)
        return found


class MissingClasses:
    """Within its block, records the classes that this thread's loads miss, instead of logging them."""

    def __init__(self) -> None:
        #: Module and name of each, in the order in which they were missed.
        self.names: dict[tuple[str, str], None] = {}

    def __enter__(self) -> 'MissingClasses':
        _of_thread.watching = self
        return self

    def __exit__(self, *_: object) -> None:
        _of_thread.watching = None


def _miss(module: str, name: str) -> None:
    watching: MissingClasses | None = getattr(_of_thread, 'watching', None)
    if watching is not None:
        watching.names[module, name] = None
    elif (module, name) not in _logged:
        _logged.add((module, name))
        logger.error(
            'what is stored needs the class %s.%s, which cannot be found (%s): install its package, or name it in the '
            'moved of its component',
            module,
            name,
            why_missing(module, name),
        )
