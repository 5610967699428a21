"""Committing: whose an error is, on real storages."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import pytest
import transaction
from persistent import Persistent
from persistent.mapping import PersistentMapping
from transaction.interfaces import NoTransaction, TransientError
from ZODB.POSException import ConflictError, StorageError

from hitcounter.errors import OutcomeUnknown, StateError, UpdateFailed
from hitcounter.state import Database, open_database
from hitcounter.state.transactions import commit
from hitcounter.state.transactions.commit import NotStored, Raised, Retries, given_up, guests_of, refuse_within


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(f'file://{tmp_path}/test.fs', share=True) as database:
        yield database


@pytest.fixture
def manager() -> Any:
    return transaction.TransactionManager(explicit=True)


@pytest.fixture
def connection(database: Database, manager: Any) -> Iterator[Any]:
    with closing(database.db.open(manager)) as connection:
        manager.begin()
        yield connection
        commit.abort(manager)


class Stubborn(Persistent):
    """Raises while it is pickled."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getstate__(self) -> NoReturn:
        raise self.error


def test_what_is_committed_is_stored(database: Database, manager: Any, connection: Any) -> None:
    connection.root()['a'] = 1

    commit.commit(manager, 'the change')

    assert database.db.lastTransaction() == connection.root()._p_serial


def raise_it(error: BaseException) -> Callable[..., NoReturn]:
    def fail(*_: object) -> NoReturn:
        raise error

    return fail


@pytest.mark.parametrize('error', [TypeError('no'), UpdateFailed('no'), OutcomeUnknown('no'), MemoryError()])
def test_an_object_that_cannot_be_pickled_is_not_the_storages_word(
    manager: Any, connection: Any, error: Exception
) -> None:
    connection.root()['a'] = Stubborn(error)

    with pytest.raises(Raised) as raised:
        commit.commit(manager, 'the change')

    assert raised.value.error is error


def test_an_error_of_the_disk_while_an_object_is_pickled_may_be_the_objects(manager: Any, connection: Any) -> None:
    connection.root()['a'] = Stubborn(OSError('no'))

    with pytest.raises(NotStored, match='no') as refused:
        commit.commit(manager, 'the change')

    assert not refused.value.is_certain


@pytest.mark.parametrize('step', ['tpc_begin', 'tpc_vote'])
def test_an_error_before_or_after_the_pickling_is_the_storages(manager: Any, connection: Any, step: str) -> None:
    connection.root()['a'] = 1
    vars(connection)[step] = raise_it(StorageError('no'))

    with pytest.raises(NotStored, match='no') as refused:
        commit.commit(manager, 'the change')

    del vars(connection)[step]
    assert refused.value.is_certain


def test_a_change_that_another_made_first_may_be_tried_again(database: Database, manager: Any, connection: Any) -> None:
    connection.root()['a'] = 1
    with database.db.transaction() as other:
        other.root()['a'] = 2

    with pytest.raises(ConflictError):
        commit.commit(manager, 'the change')


def test_a_failure_once_all_have_voted_leaves_the_outcome_open(manager: Any, connection: Any) -> None:
    connection.root()['a'] = 1
    vars(connection)['tpc_finish'] = raise_it(OSError('gone'))

    with pytest.raises(OutcomeUnknown, match='while it stored the change: gone'):
        commit.commit(manager, 'the change')

    del vars(connection)['tpc_finish']


def test_a_failure_after_all_have_finished_is_none(database: Database, manager: Any, connection: Any) -> None:
    connection.root()['a'] = 1
    current = manager.get()
    current._free = raise_it(MemoryError())

    commit.commit(manager, 'the change')

    with database.db.transaction() as other:
        assert other.root()['a'] == 1
    del current._free


def test_a_transaction_that_was_never_begun_is_the_callers_error(database: Database, manager: Any) -> None:
    with pytest.raises(Raised) as raised:
        commit.commit(manager, 'the change')
    assert isinstance(raised.value.error, NoTransaction)


def test_it_is_tried_again_for_a_time_with_longer_and_longer_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, 'RETRY_TIMEOUT', 0.2)
    retries = Retries()
    started = time.monotonic()
    times = sum(iter(retries.pause, False))
    assert 0.2 <= time.monotonic() - started < 10
    assert 2 < times < 200


def test_why_it_is_not_tried_again_is_said() -> None:
    assert given_up(ConflictError()) == 'other processes changed the same objects each time'
    assert given_up(TransientError('away')) == 'it failed each time it was tried (away)'


def test_what_would_see_the_past_within_an_update_is_refused_in_its_thread_alone(database: Database) -> None:
    other = PersistentMapping()  # whatever is not the database
    refused: list[bool] = []

    def elsewhere() -> None:
        refuse_within(database.db, 'hits.count', 'whose changes it would not see')
        refused.append(False)

    with guests_of(database.db), guests_of(other):
        with pytest.raises(StateError, match=r'hits\.count was called within an update, whose changes'):
            refuse_within(database.db, 'hits.count', 'whose changes it would not see')
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join(60)
    refuse_within(database.db, 'hits.count', 'whose changes it would not see')
    assert refused == [False]
