"""What became of a commit, looked up by what it wrote: on real servers, some of which are killed."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import transaction
from transaction.interfaces import TransientError
from ZEO.Exceptions import ClientDisconnected
from ZODB.POSException import ConflictError, POSKeyError, StorageError

from hitcounter.errors import OutcomeUnknown, StateClosed, UpdateFailed
from hitcounter.hits import Caller, HitCounter
from hitcounter.state import Components, Database, ReadConnection, State, WriteConnection, open_database
from hitcounter.state.storage import file
from hitcounter.state.transactions import commit
from hitcounter.state.transactions import marker as marker_module
from hitcounter.state.transactions.marker import Marker
from tests.support import outages
from tests.support.crashing import CrashingServer
from tests.support.patience import PATIENCE

BOB = Caller('555', 'Bob', '17.1')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'hits.fs'


@pytest.fixture
def server(path: Path) -> Iterator[Database]:
    with open_database(f'file:{path}', share=True) as server:
        State(server, [HitCounter]).close()
        yield server


@pytest.fixture
def client(path: Path, server: Database) -> Iterator[Database]:
    with open_database(f'file:{path}') as client:
        yield client


@pytest.fixture
def state(client: Database) -> Iterator[State]:
    with State(client, [HitCounter]) as state:
        yield state


def lose_the_answer(connection: Any) -> None:
    """Let the next commit be stored, and its answer be lost."""
    finish = connection.tpc_finish

    def finish_and_vanish(current: Any) -> None:
        del vars(connection)['tpc_finish']
        finish(current)
        raise ClientDisconnected

    vars(connection)['tpc_finish'] = finish_and_vanish


def lose_the_question(connection: Any) -> None:
    """Let the next commit never reach the storage."""

    def vanish(_: Any) -> None:
        del vars(connection)['tpc_finish']
        raise ClientDisconnected

    vars(connection)['tpc_finish'] = vanish


def names(database: Database) -> list[str]:
    with ReadConnection(database.db) as session:
        return list(session.root.get('marks', {}))


@pytest.mark.parametrize('lose', [lose_the_answer, lose_the_question])
def test_an_update_is_applied_once_whether_the_answer_or_the_question_is_lost(
    lose: Callable[[Any], None], state: State
) -> None:
    assert state[HitCounter].hit('1', BOB) == 1
    lose(state._writer._connection)
    assert state[HitCounter].hit('1', BOB) == 2
    assert state[HitCounter].hit('1', BOB) == 3
    assert state[HitCounter].count('1') == 3


def test_the_first_update_of_a_writer_is_looked_up_too(state: State) -> None:
    lose_the_answer(state._writer._connection)
    assert state[HitCounter].hit('1', BOB) == 1
    assert state[HitCounter].count('1') == 1


def test_what_a_session_stored_is_stored_though_the_answer_is_lost(client: Database, state: State) -> None:
    with WriteConnection(client.db, is_remote=client.is_remote) as session:
        session.root['hits'].hit('1', BOB)
        lose_the_answer(session._connection)
        session.commit()
        assert state[HitCounter].count('1') == 1
        session.root['hits'].hit('1', BOB)
        lose_the_question(session._connection)
        with pytest.raises(UpdateFailed, match='nothing was stored'):
            session.commit()
        assert state[HitCounter].count('1') == 1
        lose_the_question(session._connection)
        assert session.run(lambda root: root['hits'].hit('1', BOB)) == 2
    assert state[HitCounter].count('1') == 2


def test_what_was_stored_is_not_done_again_if_its_mark_was_taken_for_a_dead_one(client: Database, state: State) -> None:
    assert state[HitCounter].hit('1', BOB) == 1
    lose_the_answer(state._writer._connection)
    finish = state._writer._connection.tpc_finish

    def remove_the_mark_as_well(current: Any) -> None:
        try:
            finish(current)
        finally:
            with WriteConnection(client.db) as session:
                session.run(lambda root: root['marks'].clear())

    vars(state._writer._connection)['tpc_finish'] = remove_the_mark_as_well
    with pytest.raises(OutcomeUnknown, match='the mark of this writer was removed'):
        state[HitCounter].hit('1', BOB)
    assert state[HitCounter].hit('1', BOB) == 3


def test_what_was_not_stored_can_never_be_stored_later(server: Database) -> None:
    transactions, others = (transaction.TransactionManager(explicit=True) for _ in range(2))
    with (
        closing(server.db.open(transactions)) as connection,
        closing(server.db.open(others)) as other,
    ):
        late = Marker(transactions, connection)
        transactions.begin()
        late.mark()
        asking = Marker(others, other)
        asking._name, asking._number = late._name, late._number
        assert not asking.was_stored()
        with pytest.raises(ConflictError):
            transactions.commit()
        transactions.abort()


def test_a_writer_has_a_mark_as_long_as_it_lives(client: Database) -> None:
    with State(client, [HitCounter]) as state:
        assert names(client) == []
        state[HitCounter].hit('1', BOB)
        state[HitCounter].hit('1', BOB)
        assert len(names(client)) == 1
    assert names(client) == []


def test_the_marks_of_dead_writers_are_removed_in_time(
    client: Database, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WriteConnection(client.db) as session:
        transactions, connection = session._transactions, session._connection
        Marker(transactions, connection).mark()
        session.commit()
    (dead,) = names(client)
    monkeypatch.setattr(marker_module, 'STALE', -1.0)
    state[HitCounter].hit('1', BOB)
    assert len(names(client)) == 1
    assert dead not in names(client)


def test_a_database_of_ones_own_has_no_marks(server: Database) -> None:
    with State(server, [HitCounter]) as state:
        state[HitCounter].hit('1', BOB)
        assert names(server) == []


def test_a_storage_that_does_not_come_back_leaves_the_outcome_open(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, 'OPEN_TIMEOUT', 0.5)
    with open_database(f'file:{path}', share=True) as new:
        State(new, [HitCounter]).close()
    server = CrashingServer(path, 0, seed=0)
    with open_database(f'file:{path}') as client, State(client, [HitCounter], timeout=2) as state:

        def vanish(_: Any) -> None:
            server.close()
            raise ClientDisconnected

        monkeypatch.setattr(marker_module, 'LOOK_UP_TIMEOUT', 0.1)
        vars(state._writer._connection)['tpc_finish'] = vanish
        with pytest.raises(OutcomeUnknown, match=r'not back in 0\.1 s'):
            state[HitCounter].hit('1', BOB)
        with pytest.raises(UpdateFailed, match='is not stored: the storage is away'):
            state[HitCounter].hit('1', BOB)


def test_each_call_is_counted_once_though_the_server_is_killed_again_and_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outages.be_impatient(monkeypatch)
    with open_database(f'file:{path}', share=True) as new:
        State(new, [HitCounter]).close()
    with closing(CrashingServer(path, 20, seed=4)) as server:
        fates, counted = outages.count_through(server, f'file:{path}')
    assert fates.total() == 20
    assert len(counted.stored) > 20


@dataclass(frozen=True)
class Frozen(Exception):
    """Refuses every attribute, as some exceptions do."""


#: What storages raise, other states, and Python.
ERRORS = [
    OutcomeUnknown('of another state'),
    UpdateFailed('of another state'),
    StateClosed('of another state'),
    TransientError('of another storage'),
    StorageError('of another storage'),
    POSKeyError(b'12345678'),
    OSError(28, 'of a file'),
    StopIteration('of an iterator'),
    MemoryError(),
    SystemExit(3),
    KeyboardInterrupt(),
    Frozen(),
]


@pytest.mark.parametrize('error', ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize('by', ['server', 'client'])
def test_an_update_that_raises_what_storages_raise_fails_alone_and_with_its_own_error(
    error: BaseException, by: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, 'RETRY_TIMEOUT', 0.05)

    def fail(parts: Components) -> None:
        parts[HitCounter].hit('1', BOB)
        raise error

    with State(request.getfixturevalue(by), [HitCounter]) as state:
        assert state[HitCounter].hit('1', BOB) == 1  # what a look-up would find
        held, go_on = threading.Event(), threading.Event()
        state.submit(lambda _: held.set() or go_on.wait(PATIENCE))
        assert held.wait(PATIENCE)
        before, wrong, after = (
            state.submit(HitCounter.hit, '1', BOB),
            state.submit(fail),
            state.submit(HitCounter.hit, '1', BOB),
        )
        go_on.set()
        assert (before.result(PATIENCE), after.result(PATIENCE)) == (2, 3)
        assert wrong.exception(PATIENCE) is error
        assert state[HitCounter].count('1') == 3


def test_a_load_that_may_succeed_the_next_time_is_done_again(client: Database, state: State) -> None:
    raised = [ConflictError(), ClientDisconnected()]

    def hit(parts: Components) -> int:
        if raised:
            raise raised.pop()
        return parts[HitCounter].hit('1', BOB)

    assert state.update(hit) == 1
    assert not raised


def test_a_load_that_fails_after_a_long_wait_is_done_again(
    client: Database, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, 'GUEST_TIMEOUT', 0.05)
    raised: list[Exception] = [ClientDisconnected()]

    def hit(parts: Components) -> int:
        if raised:
            time.sleep(0.1)  # so long did the storage not answer
            raise raised.pop()
        return parts[HitCounter].hit('1', BOB)

    assert state.update(hit) == 1


@pytest.mark.parametrize('by', ['server', 'client'])
def test_an_update_that_meets_its_own_conflicts_for_ever_does_not_hold_up_the_others_for_long(
    by: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, 'RETRY_TIMEOUT', 10 * PATIENCE)
    monkeypatch.setattr(commit, 'GUEST_TIMEOUT', 0.05)
    held, go_on = threading.Event(), threading.Event()

    def collide(_: Components) -> None:
        raise ConflictError

    with State(request.getfixturevalue(by), [HitCounter]) as state:
        state.submit(lambda _: held.set() or go_on.wait(PATIENCE))
        assert held.wait(PATIENCE)
        wrong, after = state.submit(collide), state.submit(HitCounter.hit, '1', BOB)
        go_on.set()
        assert after.result(PATIENCE) == 1
        assert isinstance(wrong.exception(PATIENCE), UpdateFailed)


def test_a_look_up_that_meets_changes_all_the_time_ends_and_pauses_between(
    client: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marker_module, 'LOOK_UP_TIMEOUT', 0.5)
    transactions = transaction.TransactionManager(explicit=True)
    looks: list[int] = []

    def collide(number: int) -> bool:
        looks.append(number)
        raise ConflictError

    with closing(client.db.open(transactions)) as connection:
        marker = Marker(transactions, connection)
        monkeypatch.setattr(marker, '_look_up', collide)
        with pytest.raises(OutcomeUnknown, match=r'in 0\.5 s to say what became of it: database conflict'):
            marker.was_stored()
    assert 2 <= len(looks) <= 20


def test_what_is_stored_after_a_savepoint_has_its_mark(state: State) -> None:
    def hit(parts: Components) -> int:
        number = parts[HitCounter].hit('1', BOB)
        parts[HitCounter]._p_jar.transaction_manager.savepoint()
        return number

    assert state.update(hit) == 1
    lose_the_question(state._writer._connection)
    assert state.update(hit) == 2
    assert state[HitCounter].count('1') == 2
