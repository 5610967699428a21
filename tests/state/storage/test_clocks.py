"""The clock of a storage, compared with that of this machine."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from ZODB.Connection import TransactionMetaData
from ZODB.POSException import StorageError

from hitcounter.hits import Caller, HitCounter
from hitcounter.state import State, open_database
from hitcounter.state.storage.clocks import seconds_ahead
from tests.support.clocks import Clock
from tests.support.postgresql import PostgreSQL, folder_for_postgresql, skip_without_postgresql
from tests.support.zeo_server import running_zeo

#: Seconds by which a comparison may be wrong on this machine, however busy it is: half of the longest answer.
BOUND = 0.25


def test_the_quickest_answer_counts() -> None:
    clock = iter([0.0, 0.3, 100.0, 100.01, 200.0, 200.2])  # asked, answered
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(time, 'time', lambda: 7.0)
        patched.setattr(time, 'monotonic', lambda: next(clock))
        told = iter([1.0, 5.0, 2.0])
        assert seconds_ahead(lambda: None, lambda: next(told)) == pytest.approx(7.0 + 0.005 - 5.0)


def test_answers_that_come_too_slowly_say_nothing() -> None:
    clock = iter([0.0, 0.6] * 3)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(time, 'monotonic', lambda: next(clock))
        assert seconds_ahead(lambda: None, time.time) is None


def test_files_and_memory_go_by_this_clock(tmp_path: Path) -> None:
    uri = f'file:{tmp_path}/hits.fs'
    with open_database(uri, share=True) as owner, open_database(uri) as guest, open_database('memory:') as memory:
        assert guest.is_remote
        for database in (owner, guest, memory):
            assert not database.has_clock
            assert database.clock_skew() == 0.0


def test_a_storage_whose_clock_nothing_tells_is_not_compared() -> None:
    with open_database('demo:(memory://)/(memory://)') as database:
        assert not database.has_clock
        assert database.clock_skew() is None


def assert_measured(uri: str, clock: Clock) -> None:
    with open_database(uri) as database:
        assert database.has_clock
        for ahead in (0.0, 2.5, -40.0):
            clock.put_ahead(ahead)
            assert database.clock_skew() == pytest.approx(-ahead, abs=BOUND)
    clock.put_ahead(0)


def test_the_clock_of_postgresql_is_compared() -> None:
    skip_without_postgresql()
    with folder_for_postgresql() as folder:
        clock = Clock(folder)
        with closing(PostgreSQL(folder, under=clock.inside)) as server:
            assert_measured(server.uri(server.new_database()), clock)


@pytest.fixture(scope='module')
def zeo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Clock]]:
    """The URI of a server, and its clock."""
    if not shutil.which('openssl'):
        pytest.skip('openssl is not installed')
    folder = tmp_path_factory.mktemp('zeo')
    clock = Clock(folder)
    with running_zeo(folder, tls=False, inside=clock.inside) as server:
        yield f'zeo://127.0.0.1:{server.port}', clock


def test_the_clock_of_a_zeo_server_is_compared(zeo: tuple[str, Clock]) -> None:
    assert_measured(*zeo)


def test_comparing_the_clock_of_a_zeo_server_stores_nothing_and_holds_nobody_up(
    zeo: tuple[str, Clock],
) -> None:
    uri, _ = zeo
    with open_database(uri) as database, open_database(uri) as other, closing(State(other, [HitCounter])) as state:
        hits = state[HitCounter]
        hits.hit('31415', Caller(None, None, '1.1'))
        before = other.server_status()
        assert database.clock_skew() is not None
        after = other.server_status()
        assert before is not None
        assert after is not None
        assert (after['last-transaction'], after['lock_time']) == (before['last-transaction'], None)
        number = hits.count('31415')
        assert hits.hit('31415', Caller(None, None, '1.1')) == number + 1


def test_a_zeo_server_whose_lock_another_holds_is_not_waited_for_and_no_call_loses_its_connection(
    zeo: tuple[str, Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, _ = zeo
    before = set(threading.enumerate())
    monkeypatch.setattr('hitcounter.state.storage.zeo.CLOCK_TIMEOUT', 0.5)
    with open_database(uri) as database, open_database(uri) as other:
        storage, slow = database.db.storage, TransactionMetaData()
        connection = storage._connection_generation
        other.db.storage.tpc_begin(slow)
        other.db.storage.tpc_vote(slow)
        with pytest.raises(StorageError):
            database.clock_skew()
        other.db.storage.tpc_abort(slow)
        monkeypatch.undo()
        assert database.clock_skew() is not None
        assert storage._connection_generation == connection
    assert set(threading.enumerate()) <= before


def test_a_zeo_server_does_not_tell_its_clock_to_those_who_only_read(
    zeo: tuple[str, Clock],
) -> None:
    uri, _ = zeo
    with open_database(uri):
        pass
    with open_database(uri, read_only=True) as database:
        assert database.clock_skew() is None
