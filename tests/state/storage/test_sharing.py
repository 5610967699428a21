"""SharedStorageServer a database: a second process, its conflicts, and what it must not hold up."""

import gc
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from BTrees.Length import Length
from ZODB.POSException import ReadOnlyError

from hitcounter.errors import DatabaseRefused
from hitcounter.state.storage import sharing
from hitcounter.state.storage.database import Database, open_database
from hitcounter.state.storage.views import View
from tests.support import outages
from tests.support.patience import PATIENCE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'hitcounter.fs'


@pytest.fixture
def server(path: Path) -> Iterator[Database]:
    with open_database(f'file:{path}', share=True) as database:
        yield database


@pytest.fixture
def client(path: Path, server: Database) -> Iterator[Database]:
    with open_database(f'file:{path}') as database:
        yield database


def put(database: Database, key: str, value: object) -> None:
    with database.db.transaction() as connection:
        connection.root()[key] = value


def get(database: Database, key: str) -> Any:
    with database.db.transaction() as connection:
        return connection.root().get(key)


def test_a_client_knows_the_id_of_its_own_transaction_though_another_follows_at_once(
    server: Database, client: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(server, 'mine', Length())
    put(server, 'yours', Length())
    finish = View.tpc_finish

    def finish_and_be_followed(view: View, *arguments: Any) -> bytes:
        tid = finish(view, *arguments)
        monkeypatch.setattr(View, 'tpc_finish', finish)
        follower = threading.Thread(target=put, args=(server, 'yours', Length(1)))
        follower.start()
        follower.join()
        return tid

    monkeypatch.setattr(View, 'tpc_finish', finish_and_be_followed)
    with client.db.transaction() as connection:
        connection.root()['mine'].change(1)
    with client.db.transaction() as connection:
        connection.root()['mine'].change(1)
    with server.db.transaction() as ours, client.db.transaction() as theirs:
        assert ours.root()['mine']() == theirs.root()['mine']() == 2
        assert ours.root()['mine']._p_serial == theirs.root()['mine']._p_serial


def test_a_client_uses_no_id_for_a_new_object_that_a_server_gave_which_is_gone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outages.be_impatient(monkeypatch)
    first = open_database(f'file:{path}', share=True)
    with open_database(f'file:{path}') as client:
        put(client, 'before', Length())
        first.close()
        with open_database(f'file:{path}', share=True) as second:
            for number in range(5):
                put(second, f'meanwhile {number}', Length())
            put(client, 'after', Length())
            with second.db.transaction() as connection:
                ids = [thing._p_oid for thing in connection.root().values()]
    assert len({*ids}) == len(ids) == 7


class Process:
    """A second process that has the database open, and runs a script; they say and hear lines."""

    HEAD = """
import sys, transaction
from hitcounter.state.storage.database import open_database
def say(word):
    print(word, flush=True)
def hear():
    return sys.stdin.readline().strip()
database = open_database(sys.argv[1])
connection = database.db.open()
root = connection.root()
"""

    def __init__(self, path: Path, script: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, '-c', self.HEAD + script, f'file:{path}'],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def say(self, word: str) -> None:
        assert self.process.stdin is not None
        print(word, file=self.process.stdin, flush=True)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)


# It votes by hand, so as to stop between the two phases.
VOTING = """
class Stop:
    transaction_manager = transaction.manager
    def tpc_begin(self, _): pass
    def commit(self, _): pass
    def tpc_vote(self, _):
        say('voted')
        hear()
    def tpc_finish(self, _): pass
    def tpc_abort(self, _): pass
    abort = tpc_abort
    def sortKey(self):
        return '~'  # votes after every storage
root['half'] = 1
transaction.get().join(Stop())
try:
    transaction.commit()
except Exception as error:
    say(type(error).__name__)
else:
    say('committed')
transaction.abort()
say(str(root.get('half')))
root['again'] = 1
transaction.commit()
say('again')
"""


def test_each_process_sees_at_once_what_the_other_committed(server: Database, client: Database) -> None:
    for number in range(100):
        put(server, 'a', number)
        assert get(client, 'a') == number
        put(client, 'b', number)
        assert get(server, 'b') == number


