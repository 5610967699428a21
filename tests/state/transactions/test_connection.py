"""Sessions, on a real FileStorage."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping
from transaction.interfaces import TransientError
from ZODB.POSException import ConflictError, POSKeyError, StorageError

from hitcounter.errors import Interrupted, OutcomeUnknown, ReadOnly, StateError, UpdateFailed
from hitcounter.state import ReadConnection, State, WriteConnection, open_database
from hitcounter.state.transactions import commit


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Any]:
    with open_database(f'file://{tmp_path}/test.fs', share=True) as database:
        with WriteConnection(database.db) as session:
            session.root['tree'] = OOBTree({'a': 1})
            session.root['mapping'] = PersistentMapping(a=1)
            session.commit()
        yield database.db


def test_what_is_committed_shows_after_a_refresh_and_not_before(db: Any) -> None:
    with ReadConnection(db) as reading, WriteConnection(db) as writing:
        writing.root['mapping']['a'] = 2
        writing.commit()
        assert reading.root['mapping']['a'] == 1
        reading.refresh()
        assert reading.root['mapping']['a'] == 2


@pytest.mark.parametrize('name', ['tree', 'mapping'])
def test_to_write_in_a_reading_session_is_an_error_and_leaves_no_trace(db: Any, name: str) -> None:
    with ReadConnection(db) as session:
        with pytest.raises(ReadOnly):
            session.root[name]['a'] = 2
        session.refresh()
        assert session.root[name]['a'] == 1
    with ReadConnection(db) as session, pytest.raises(ReadOnly):
        session.root[name]['a'] = 2
    with ReadConnection(db) as session:  # the same connection again
        assert session.root[name]['a'] == 1


def test_changes_are_kept_until_commit_or_abort(db: Any) -> None:
    with WriteConnection(db) as session:
        session.root['tree']['a'] = 2
        assert session.is_changed
        session.refresh()
        assert session.root['tree']['a'] == 2
        session.abort()
        assert session.root['tree']['a'] == 1
        assert not session.is_changed


def test_changes_that_are_not_committed_are_forgotten_at_the_close(db: Any) -> None:
    with WriteConnection(db) as session:
        session.root['tree']['a'] = 2
    with ReadConnection(db) as session:
        assert session.root['tree']['a'] == 1


def test_a_conflict_says_that_nothing_was_stored(db: Any) -> None:
    with WriteConnection(db) as one, WriteConnection(db) as other:
        one.root['mapping']['a'] = 2
        other.root['mapping']['a'] = 3
        one.commit()
        with pytest.raises(UpdateFailed, match='nothing was stored'):
            other.commit()
        assert other.root['mapping']['a'] == 2
        assert not other.is_changed


def test_run_does_it_again_when_another_was_first(db: Any) -> None:
    with WriteConnection(db) as one, WriteConnection(db) as other:
        seen: list[int] = []

        def double(root: Any) -> int:
            seen.append(root['mapping']['a'])
            if len(seen) == 1:
                other.root['mapping']['a'] = 5
                other.commit()
            root['mapping']['a'] *= 2
            return int(root['mapping']['a'])

        assert one.run(double) == 10
        assert seen == [1, 5]


@pytest.mark.parametrize(
    'error',
    [
        OSError(2, 'own'),
        StorageError('own'),
        POSKeyError(b'12345678'),
        UpdateFailed('own'),
        OutcomeUnknown('own'),
        TransientError('own'),
        StopIteration('own'),
        SystemExit(3),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_the_function_raises_is_raised_as_it_is(
    db: Any, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(root: Any) -> None:
        root['mapping']['a'] = 9
        raise error

    monkeypatch.setattr(commit, 'RETRY_TIMEOUT', 0.05)
    with WriteConnection(db) as session:
        with pytest.raises(type(error)) as raised:
            session.run(fail)
        assert raised.value is error
        assert error.__context__ is None
        assert session.root['mapping']['a'] == 1
        assert not session.is_changed


def test_what_cannot_be_stored_is_the_callers_error_and_is_discarded(db: Any) -> None:
    with WriteConnection(db) as session:
        session.root['mapping']['a'] = threading.Lock()
        with pytest.raises(TypeError, match='lock'):
            session.commit()
        assert session.root['mapping']['a'] == 1
        with pytest.raises(TypeError, match='lock'):
            session.run(lambda root: root['mapping'].update(a=threading.Lock()))
        session.root['mapping']['a'] = 2
        session.commit()
        assert session.root['mapping']['a'] == 2


def test_sessions_that_were_closed_leave_no_descriptors(tmp_path: Path) -> None:
    def files() -> int:
        return len(os.listdir('/proc/self/fd'))

    with open_database(f'file://{tmp_path}/turns.fs', share=True) as database:
        before = files()
        for _ in range(3):
            WriteConnection(database.db, turn=database.new_turn(), is_remote=database.is_remote).close()
        assert files() == before
        State(database, []).close()
        assert files() == before
        turn = database.new_turn()
        with pytest.raises(TypeError):
            WriteConnection(database, turn=turn)  # type: ignore[arg-type]  # a mistake
        assert files() == before


def test_a_session_on_a_closed_database_can_be_closed(tmp_path: Path) -> None:
    database = open_database(f'file://{tmp_path}/closed.fs', share=True)
    session = WriteConnection(database.db, turn=database.new_turn())
    session.root['a'] = 1
    database.close()
    session.close()


@pytest.mark.parametrize(
    'store',
    [
        lambda session: session.run(lambda root: root['mapping'].update(a=7)),
        lambda session: (session.root['mapping'].update(a=7), session.commit()),
    ],
)
def test_ctrl_c_after_a_commit_says_that_it_was_stored(
    db: Any, monkeypatch: pytest.MonkeyPatch, store: Callable[[WriteConnection], object]
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with WriteConnection(db) as session:
        monkeypatch.setattr(session, '_abort_if_possible', interrupt)
        with pytest.raises(Interrupted, match='the changes had been stored'):
            store(session)
    with ReadConnection(db) as session:  # type: ignore[assignment]  # another kind
        assert session.root['mapping']['a'] == 7


def test_run_changes_nothing_when_its_function_raises_or_others_are_always_first(
    db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(root: Any, error: Exception) -> None:
        root['mapping']['a'] = 9
        raise error

    monkeypatch.setattr(commit, 'RETRY_TIMEOUT', 0.05)
    with WriteConnection(db) as session:
        with pytest.raises(ValueError, match='wrong'):
            session.run(lambda root: fail(root, ValueError('wrong')))
        with pytest.raises(UpdateFailed, match=r'other processes changed the same objects each time'):
            session.run(lambda root: fail(root, ConflictError()))
        assert session.root['mapping']['a'] == 1
        session.root['mapping']['a'] = 2
        with pytest.raises(StateError, match='commit or abort them first'):
            session.run(lambda root: None)
