"""Opening databases by URI: what is opened, what is refused, and what a crash leaves."""

import errno
import fcntl
import logging
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import transaction
from zc.lockfile import LockFile
from ZODB.blob import Blob

from hitcounter.errors import DatabaseInUse, DatabaseRefused, StateError
from hitcounter.state.storage import file as file_module
from hitcounter.state.storage import lock
from hitcounter.state.storage.database import Database, open_alone, open_database
from tests.support import without_flock
from tests.support.patience import PATIENCE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'hitcounter.fs'


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, 'OPEN_TIMEOUT', 0.2)


def put(database: Database, key: str, value: object) -> None:
    with database.db.transaction() as connection:
        connection.root()[key] = value


def get(database: Database, key: str) -> Any:
    with database.db.transaction() as connection:
        return connection.root().get(key)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize('uri', ['file:var/hitcounter.fs', 'file://var/hitcounter.fs', 'file:{}', 'file://{}'])
def test_a_file_is_made_with_its_folder_for_its_owner_alone(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'var' / 'hitcounter.fs'
    umask = os.umask(0o022)
    try:
        with open_database(uri.format(path), share=True) as database:
            assert database.description == str(path)
            put(database, 'a', 1)
            database.db.pack()
            assert mode(path.parent) == 0o700
            for suffix in ('', '.guard', '.lock', '.packed', '.tmp'):  # .index holds nothing but positions
                assert mode(Path(f'{path}{suffix}')) == 0o600
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(umask)


def test_a_file_that_nobody_has_open_is_opened_by_whoever_asks(path: Path) -> None:
    open_database(f'file:{path}', share=True).close()
    with open_database(f'file:{path}') as database:
        assert database.description == str(path)
        put(database, 'a', 1)
    with open_database(f'file:{path}', read_only=True) as reader:
        assert reader.description == f'{path}, as it was when opened, read only'
        assert get(reader, 'a') == 1


def test_a_file_that_is_shared_is_opened_through_its_server(path: Path) -> None:
    uri = f'file:{path}'
    with open_database(uri, share=True), open_database(uri) as database:
        assert database.description == f'{path}, shared by the process with id {os.getpid()}'


def test_the_same_file_under_another_name_is_the_same_database(path: Path, tmp_path: Path) -> None:
    (tmp_path / 'link').symlink_to(tmp_path)
    uri = f'file:{tmp_path}/link/hitcounter.fs'
    with open_database(f'file:{path}', share=True), open_database(uri) as database:
        assert 'shared by' in database.description


def test_a_name_may_hold_a_question_mark_and_a_percent_sign(tmp_path: Path) -> None:
    path = tmp_path / 'why?' / '100% #1.fs'
    with open_database(f'file:{quote(str(path))}', share=True) as database:
        assert database.description == str(path)
    assert path.exists()


def test_a_database_in_memory_is_empty_and_of_its_own() -> None:
    with open_database('memory:', share=True) as database, open_database('memory:') as other:
        put(database, 'a', 1)
        assert get(other, 'a') is None
        assert database.description == 'memory://'


def test_a_demo_storage_keeps_the_file_below_as_it_is(path: Path) -> None:
    with open_database(f'file:{path}', share=True) as database:
        put(database, 'a', 1)
    before = path.read_bytes()
    demo = f'demo:(file://{path}?read_only=1)/(memory://)'
    with open_database(demo, share=True) as database:
        assert get(database, 'a') == 1
        put(database, 'a', 2)
    assert path.read_bytes() == before


def test_a_storage_can_be_described_in_a_file_of_zconfig(tmp_path: Path) -> None:
    configuration = tmp_path / 'storage.conf'
    configuration.write_text('<mappingstorage>\n</mappingstorage>\n')
    with open_database(f'zconfig://{configuration}') as database:
        put(database, 'a', 1)
        assert get(database, 'a') == 1
    with pytest.raises(DatabaseRefused, match='opened read-only'):
        open_database(f'zconfig://{configuration}', read_only=True)


@pytest.mark.parametrize('read_only', [True, False])
def test_a_server_of_zeo_is_another_way_to_the_same_database(path: Path, read_only: bool) -> None:
    with open_database(f'file:{path}', share=True) as server:
        put(server, 'a', 1)
        zeo = f'zeo://{path}.shared/socket?wait_timeout=5'
        with open_database(zeo, read_only=read_only) as client:
            for number in range(20):
                put(server, 'a', number)
                assert get(client, 'a') == number
            assert client.db.storage.isReadOnly() == read_only


def test_blobs_go_through_the_server_as_well(path: Path, tmp_path: Path) -> None:
    uri = f'file:{path}?blobstorage_dir={tmp_path / "blobs"}'
    with open_database(uri, share=True) as server, open_database(uri) as client:
        put(client, 'blob', Blob(b'from afar'))
        with server.db.transaction() as connection, connection.root()['blob'].open() as file:
            assert file.read() == b'from afar'


def test_options_of_the_uri_are_kept_and_the_pool_suits_many_threads(path: Path) -> None:
    uri = f'file:{path}?quota=1mb&connection_cache_size=77&database_name=hits'
    with open_database(uri, share=True) as database:
        assert database.db.getCacheSize() == 77
        assert database.db.getPoolSize() >= 1000
        assert database.db.database_name == 'hits'
        assert database.db.storage._quota == 1 << 20


@pytest.mark.parametrize(
    ('uri', 'reason'),
    [
        ('var/hitcounter.fs', 'write it like file:var/hitcounter.fs'),
        ('file:', 'names no file'),
        ('file://?quota=1', 'names no file'),
        ('nothing:at/all', 'not installed here'),
        ('file:x?create=1', "'create'"),
        ('file:x?demostorage=1', "'demostorage'"),
        ('file:x?colour=red', 'colour'),
        ('file:x?quota=much', 'much'),
        ('memory://?connection_pool_size=many', 'many'),
        ('zconfig:///nowhere/at/all.conf', 'nowhere'),
        ('demo:nonsense', 'nonsense'),
    ],
)
def test_a_uri_that_cannot_be_opened_is_refused_with_its_name(uri: str, reason: str) -> None:
    with pytest.raises(DatabaseRefused) as refused:
        open_database(uri, share=True)
    assert reason in str(refused.value)
    assert repr(uri) in str(refused.value)


def test_a_refusal_keeps_the_password_for_itself() -> None:
    with pytest.raises(DatabaseRefused) as refused:
        open_database('nothing://user:secret@host/hits')
    assert 'secret' not in str(refused.value)
    assert 'nothing://user:***@host/hits' in str(refused.value)


@pytest.mark.parametrize('options', [{}, {'read_only': True}])
def test_a_file_that_is_not_there_is_made_by_the_server_only(path: Path, options: dict[str, bool]) -> None:
    with pytest.raises(DatabaseRefused, match=r'is not a database yet$'):
        open_database(f'file:{path}', **options)
    assert list(path.parent.iterdir()) == []


def test_a_server_is_not_opened_for_reading(path: Path) -> None:
    for uri, options in ((f'file:{path}?read_only=1', {}), (f'file:{path}', {'read_only': True})):
        with pytest.raises(DatabaseRefused, match='leave out read_only'):
            open_database(uri, share=True, **options)


def test_a_second_server_is_told_who_has_the_file(path: Path, impatient: None) -> None:
    with open_database(f'file:{path}', share=True), pytest.raises(DatabaseInUse) as refused:
        open_database(f'file:{path}', share=True)
    assert str(path) in str(refused.value)
    assert f'process with id {os.getpid()}' in str(refused.value)


@pytest.mark.parametrize('options', [{}, {'read_only': True}])
def test_a_file_that_is_open_but_not_shared_is_in_use(path: Path, impatient: None, options: dict[str, bool]) -> None:
    open_database(f'file:{path}', share=True).close()
    with open_database(f'file:{path}'), pytest.raises(DatabaseInUse):
        open_database(f'file:{path}', **options)


class Server:
    """A server in another process, which counts and says each number once it is stored."""

    SCRIPT = """
import sys
from hitcounter.state.storage.database import open_database
database = open_database(sys.argv[1], share=True)
with database.db.transaction() as connection:
    number = connection.root().get('number', 0)
print(number, flush=True)
while sys.stdin.readline():
    while True:
        with database.db.transaction() as connection:
            number += 1
            connection.root()['number'] = number
            connection.root()[number % 3] = bytes(number * 997 % 50_000)
        print(number, flush=True)
"""

    def __init__(self, path: Path, inside: tuple[str, ...] = ()) -> None:
        self.process = subprocess.Popen(
            [*inside, sys.executable, '-c', self.SCRIPT, f'file:{path}'],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def number(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def count(self) -> None:
        assert self.process.stdin is not None
        print('count', file=self.process.stdin, flush=True)

    def last_number(self) -> int:
        """Kill it, and return the last number that it said."""
        self.process.kill()
        assert self.process.stdout is not None
        said = self.process.stdout.read()  # communicate() would pass over what was read ahead of the last number()
        return max((int(line) for line in said.split('\n')[:-1]), default=0)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)


def test_a_server_that_hangs_is_not_waited_for(path: Path, impatient: None) -> None:
    with closing(Server(path)) as server:
        server.number()
        os.kill(server.process.pid, signal.SIGSTOP)
        with pytest.raises(DatabaseInUse, match=f'process with id {server.process.pid}'):
            open_database(f'file:{path}')


def test_what_was_said_to_be_stored_is_there_after_a_kill(path: Path) -> None:
    chance = random.Random(1)
    stored = 0
    for _ in range(10):
        with closing(Server(path)) as server:
            assert server.number() >= stored
            server.count()
            for _ in range(chance.randrange(1, 60)):
                stored = server.number()
            stored = max(stored, server.last_number())
        with open_database(f'file:{path}', share=True) as database:
            assert get(database, 'number') in (stored, stored + 1)


class Clock:
    """Time as the module sees it; instead of waiting, something happens in the other process."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.meanwhile = [meanwhile]

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, _: float) -> None:
        self.meanwhile.pop()()


def test_whoever_comes_while_a_server_starts_waits_for_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starting = LockFile(f'{path}.lock')
    servers: list[Database] = []

    def start() -> None:
        starting.close()
        servers.append(open_database(f'file:{path}', share=True))

    monkeypatch.setattr(file_module, 'time', Clock(start))
    with open_database(f'file:{path}') as database:
        assert 'shared by' in database.description
    servers[0].close()


@pytest.mark.parametrize('share', [True, False])
def test_whoever_comes_while_a_server_stops_gets_the_file(
    path: Path, share: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_database(f'file:{path}', share=True).close()
    stopping = LockFile(f'{path}.lock')
    monkeypatch.setattr(file_module, 'time', Clock(stopping.close))
    with open_database(f'file:{path}', share=share) as database:
        assert database.description == str(path)


@pytest.mark.parametrize('read_only', [False, True])
@pytest.mark.parametrize('error', ['ENOLCK', 'EOPNOTSUPP'])
def test_a_file_system_without_locks_is_named(path: Path, error: str, read_only: bool) -> None:
    open_database(f'file:{path}', share=True).close()
    before = path.read_bytes()
    script = (
        f'from hitcounter.errors import DatabaseRefused\n'
        f'from hitcounter.state import open_database\n'
        f'try: open_database({f"file:{path}"!r}, share={not read_only}, read_only={read_only})\n'
        f'except DatabaseRefused as error: print(error)'
    )
    done = subprocess.run(
        [sys.executable, without_flock.__file__, error, sys.executable, '-c', script],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    reason = os.strerror(getattr(errno, error))
    assert done.stdout == (
        f'{str(path)!r} cannot be locked ({reason}), as on some network file systems: put it on a local disk\n'
    )
    assert path.read_bytes() == before


IN_A_CONTAINER = ('unshare', '--pid', '--fork', '--kill-child', '--mount-proc')


def test_a_process_in_a_container_is_not_named_by_the_id_of_another_one(path: Path, impatient: None) -> None:
    if subprocess.run([*IN_A_CONTAINER, 'true'], check=False).returncode:
        pytest.skip('processes can be hidden here by root only, and not even by root everywhere')
    with closing(Server(path, IN_A_CONTAINER)) as server:
        server.number()
        with pytest.raises(DatabaseInUse, match=r'open in another process \(with id \d+ where it runs, as in a cont'):
            open_database(f'file:{path}', share=True)
        with open_database(f'file:{path}') as database:
            assert 'shared by another process (with id' in database.description


def test_a_server_waits_for_a_process_that_is_ending(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(file_module, 'OPEN_TIMEOUT', 0.1)
    open_database(f'file:{path}', share=True).close()
    ending = LockFile(f'{path}.lock')
    with ThreadPoolExecutor(1) as other, caplog.at_level(logging.WARNING):
        opened = other.submit(open_database, f'file:{path}', share=True)
        while 'waiting up to 60 s for its end' not in caplog.text:
            with pytest.raises(TimeoutError):
                opened.result(0.05)
        ending.close()
        opened.result(PATIENCE).close()


def test_a_server_does_not_wait_for_ever_for_one_that_does_not_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, 'OPEN_TIMEOUT', 0.0)
    monkeypatch.setattr(file_module, 'ENDING_TIMEOUT', 0.2)
    open_database(f'file:{path}', share=True).close()
    with closing(LockFile(f'{path}.lock')), pytest.raises(DatabaseInUse, match=f'with id {os.getpid()}: stop that one'):
        open_database(f'file:{path}', share=True)


def test_who_only_looks_whether_a_file_is_locked_hinders_nobody(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_database(f'file:{path}', share=True).close()
    looking = open(f'{path}.lock')  # noqa: SIM115 -- closed in the meantime
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr(lock, 'time', Clock(looking.close))
    open_alone(f'file:{path}').close()
    assert looking.closed


def test_the_socket_of_a_killed_server_is_no_obstacle(path: Path) -> None:
    with closing(Server(path)) as server:
        server.number()
        server.last_number()
    assert Path(f'{path}.shared/socket').is_socket()
    with open_database(f'file:{path}') as database:
        assert database.description == str(path)
    uri = f'file:{path}'
    with open_database(uri, share=True), open_database(uri) as database:
        assert 'shared by' in database.description


def test_a_disk_that_fails_under_the_server_is_not_taken_for_damage(path: Path) -> None:
    with open_database(f'file:{path}', share=True) as server:
        put(server, 'number', 1)
        server.db.storage._files.name = '/proc/self/mem'  # whose first bytes cannot be read
        server.db.storage._files.empty()
        with pytest.raises(DatabaseRefused, match=r'cannot be opened \(Input/output error\): check the disk$'):
            open_database(f'file:{path}')


def test_a_folder_in_place_of_the_file_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(DatabaseRefused, match='is a directory'):
        open_database(f'file:{path}', share=True)


def test_beside_a_pipe_or_a_device_no_lock_is_left(path: Path) -> None:
    os.mkfifo(path)
    for name in path, '/dev/null':
        with pytest.raises(DatabaseRefused, match=f"'{name}' is a directory, a device or a pipe: name a file"):
            open_database(f'file:{name}', share=True)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize('name', ['/proc/hitcounter/hitcounter.fs', '/dev/null/hitcounter.fs'])
def test_a_folder_that_cannot_be_made_is_refused(name: str) -> None:
    with pytest.raises(DatabaseRefused, match='in a folder that can be written'):
        open_database(f'file:{name}', share=True)


@pytest.mark.skipif(os.geteuid() == 0, reason='nothing is forbidden to root')
@pytest.mark.parametrize('forbidden', ['', '.lock', '.guard', '.shared'])
def test_what_must_not_be_opened_is_refused(path: Path, forbidden: str) -> None:
    open_database(f'file:{path}', share=True).close()
    Path(f'{path}{forbidden}').chmod(0)
    with pytest.raises(DatabaseRefused, match=r'permissions forbid it: change them \(chmod\)'):
        open_database(f'file:{path}', share=True)


def test_a_full_disk_is_refused_and_no_obstacle_once_there_is_room(path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(DatabaseRefused, match='on a disk with room'):
            open_database(f'file:{path}', share=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with open_database(f'file:{path}', share=True) as database:
        put(database, 'a', 1)


def test_a_refused_open_leaves_nothing_open(path: Path) -> None:
    path.write_text('a letter')
    descriptors = len(os.listdir('/proc/self/fd'))
    with pytest.raises(DatabaseRefused):
        open_database(f'file:{path}', share=True)
    assert len(os.listdir('/proc/self/fd')) == descriptors
    path.unlink()
    open_database(f'file:{path}', share=True).close()


def test_closing_with_a_connection_still_open_frees_the_file(path: Path) -> None:
    database = open_database(f'file:{path}', share=True)
    connection = database.db.open(transaction.TransactionManager(explicit=True))
    with pytest.raises(StateError, match='was closed before a connection to it'):
        database.close()
    del connection  # ZODB forgets one that nobody has
    open_database(f'file:{path}', share=True).close()


def test_the_umask_of_the_process_is_left_alone(path: Path, tmp_path: Path) -> None:
    code = """
import os, sys, threading
from contextlib import closing
from hitcounter.state import open_database
from hitcounter.state.upkeep.backup import back_up, restore
from hitcounter.state.upkeep.packing import pack

os.umask(0o022)
real, os.umask = os.umask, lambda mask: print('umask', mask)
path, backups = sys.argv[1:]
for _ in range(2):
    with open_database(f'file:{path}?blobstorage_dir={path}.blobs', share=True) as database:
        for number in range(9):
            with database.db.transaction() as connection:
                connection.root()['number'] = number
        back_up(path, backups)
        pack(database, 0.0)
    back_up(path, backups)
    with open(path, 'ab') as file:
        file.write(b'torn')
open_database(f'file:{path}').close()
restore(backups, f'{path}.2')
os.umask = real
print('left', oct(real(0o022)))
"""
    done = subprocess.run(
        [sys.executable, '-c', code, str(path), str(tmp_path / 'backups')],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stdout == 'left 0o22\n'
    files = [file for file in tmp_path.rglob('*') if file.is_file()]
    readable = [file for file in files if file.stat().st_mode & 0o077]
    assert all(is_in_a_private_folder(file, tmp_path) for file in readable)
    assert {'.index', '.lock', '.tmp', '.guard', '.packed', '.backed-up', '.tr0', '.fs', '.dat'} <= {
        file.suffix for file in files
    }


def is_in_a_private_folder(file: Path, tmp_path: Path) -> bool:
    return any(not folder.stat().st_mode & 0o077 for folder in file.parents if tmp_path in folder.parents)
