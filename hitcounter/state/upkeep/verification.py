"""Verification: whether everything in a database can be read and is consistent."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from enum import Enum
from typing import Any, NamedTuple

import transaction
from persistent.TimeStamp import TimeStamp
from ZODB.serialize import referencesf
from ZODB.utils import get_pickle_metadata, u64, z64

from ..model.blame import UNREADABLE, described, is_whole, raised_at, reason, why_missing
from ..model.classes import MissingClasses
from ..model.component import Component
from ..model.root import SCHEMAS
from ..storage.database import Database
from ..transactions.connection import ReadConnection

#: Objects after which the cache is trimmed to its size.
_BREATH = 1000

#: Consecutive object ids that cannot be read, after which the others are not tried.
_FAILURES = 1000


class Verdict(Enum):
    """What kind of fault it is, and so what to do."""

    #: The bytes are not what was stored.
    DAMAGE = 'damage'
    #: The disk, or the server, did not return the bytes: they may be what was stored.
    DISK = 'failing disk'
    #: What was stored is intact, but a class that it needs is missing.
    MISSING = 'missing code'
    #: What was stored is intact, but the code of a class or of a component fails with it.
    FAILING = 'failing code'
    #: A component reports that it is inconsistent.
    DISAGREES = 'disagreement'


class Finding(NamedTuple):
    """One thing that is wrong with a database."""

    verdict: Verdict
    #: What is wrong, and where.
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def findings(database: Database) -> Iterator[Finding]:
    """What is wrong with the database; nothing if it is intact.

    Every transaction is read, every object is loaded if the storage can list them, each object that it refers to must
    exist, and each component checks itself. A byte of a text that changed into another byte is not found: the
    storages of ZODB keep no checksums.
    """
    yield from _transactions(database)
    transactions = transaction.TransactionManager()
    with closing(database.db.open(transaction_manager=transactions)) as connection:
        yield from _objects(database, connection)
        transactions.abort()  # what a damaged record leads to may be a change
    with ReadConnection(database.db) as session:
        try:
            components = [part for part in session.root.values() if isinstance(part, Component)]
            lost = sorted(session.root.get(SCHEMAS, {}).keys() - session.root.keys())
        except Exception as error:  # noqa: BLE001 -- damaged bytes and failing code may raise anything, here and below
            yield _found(error.__cause__ or error, 'the root cannot be read')
            return
        yield from (_damage(f'the root has lost the component {name!r}') for name in lost)
        if not session.root and database.objects > 1:
            yield _damage('the root refers to none of the other objects')
        for component in components:
            yield from _component(component)


def _damage(sentence: str) -> Finding:
    return Finding(Verdict.DAMAGE, sentence)


def _found(error: BaseException, what: str) -> Finding:
    if raised_at(error):
        return Finding(Verdict.FAILING, f'{what}, because its code fails ({described(error)})')
    if isinstance(error, UNREADABLE):
        return Finding(Verdict.DISK, f'{what} ({reason(error)})')
    return _damage(f'{what} ({reason(error)})')


def _transactions(database: Database) -> Iterator[Finding]:
    at, last, read = 'the first one', database.db.storage.lastTransaction(), z64
    try:
        for found in database.transactions():
            read = found.tid
            at = f'the one of {TimeStamp(read)} UTC or the next'
            for _ in found:
                pass
    except Exception as error:  # noqa: BLE001
        yield _found(error, f'a transaction cannot be read: {at}')
        return
    if read < last and database.db.supportsUndo():  # a file is read up to the first damage, without an error
        yield _damage(f'the transactions after {at} cannot be read')


def _objects(database: Database, connection: Any) -> Iterator[Finding]:
    count, failures, damage = 0, 0, ''
    for oid, record in database.records():
        if isinstance(record, Exception):
            if damage != (damage := reason(record)):
                yield _found(record, f'object {u64(oid):#x} or the next one cannot be read')
            failures += 1
            if failures == _FAILURES:
                return
            continue
        yield from _object(database.db.storage, connection, oid, record)
        count, failures = count + 1, 0
        if count % _BREATH == 0:
            connection.cacheGC()


def _object(storage: Any, connection: Any, oid: bytes, data: bytes) -> Iterator[Finding]:
    with MissingClasses() as missing:
        try:
            references = set(referencesf(data))
            connection.get(oid)._p_activate()
        except Exception as error:  # noqa: BLE001
            if not (missing.names and is_whole(data)):
                yield _found(error, f'{_name(oid, data)} cannot be loaded')
                return
    for module, name in missing.names:
        yield Finding(
            Verdict.MISSING,
            f'{_name(oid, data)} needs the class {module}.{name}, which cannot be found ({why_missing(module, name)})',
        )
    for reference in sorted(references):
        try:
            storage.getTid(reference)
        except Exception as error:  # noqa: BLE001
            yield _found(error, f'{_name(oid, data)} refers to object {u64(reference):#x}, which cannot be read')


def _component(component: Component) -> Iterator[Finding]:
    name = type(component).name
    try:
        sentences = component.check()
        if isinstance(sentences, str) or not isinstance(sentences, Iterable):
            yield _no_sentences(name, 'returned', sentences)
            return
        for sentence in sentences:
            if isinstance(sentence, str):
                yield Finding(Verdict.DISAGREES, f'{name}: {sentence}')
            else:
                yield _no_sentences(name, 'gave', sentence)
    except (Exception, SystemExit) as error:  # noqa: BLE001
        yield _found(error, f'{name} cannot be checked')


def _no_sentences(component: str, verb: str, given: object) -> Finding:
    return Finding(
        Verdict.FAILING,
        f'{component} cannot be checked, because its check() {verb} {given!r:.80}: it must give sentences, as in a '
        f'list',
    )


def _name(oid: bytes, data: bytes) -> str:
    try:
        module, name = get_pickle_metadata(data)
    except Exception:  # noqa: BLE001
        return f'object {u64(oid):#x}'
    return f'object {u64(oid):#x}, a {module}.{name},'
