"""Moving a component with all that it stored from one database to another, so that at no time two of them count as it.

The copy is marked as incomplete until the first database has given the component up; no state opens it until then. A
move that was interrupted is finished by doing it again.
"""

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import transaction
from persistent.mapping import PersistentMapping
from ZODB.serialize import referencesf
from ZODB.utils import get_pickle_metadata, z64

from ...errors import MoveFailed
from ..model.component import Component
from ..model.root import ELSEWHERE, INCOMPLETE, OWNER, SCHEMAS
from ..storage.database import Database
from ..transactions.commit import commit


def move_together(name: str, source: Database, target: Database) -> dict[str, int]:
    """Move the component `name`, and those that must live where it does; returns how many objects of each.

    These are the ones that it depends on, and that depend on it, and so on. No other process may use the databases
    meanwhile. Raises MoveFailed: then the source is as it was, unless a component had left it before; do it again then.
    """
    with _connected(source) as here, _connected(target) as there:
        held = here.root().get(SCHEMAS, {})
        names = [one for one in _together(name, here, there) if one in held or _notes(there).get(one) == INCOMPLETE]
        for one in filter(held.__contains__, names):
            _refuse_target(one, target, there)
            _refuse_shared(one, here, _objects(here, here.root()[one]._p_oid))
    return {one: move(one, source, target) for one in names or [name]}


def _together(name: str, here: Any, there: Any) -> list[str]:
    """The names of the components that live in one storage with this one, itself first."""
    stored = [part for root in (here.root(), there.root()) for part in root.values() if isinstance(part, Component)]
    pairs = {(part.name, needed.name) for part in stored for needed in part.depends}
    names = [name]
    for one in names:
        near = {b if a == one else a for a, b in pairs if one in (a, b)}
        names += sorted(near.difference(names))
    return names


def move(name: str, source: Database, target: Database) -> int:
    """Move the component `name`; returns how many objects. No other process may use the databases meanwhile.

    Raises MoveFailed: then the source is as it was, unless the component had left it before.
    """
    with _connected(source) as here, _connected(target) as there:
        held = here.root().get(SCHEMAS, {})
        if name not in held:
            if _notes(there).get(name) != INCOMPLETE:
                raise MoveFailed(f'{source.place} does not hold a component {name!r}{_instead(name, here, held)}')
            return _finish(name, source, target, there)
        _refuse_target(name, target, there)
        objects = _objects(here, here.root()[name]._p_oid)
        _refuse_shared(name, here, objects)
        _copy(name, here, there)
        _compare(name, here, there, objects)
        _give_up(name, target, here)
        return _finish(name, source, target, there)


def _instead(name: str, here: Any, held: Iterable[str]) -> str:
    if place := here.root().get(ELSEWHERE, {}).get(name):
        return f': it lives in {place}'
    return f', but {", ".join(held)}' if held else ' or any other'


def _refuse_target(name: str, target: Database, there: Any) -> None:
    root = there.root()
    if SCHEMAS not in root and list(root):
        raise MoveFailed(f'{target.place} holds {sorted(root)}, of another program: choose another')
    if name in root and _notes(there).get(name) != INCOMPLETE:
        raise MoveFailed(f'{target.place} holds a component {name!r} as well: choose another')


def _objects(connection: Any, start: bytes, *, but: bytes = b'') -> set[bytes]:
    """The ids of all objects that `start` leads to, itself included, without those that only `but` leads to."""
    found, todo = {start}, [start]
    while todo:
        data, _ = connection.db().storage.load(todo.pop())
        new = set(referencesf(data)) - found - {but}
        found |= new
        todo += new
    return found


def _refuse_shared(name: str, here: Any, objects: set[bytes]) -> None:
    """Raise MoveFailed if other components refer to objects of this one, or it to theirs: the copy would split them."""
    component = here.root()[name]._p_oid
    shared = objects & _objects(here, z64, but=component)
    if shared or z64 in objects:
        raise MoveFailed(
            f'{name!r} shares {len(shared)} objects with other components, such as {min(shared).hex()}: it cannot be '
            f'moved without them'
        )


def _copy(name: str, here: Any, there: Any) -> None:
    with tempfile.TemporaryFile() as file:
        here.exportFile(here.root()[name]._p_oid, file)
        file.seek(0)
        root = there.root()
        root.setdefault(SCHEMAS, PersistentMapping())
        root[name] = there.importFile(file)
        root[SCHEMAS][name] = here.root()[SCHEMAS][name]
        _notes(there)[name] = INCOMPLETE
        _commit(there, f'move: {name} copied')


def _compare(name: str, here: Any, there: Any, objects: set[bytes]) -> None:
    before, after = here.root()[name], there.root()[name]
    copied = _objects(there, after._p_oid)
    if _classes(here, objects) != _classes(there, copied):
        raise MoveFailed(f'the copy of {name!r} does not have the objects of the original: verify both databases')
    if isinstance(before, Component) and [*before.check()] != [*after.check()]:
        raise MoveFailed(f'the copy of {name!r} does not agree with itself as the original does: verify both databases')


def _classes(connection: Any, objects: set[bytes]) -> Counter[tuple[str, str]]:
    load = connection.db().storage.load
    return Counter(get_pickle_metadata(load(oid)[0]) for oid in objects)


def _give_up(name: str, target: Database, here: Any) -> None:
    root = here.root()
    del root[name], root[SCHEMAS][name]
    _notes(here)[name] = target.place
    _commit(here, f'move: {name} to {target.place}')


def _finish(name: str, source: Database, target: Database, there: Any) -> int:
    root, notes = there.root(), _notes(there)
    del notes[name]
    if [*root[SCHEMAS]] == [name]:
        notes[OWNER] = source.place
    _commit(there, f'move: {name} from {source.place}')
    return len(_objects(there, root[name]._p_oid))


def _notes(connection: Any) -> Any:
    root = connection.root()
    return root.setdefault(ELSEWHERE, PersistentMapping())


def _commit(connection: Any, what: str) -> None:
    manager = connection.transaction_manager
    manager.get().note(what)
    commit(manager, what)
    manager.begin()


@contextmanager
def _connected(database: Database) -> Iterator[Any]:
    manager = transaction.TransactionManager(explicit=True)
    with closing(database.db.open(transaction_manager=manager)) as connection:
        manager.begin()
        try:
            yield connection
        finally:
            manager.abort()
