"""Views: ZODB's own suites through one, and two databases on one file."""

import random
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import transaction
import ZODB
from BTrees.Length import Length
from persistent.mapping import PersistentMapping
from ZODB.FileStorage import FileStorage
from ZODB.POSException import ConflictError
from ZODB.tests import (
    BasicStorage,
    ConflictResolution,
    HistoryStorage,
    IteratorStorage,
    MTStorage,
    PackableStorage,
    PersistentStorage,
    ReadOnlyStorage,
    RecoveryStorage,
    RevisionStorage,
    StorageTestBase,
    Synchronization,
    TransactionalUndoStorage,
    racetest,
)

from hitcounter.state.storage.views import Views
from tests.support.patience import PATIENCE


class OnAView(StorageTestBase.StorageTestBase):
    """What the suites ask for: a storage in a folder of its own, to be opened again at will."""

    _file: FileStorage = None

    def setUp(self) -> None:
        super().setUp()
        self.open(create=True)

    def open(self, **options: Any) -> None:
        self._close()
        self._file = FileStorage('tested.fs', **options)
        self._views = Views(self._file)
        self._storage = self._views.open()

    def _close(self) -> None:
        if self._file is not None:
            self._storage.close()
            self._file.close()

    def _new_storage_client(self) -> Any:
        return self._views.open()


class TestTheSuitesOfZODB(
    OnAView,
    BasicStorage.BasicStorage,
    TransactionalUndoStorage.TransactionalUndoStorage,
    RevisionStorage.RevisionStorage,
    PackableStorage.PackableStorageWithOptionalGC,
    PackableStorage.PackableUndoStorage,
    Synchronization.SynchronizedStorage,
    ConflictResolution.ConflictResolvingStorage,
    ConflictResolution.ConflictResolvingTransUndoStorage,
    HistoryStorage.HistoryStorage,
    IteratorStorage.IteratorStorage,
    IteratorStorage.ExtendedIteratorStorage,
    PersistentStorage.PersistentStorage,
    MTStorage.MTStorage,
    ReadOnlyStorage.ReadOnlyStorage,
    racetest.RaceTests,
):
    use_extension_bytes = True  # as in ZODB's own test of FileStorage


class TestTheSuiteOfCopying(OnAView, RecoveryStorage.RecoveryStorage):
    def setUp(self) -> None:
        super().setUp()
        self._target = FileStorage('target.fs', create=True)
        self._dst = Views(self._target).open()

    def tearDown(self) -> None:
        self._target.close()
        super().tearDown()


@pytest.fixture
def views(tmp_path: Path) -> Iterator[Views]:
    with closing(FileStorage(str(tmp_path / 'tested.fs'))) as storage:
        yield Views(storage)


@pytest.fixture
def here(views: Views) -> Iterator[ZODB.DB]:
    with closing(ZODB.DB(views.open())) as db:
        yield db


@pytest.fixture
def there(views: Views, here: ZODB.DB) -> Iterator[ZODB.DB]:
    with closing(ZODB.DB(views.open())) as db:
        yield db


@contextmanager
def connected(db: ZODB.DB) -> Iterator[Any]:
    """A connection with a transaction manager of its own."""
    with closing(db.open(transaction.TransactionManager())) as connection:
        try:
            yield connection
        finally:
            connection.transaction_manager.abort()


def put(db: ZODB.DB, key: str, value: object) -> None:
    with db.transaction() as connection:
        connection.root()[key] = value


@pytest.mark.parametrize('turned', [False, True])
def test_each_database_sees_what_the_other_commits(here: ZODB.DB, there: ZODB.DB, turned: bool) -> None:
    writing, reading = (there, here) if turned else (here, there)
    with connected(reading) as connection:
        assert 'a' not in connection.root()  # and now it is in the cache
        put(writing, 'a', 1)
        assert 'a' not in connection.root()
        connection.transaction_manager.begin()
        assert connection.root()['a'] == 1


def test_a_write_on_old_state_is_a_conflict(here: ZODB.DB, there: ZODB.DB) -> None:
    with connected(there) as connection:
        connection.root()['b'] = 1
        put(here, 'a', 1)
        with pytest.raises(ConflictError):
            connection.transaction_manager.commit()


def test_lengths_that_both_change_are_merged(here: ZODB.DB, there: ZODB.DB) -> None:
    put(here, 'length', Length(10))
    with connected(there) as connection:
        connection.root()['length'].change(1)
        with here.transaction() as other:
            other.root()['length'].change(5)
        connection.transaction_manager.commit()
        assert connection.root()['length']() == 16
    with connected(here) as connection:
        assert connection.root()['length']() == 16


def test_the_other_database_sees_an_undo(here: ZODB.DB, there: ZODB.DB) -> None:
    put(here, 'a', 1)
    put(here, 'a', 2)
    with connected(there) as connection:
        assert connection.root()['a'] == 2
        here.undo(here.undoLog(0, 1)[0]['id'])
        transaction.commit()
        connection.transaction_manager.begin()
        assert connection.root()['a'] == 1


@pytest.mark.parametrize('turned', [False, True])
def test_a_pack_through_either_view_drops_only_garbage(here: ZODB.DB, there: ZODB.DB, turned: bool) -> None:
    put(here, 'kept', PersistentMapping(a=1))
    put(there, 'dropped', PersistentMapping())
    put(here, 'dropped', None)
    objects = here.objectCount()
    (there if turned else here).pack()
    assert here.objectCount() == there.objectCount() == objects - 1
    put(here, 'after', 1)
    with connected(there) as connection:
        assert connection.root()['kept'] == {'a': 1}
        assert connection.root()['after'] == 1


def test_a_closed_database_is_told_nothing_and_the_others_go_on(here: ZODB.DB, there: ZODB.DB) -> None:
    there.close()
    put(here, 'a', 1)
    with connected(here) as connection:
        assert connection.root()['a'] == 1


class Listening:
    """As much of a database as a storage tells of a commit."""

    def __init__(self) -> None:
        self.told: list[tuple[bytes, object]] = []

    def invalidate(self, tid: bytes, oids: object) -> None:
        self.told.append((tid, oids))

    def untransform_record_data(self, record: bytes) -> bytes:
        return record

    transform_record_data = untransform_record_data


def test_others_are_told_a_list_once_and_the_committing_database_not_at_all(views: Views) -> None:
    committing, other = views.open(), views.open()
    listening = Listening()
    other.registerDB(listening)
    with closing(ZODB.DB(committing)) as db:
        put(db, 'a', 1)
    (_, created), (tid, changed) = listening.told
    assert created == changed == [bytes(8)]
    assert tid == committing.lastTransaction()


def test_threads_on_both_databases_lose_no_increment(here: ZODB.DB, there: ZODB.DB) -> None:
    threads, increments, counters = 4, 60, 3
    put(here, 'counters', [PersistentMapping(value=0) for _ in range(counters)])
    ready = threading.Barrier(2 * threads, timeout=PATIENCE)

    def increment(db: ZODB.DB, chance: random.Random) -> None:
        ready.wait()
        with connected(db) as connection:
            for _ in range(increments):
                for attempt in connection.transaction_manager.attempts(1000):
                    with attempt:
                        counter = connection.root()['counters'][chance.randrange(counters)]
                        counter['value'] += 1

    running = [
        threading.Thread(target=increment, args=(db, random.Random(seed)))
        for seed in range(threads)
        for db in (here, there)
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(PATIENCE)
    for db in (here, there):
        with connected(db) as connection:
            total = sum(counter['value'] for counter in connection.root()['counters'])
            assert total == 2 * threads * increments