def test_lengths_that_two_processes_change_are_merged(path: Path, server: Database) -> None:
    put(server, 'length', Length(10))
    other = """
root['length'].change(1)
say('changed')
hear()
transaction.commit()
say(root['length']())
"""
    with closing(Process(path, other)) as process:
        assert process.hear() == 'changed'
        with server.db.transaction() as connection:
            connection.root()['length'].change(5)
        process.say('go on')
        assert process.hear() == '16'
    with server.db.transaction() as connection:
        assert connection.root()['length']() == 16


def test_a_write_on_old_state_is_a_conflict_in_the_other_process(path: Path, server: Database) -> None:
    other = """
root['b'] = 1
say('changed')
hear()
try:
    transaction.commit()
except Exception as error:
    say(type(error).__name__)
"""
    with closing(Process(path, other)) as process:
        assert process.hear() == 'changed'
        put(server, 'a', 1)
        process.say('go on')
        assert process.hear() == 'ConflictError'


def test_a_stopped_process_holds_up_commits_no_longer_than_the_time_out(
    path: Path, server: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.close()
    monkeypatch.setattr(sharing, 'COMMIT_TIMEOUT', 1.0)
    with open_database(f'file:{path}', share=True) as server, closing(Process(path, VOTING)) as process:
        assert process.hear() == 'voted'
        os.kill(process.process.pid, signal.SIGSTOP)
        in_time(put, server, 'a', 1)
        in_time(put, server, 'a', 2)
        os.kill(process.process.pid, signal.SIGCONT)
        process.say('go on')
        assert process.hear() == 'ClientDisconnected'
        assert process.hear() == 'None'
        assert process.hear() == 'again'
        assert get(server, 'half') is None
        assert get(server, 'a') == 2
        assert get(server, 'again') == 1


def test_a_killed_process_holds_up_nobody(path: Path, server: Database) -> None:
    with closing(Process(path, VOTING)) as process:
        assert process.hear() == 'voted'
        os.kill(process.process.pid, signal.SIGKILL)
        in_time(put, server, 'a', 1)
    assert get(server, 'half') is None


def in_time(function: Callable[..., object], *arguments: object) -> None:
    """Call it in a thread, and fail if it does not end."""
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_closing_takes_the_commit_lock_from_a_stopped_process(path: Path, server: Database) -> None:
    whole = path.stat().st_size
    with closing(Process(path, VOTING)) as process:
        assert process.hear() == 'voted'
        os.kill(process.process.pid, signal.SIGSTOP)
        assert path.stat().st_size > whole
        in_time(server.close)
        assert path.stat().st_size == whole
        assert server_threads() == []


def server_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]


def test_a_process_that_reads_nothing_is_disconnected_before_the_memory_is_full(
    path: Path, server: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sharing, 'READ_TIMEOUT', 0.0)
    dropped = threading.Event()
    drop = sharing._Client.drop
    monkeypatch.setattr(sharing._Client, 'drop', lambda client, reason: (drop(client, reason), dropped.set()))
    other = """
say('ready')
hear()
try:
    connection.sync()
except Exception as error:
    say(type(error).__name__)
connection.sync()
say(root['a'])
"""
    with closing(Process(path, other)) as process:
        assert process.hear() == 'ready'
        os.kill(process.process.pid, signal.SIGSTOP)
        with server.db.transaction() as connection:
            for number in range(2000):
                connection.root()[number] = Length()
        while not dropped.is_set():
            with server.db.transaction() as connection:
                for number in range(2000):
                    connection.root()[number].change(1)
        put(server, 'a', 'fresh')
        os.kill(process.process.pid, signal.SIGCONT)
        process.say('go on')
        assert process.hear() == 'ClientDisconnected'
        assert process.hear() == 'fresh'
    assert 'it read nothing' in caplog.text


