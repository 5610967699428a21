"""Migrations: they make an older database fit today's components, in one transaction or not at all."""

import importlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import transaction
from transaction.interfaces import NoTransaction
from ZODB.broken import Broken, find_global
from ZODB.DemoStorage import DemoStorage
from ZODB.utils import get_pickle_metadata, u64

from ...deferred import never_run
from ...errors import (
    RESTORE,
    CodeMissing,
    ComponentError,
    DatabaseDamaged,
    DatabaseOutdated,
    DatabaseRefused,
    MigrationFailed,
    OutcomeUnknown,
    StateError,
)
from ..model.blame import blaming, described, failure, raised_at, reason, why_missing
from ..model.classes import LookingDB
from ..model.component import Component, in_order, migrations
from ..model.root import ELSEWHERE, MARKS, OWNER, SCHEMAS
from ..storage.database import Database
from ..transactions.commit import Raised, commit

logger = logging.getLogger(__name__)

#: Objects of moved classes after which the cache is trimmed to its size.
_BREATH = 1000

Class = tuple[str, str]  # its module and its name


class Comparison:
    """How the components in a database compare with those of this program.

    Raises DatabaseRefused if the database is another program's, ComponentError when the components do not fit together.
    """

    def __init__(self, root: Mapping[str, Any], components: Iterable[type[Component]]) -> None:
        self.components = in_order(components)
        if SCHEMAS not in root and root.keys() - {MARKS}:
            raise DatabaseRefused(f'the database holds {sorted(root)}, of another program: choose another file')
        #: The schemas in the database, by the names of their components.
        self.schemas: dict[str, int] = dict(root.get(SCHEMAS, {}))
        notes = dict(root.get(ELSEWHERE, {}))
        #: The main database, if this one only holds single components for it; otherwise None.
        self.owner: str | None = notes.pop(OWNER, None)
        #: Where the components of this database are that live elsewhere, by their names.
        self.elsewhere: dict[str, str] = notes
        if lost := sorted(self.schemas.keys() - root.keys()):
            raise DatabaseDamaged(f'the database is damaged, and has lost its component {lost[0]!r}: {RESTORE}')
        #: Names of components whose code is missing.
        self.missing = sorted(self.schemas.keys() - {component.name for component in self.components})
        there = [component for component in self.components if component.name in root]
        #: Those that the database does not have.
        self.new = [component for component in self.components if component.name not in root]
        #: Those whose schema in the database is of a later program.
        self.newer = [component for component in there if self.schemas[component.name] > component.schema]
        #: Those whose schema in the database is of an earlier program.
        self.older = [component for component in there if self.schemas[component.name] < component.schema]
        #: Those that the database holds as another class.
        self.moved = [component for component in there if not isinstance(root[component.name], component)]

    @property
    def is_current(self) -> bool:
        """Whether this program can work with the database as it is."""
        return not (self.missing or self.newer or self.older or self.moved)

    def refuse_strange(self, drop: Iterable[str] = ()) -> None:
        """Raise DatabaseRefused if the database holds something that no migration can fix, except what is dropped.

        Raises MigrationFailed if that cannot be dropped.
        """
        for name in drop:
            if name not in self.missing:
                raise MigrationFailed(
                    f'{name!r} cannot be dropped: it is not a component in the database whose code is missing'
                )
        for name in self.missing:
            if name not in drop:
                raise CodeMissing(name)
        for component in self.newer:
            raise DatabaseRefused(
                f'the database holds schema {self.schemas[component.name]} of {component.name!r}, newer than the '
                f'{component.schema} of this program: install the version that wrote it'
            )

    def refuse_older(self) -> None:
        """Raise DatabaseRefused if the database must be migrated."""
        for component in self.older:
            raise DatabaseOutdated(
                f'the database holds schema {self.schemas[component.name]} of {component.name!r}, and this program '
                f'needs {component.schema}'
            )
        for component in self.moved:
            raise DatabaseOutdated(
                f'the database holds {component.name!r} under another name of its class than {_name(component)}'
            )

    def steps(self, component: type[Component]) -> list[tuple[int, str]]:
        """The schemas that the component in the database still needs, and the method that makes each."""
        return [(to, name) for to, name in migrations(component) if to > self.schemas[component.name]]


def unfit(root: Mapping[str, Any], components: Iterable[type[Component]]) -> StateError | None:
    """Why a state of `components` would refuse the database; None if it would not.

    Only components count: the result is also None for a new database, and for that of another program.
    """
    if SCHEMAS not in root:
        return None
    try:
        comparison = Comparison(root, components)
        comparison.refuse_strange()
        comparison.refuse_older()
    except StateError as error:
        return error
    return None


def is_due(root: Mapping[str, Any], components: Iterable[type[Component]]) -> bool:
    """Whether a migration would make the database fit `components`."""
    if SCHEMAS not in root:
        return False
    comparison = Comparison(root, components)
    return bool(comparison.older or comparison.moved) and not (comparison.newer or comparison.missing)


@dataclass(frozen=True)
class Changes:
    """How many objects of each class a migration changed, and how many it made."""

    changed: Counter[str]
    new: Counter[str]


def compare(database: Database, components: Iterable[type[Component]]) -> Comparison:
    """How the database compares with `components`. Raises DatabaseRefused if it is damaged or another program's."""
    with _connected(database.db.storage) as connection:
        return _compare(connection, components)


def migrate(database: Database, components: Iterable[type[Component]], drop: Iterable[str] = ()) -> Changes:
    """Migrate the database, which no other process may change meanwhile, and remove the components `drop`.

    It must be opened again before it is used. Raises MigrationFailed, DatabaseRefused or ComponentError, and then
    nothing is changed; OutcomeUnknown if a remote storage disconnected while it stored.
    """
    storage = database.db.storage
    with _migrated(storage, database, components, drop) as (connection, changes):
        _commit(connection.transaction_manager)
        return changes


def dry_run(database: Database, components: Iterable[type[Component]], drop: Iterable[str] = ()) -> Changes:
    """What `migrate` would change, found by doing it; the database is only read. Raises as `migrate` does."""
    storage = database.db.storage
    with (
        closing(DemoStorage(base=storage, close_base_on_close=False)) as scratch,
        _migrated(scratch, database, components, drop) as (_, changes),
    ):
        return changes


def _commit(manager: Any) -> None:
    try:
        commit(manager, 'the migration')
    except OutcomeUnknown as error:
        raise OutcomeUnknown(f'{error}: compare the schemas to see whether it did') from error
    except Exception as error:  # each kind of storage has errors of its own
        own = error.error if isinstance(error, Raised) else error.__cause__ or error
        raise MigrationFailed(
            f'the migration could not be stored ({reason(own)}), and nothing was changed: do it again once that is '
            f'fixed, while nobody else uses the database'
        ) from error


@contextmanager
def _migrated(
    storage: Any, stored: Database, components: Iterable[type[Component]], drop: Iterable[str]
) -> Iterator[tuple[Any, Changes]]:
    """A connection to `storage` on which the migration was done and not committed; `stored` lists the objects.

    What is there is compared just before, whatever the caller found: a step that ran twice would spoil the data.
    """
    ordered = in_order(components)
    moves = moved_classes(ordered)
    with _connected(storage) as connection:
        comparison = _compare(connection, ordered)
    comparison.refuse_strange(drop)
    with _connected(storage, moves) as connection:
        _label(connection, comparison, drop)
        if moves and (comparison.older or comparison.moved):
            _rename(connection, stored, moves)
        root = connection.root()
        for component in ordered:
            if component not in comparison.new:
                _migrate(connection, component, comparison.steps(component))
                root[SCHEMAS][component.name] = component.schema
        for name in drop:
            root.pop(name, None)
            del root[SCHEMAS][name]
        yield connection, _changes(connection)


@contextmanager
def _connected(storage: Any, moves: Mapping[Class, Class] | None = None) -> Iterator[Any]:
    """A connection that finds moved classes, with a transaction of its own, which is aborted at the end."""

    def find(_: Any, module: str, name: str) -> Any:
        return find_global(*(moves or {}).get((module, name), (module, name)))

    manager = transaction.TransactionManager(explicit=True)
    connection = LookingDB(storage, class_factory=find).open(manager)
    try:
        manager.begin()
        yield connection
    finally:
        with suppress(NoTransaction):  # it was committed
            manager.abort()
        connection.close()


def _compare(connection: Any, components: Iterable[type[Component]]) -> Comparison:
    with blaming('the database cannot be read'):
        return Comparison(connection.root(), components)