def test_what_a_process_was_reading_is_closed_when_it_disconnects(
    path: Path, server: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, disconnected = threading.Event(), sharing._Client.notify_disconnected
    monkeypatch.setattr(sharing._Client, 'notify_disconnected', lambda client: (disconnected(client), gone.set()))
    put(server, 'a', 1)
    gc.disable()  # or it may come first
    try:
        before = descriptors_of(path)
        with open_database(f'file:{path}') as client:
            reading = client.db.storage.iterator()
            next(reading)
            assert descriptors_of(path) == before + 1
        assert gone.wait(PATIENCE)
        assert descriptors_of(path) == before
    finally:
        gc.enable()


def descriptors_of(path: Path) -> int:
    """How many descriptors of this process are of the file at `path`."""
    count = 0
    for name in os.listdir('/proc/self/fd'):
        with suppress(FileNotFoundError):  # that of the folder itself
            count += os.readlink(f'/proc/self/fd/{name}') == str(path)
    return count


def test_a_reader_is_refused_by_the_server(path: Path, server: Database) -> None:
    put(server, 'a', 1)
    with open_database(f'file:{path}', read_only=True) as reader:
        assert get(reader, 'a') == 1
        with pytest.raises(ReadOnlyError):
            put(reader, 'a', 2)
        with pytest.raises(ReadOnlyError):  # also a client that does not even ask itself
            reader.db.storage._call('tpc_begin', 1, b'', b'', {}, None, ' ')
        with pytest.raises(ReadOnlyError):
            reader.db.pack()
    assert get(server, 'a') == 1


def test_a_pack_through_the_socket_leaves_what_is_in_use(server: Database, client: Database) -> None:
    for number in range(10):
        put(client, 'a', number)
    size = server.db.getSize()
    client.db.pack()
    assert server.db.getSize() < size
    put(server, 'b', 1)
    assert (get(client, 'a'), get(client, 'b')) == (9, 1)


def test_a_client_goes_on_when_the_server_was_restarted(path: Path) -> None:
    server = open_database(f'file:{path}', share=True)
    with open_database(f'file:{path}') as client:
        put(client, 'a', 1)
        server.close()
        with open_database(f'file:{path}', share=True) as server:
            put(server, 'a', 2)
            client.db.storage._wait()
            assert get(client, 'a') == 2


def test_only_the_owner_can_reach_the_socket(path: Path, server: Database) -> None:
    folder = Path(sharing.folder_of(str(path)))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / 'socket').stat().st_mode) == 0o600


def test_a_folder_open_to_others_is_made_private_before_there_is_a_socket(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(sharing.folder_of(str(path)))
    folder.mkdir()
    folder.chmod(0o777)
    modes = []
    serve = sharing._Server.__init__

    def watched(*arguments: Any, **options: Any) -> None:
        modes.append(stat.S_IMODE(folder.stat().st_mode))
        serve(*arguments, **options)

    monkeypatch.setattr(sharing._Server, '__init__', watched)
    open_database(f'file:{path}', share=True).close()
    assert modes == [0o700]


def test_a_folder_of_another_user_is_refused(path: Path, server: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    other = os.geteuid() + 1
    monkeypatch.setattr(os, 'geteuid', lambda: other)
    with pytest.raises(DatabaseRefused, match=r'belongs to .*run it as'):
        open_database(f'file:{path}')


def test_a_link_in_place_of_the_folder_is_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / 'elsewhere').mkdir()
    Path(sharing.folder_of(str(path))).symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(DatabaseRefused):
        open_database(f'file:{path}', share=True)


def test_a_path_too_long_for_a_socket_is_shared_as_well(tmp_path: Path) -> None:
    uri = f'file:{tmp_path / ("deep" * 30) / ("deeper" * 30) / "hitcounter.fs"}'
    with open_database(uri, share=True) as server, open_database(uri) as client:
        put(client, 'a', 1)
        assert get(server, 'a') == 1


def test_closing_leaves_no_thread_no_socket_no_lock(path: Path) -> None:
    descriptors = len(os.listdir('/proc/self/fd'))
    server = open_database(f'file:{path}', share=True)
    client = open_database(f'file:{path}')
    assert server_threads()
    client.close()
    server.close()
    server.close()
    assert server_threads() == []
    assert 'socket' not in os.listdir(sharing.folder_of(str(path)))
    assert len(os.listdir('/proc/self/fd')) == descriptors
    open_database(f'file:{path}', share=True).close()


def test_a_client_may_close_after_the_server(path: Path) -> None:
    server = open_database(f'file:{path}', share=True)
    client = open_database(f'file:{path}')
    server.close()
    client.close()
    assert server_threads() == []