def moved_classes(components: Iterable[type[Component]]) -> dict[Class, Class]:
    """The present name of each class that moved. Raises ComponentError if that cannot be imported."""
    renamed = {old: new for component in components for old, new in component.moved.items()}
    moves: dict[Class, Class] = {}
    for old in renamed:
        new = _last(old, renamed)
        module, name = _class(new)
        try:
            getattr(importlib.import_module(module), name)
        except Exception as error:  # a module may raise anything while it is imported
            raise ComponentError(
                f'class {old!r} is said to have moved to {new!r}, which cannot be imported ({described(error)}): '
                f'correct the moved of its component, with "module:Class" for both'
            ) from error
        moves[_class(old)] = module, name
    return moves


def _last(old: str, moved: Mapping[str, str]) -> str:
    """The present name of `old`, which may have moved more than once."""
    way = [old]
    while way[-1] in moved:
        way.append(moved[way[-1]])
        if way[-1] in way[:-1]:
            raise ComponentError(f'classes are said to have moved in a circle: {" -> ".join(way)}')
    return way[-1]


def _class(spelled: str) -> Class:
    module, _, name = spelled.partition(':')
    return module, name


def _label(connection: Any, comparison: Comparison, drop: Iterable[str]) -> None:
    """Say in the database's history what is done."""
    done = [f'{older.name} {comparison.schemas[older.name]} to {older.schema}' for older in comparison.older]
    connection.transaction_manager.get().note(f'migrate: {", ".join([*done, *(f"without {name}" for name in drop)])}')


def _rename(connection: Any, stored: Database, moves: Mapping[Class, Class]) -> None:
    """Mark each object whose record names a class by its old name, so that it is written again."""
    if not stored.lists_objects:
        raise MigrationFailed(
            'classes have moved, and this kind of storage does not list its objects: copy it to a file, migrate that '
            'one, and copy it back'
        )
    old = [f'c{module}\n{name}\n'.encode() for module, name in moves]  # as in a pickle of protocol 3
    for count, oid in enumerate(_naming(stored, old)):
        try:
            found = connection.get(oid)
            found._p_activate()
        except Exception as error:  # a damaged record or failing code may raise anything
            todo = 'correct that code' if raised_at(error) else 'verify the database'
            raise MigrationFailed(
                f'object {u64(oid):#x}, which names a class that has moved, cannot be loaded '
                f'({described(error)}): {todo}'
            ) from error
        found._p_changed = True
        if count % _BREATH == _BREATH - 1:
            connection.transaction_manager.savepoint(optimistic=True)


def _naming(stored: Database, names: list[bytes]) -> Iterator[bytes]:
    """The ids of the objects whose records hold one of `names`."""
    for oid, record in stored.records():
        if isinstance(record, Exception):
            raise record
        if any(name in record for name in names):
            yield oid


def _migrate(connection: Any, component: type[Component], steps: Iterable[tuple[int, str]]) -> None:
    found = connection.root()[component.name]
    if not isinstance(found, component):
        kind = type(found)
        why = why_missing(kind.__module__, kind.__name__) if issubclass(kind, Broken) else ''
        raise MigrationFailed(
            f'the database holds {component.name!r} as {_name(kind)}, which {_name(component)} does not know'
            f'{why and f" and is missing here ({why})"}: name it in its moved'
        )
    for to, name in steps:
        logger.info('migrating %s to schema %d: %s', component.name, to, name)
        _step(found, name, to)


def _step(found: Component, name: str, to: int) -> None:
    try:
        if never_run(getattr(found, name)()):
            raise TypeError('it returned what would run only later')
        found._p_jar.savepoint()  # pickles what it changed; at the commit, ZODB would also log a failure
    except (Exception, SystemExit) as error:
        failed = failure(type(found), f'be migrated to schema {to}', error, name)
        logger.exception('%s', failed)
        raise MigrationFailed(f'{failed}, and nothing was changed: correct its {name}()') from error


def _changes(connection: Any) -> Changes:
    """What the transaction would store, as far as it is pickled: all of it, after a savepoint."""
    connection.transaction_manager.savepoint(optimistic=True)
    stored = connection._storage  # the savepoint's; ZODB says this nowhere else
    changes = Changes(Counter(), Counter())
    for oid in getattr(stored, 'index', ()):
        data, _ = stored.load(oid)
        counted = changes.new if oid in stored.creating else changes.changed
        counted['.'.join(get_pickle_metadata(data))] += 1
    return changes


def _name(kind: type) -> str:
    return f'{kind.__module__}.{kind.__qualname__}'
