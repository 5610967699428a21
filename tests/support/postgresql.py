"""Real PostgreSQL servers for the tests, each in a folder of its own, as a user who may run one.

    with closing(PostgreSQL(folder)) as server:
        database = server.new_database()
        uri = server.uri(database)

A server answers on a unix socket (nobody is asked for a password there) and on a port of 127.0.0.1 (as `USER`, with
`PASSWORD`). The fixtures are `postgresql`, a server for each process of tests, and `postgresql_uri`, a new database.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.support.patience import PATIENCE

#: The owner of each database of the tests, who is not a superuser.
USER, PASSWORD = 'hitcounter', 'secret'

ADMINISTRATOR = 'postgres'

#: Nothing is lost when its processes are killed; what fsync is for is a machine that loses its power.
FAST = {'fsync': 'off'}

#: As PostgreSQL is delivered.
DURABLE: dict[str, str] = {}

_SETTINGS = {
    'max_connections': '100',
    'shared_buffers': '32MB',
    'wal_level': 'replica',
    'wal_log_hints': 'on',  # for pg_rewind
    'wal_keep_size': '512MB',
    'max_wal_senders': '8',
    'hot_standby': 'on',
    'wal_receiver_status_interval': '1s',
    'wal_retrieve_retry_interval': '200ms',
    'log_min_messages': 'error',  # RelStorage causes many warnings
    'log_line_prefix': '%m [%p] %q%a ',
}

_HBA = """
local all,replication all trust
host all all 0.0.0.0/0 scram-sha-256
"""


def programs() -> Path | None:
    """The folder of the newest PostgreSQL that Debian's packages have installed, if there is one."""
    folders = [file.parent for file in Path('/usr/lib/postgresql').glob('*/bin/initdb')]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


def why_not() -> str | None:
    """Why there cannot be a PostgreSQL here."""
    if programs() is None:
        return 'needs PostgreSQL: apt-get install postgresql'
    if os.geteuid() == 0 and not shutil.which('setpriv'):
        return 'PostgreSQL refuses to run as root, and setpriv (util-linux), which runs it as another user, is missing'
    return None


def skip_without_postgresql() -> None:
    if reason := why_not():
        pytest.skip(reason)
    pytest.importorskip('relstorage', reason='needs RelStorage: pip install hitcounter-agi[postgresql]')
    pytest.importorskip('psycopg2', reason='needs psycopg2: pip install hitcounter-agi[postgresql]')


class PostgreSQL:
    """One PostgreSQL, running. Its files are in `folder`/`name`, its log beside them, its socket in `folder`.

    `settings` are those of postgresql.conf, `inside` is a command that runs another, such as `ip netns exec`,
    and `listen` are the addresses it listens on. `host` is where others reach it. `under` is another such command, for
    the server alone and as its user.
    """

    def __init__(
        self,
        folder: Path,
        name: str = 'primary',
        *,
        settings: dict[str, str] = FAST,
        inside: tuple[str, ...] = (),
        host: str = '127.0.0.1',
        under: tuple[str, ...] = (),
    ) -> None:
        self._set_up(folder, name, settings, inside, host, under)
        self._make()
        self.start()
        self.sql(f"create role {USER} login password '{PASSWORD}'")

    def _set_up(
        self,
        folder: Path,
        name: str,
        settings: dict[str, str],
        inside: tuple[str, ...],
        host: str,
        under: tuple[str, ...] = (),
    ) -> None:
        self.folder, self.name, self.host = folder, name, host
        self.port = free_port()
        self.files = folder / name
        self.settings = {
            **_SETTINGS,
            **settings,
            'port': str(self.port),
            'listen_addresses': host,
            'unix_socket_directories': str(folder),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self._inside, self._under = inside, under
        self._programs = programs()
        assert self._programs
        if os.geteuid() == 0:
            os.chown(folder, *run_as())

    def _make(self) -> None:
        password = self.folder / 'password'
        password.write_text(f'{PASSWORD}\n')
        self._run('initdb', '--pgdata', self.files, '--username', ADMINISTRATOR, '--pwfile', password, *_INITDB)
        (self.files / 'pg_hba.conf').write_text(_HBA)

    @classmethod
    def _standby_of(cls, primary: PostgreSQL, name: str, inside: tuple[str, ...], host: str) -> PostgreSQL:
        standby = cls.__new__(cls)
        own = {'port', 'listen_addresses', 'unix_socket_directories', 'synchronous_standby_names'}
        settings = {setting: value for setting, value in primary.settings.items() if setting not in own}
        standby._set_up(primary.folder, name, settings, inside, host)
        standby._copy(primary)
        return standby

    def new_standby(
        self, name: str = 'standby', *, inside: tuple[str, ...] = (), host: str = '127.0.0.1'
    ) -> PostgreSQL:
        """A synchronous standby, made by pg_basebackup and running. No commit is answered before it has it, too."""
        standby = self._standby_of(self, name, inside, host)
        standby.start()
        self.wait_for(standby)
        return standby

    def wait_for(self, standby: PostgreSQL | None) -> None:
        """Make this the standby whose answers commits wait for, and wait until it has what is there; or none."""
        self.configure(synchronous_standby_names=standby.name if standby else '')
        if standby:
            until(lambda: standby.name in self.synchronous_standbys(), f'{standby.name} is in step:\n{standby.log}')

    def synchronous_standbys(self) -> list[str]:
        """The names of the standbys that are in step, and that commits wait for."""
        rows = self.sql("select application_name from pg_stat_replication where sync_state = 'sync'")
        return [name for (name,) in rows]

    def configure(self, **settings: str) -> None:
        """Change settings of postgresql.conf; a running server takes them up at once, if it can without a restart."""
        self.settings.update(settings)
        lines = [f"{name} = '{value}'\n" for name, value in self.settings.items()]
        (self.files / 'postgresql.conf').write_text(''.join(lines))
        if self.is_running:
            assert self.process
            self.process.send_signal(signal.SIGHUP)

    def listen(self, host: str) -> None:
        """Be reached at another address of this machine from now on."""
        self.host = host
        self.stop()
        self.configure(listen_addresses=host)
        self.start()

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> str:
        return (self.folder / f'{self.name}.log').read_text(errors='replace')

    @property
    def pids(self) -> list[int]:
        """Of all of its processes; the first is the one that starts the others."""
        assert self.process
        return [self.process.pid, *children(self.process.pid)]

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.configure()
        command = [*self._inside, *as_user(), *self._under, f'{self._programs}/postgres', '-D', str(self.files)]
        with (self.folder / f'{self.name}.log').open('ab') as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=plain_environment(),
                start_new_session=True,
            )
        until(self._answers, f'{self.name} answers')

    def _answers(self) -> bool:
        """Whether its file says so, the eighth line of which is its state."""
        assert self.process
        assert self.process.poll() is None, f'{self.name} has ended:\n{self.log}'
        try:
            lines = (self.files / 'postmaster.pid').read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(self.process.pid) and lines[7].strip() in ('ready', 'standby')

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop it: SIGINT ends the sessions, SIGTERM waits for them, SIGQUIT is a crash."""
        assert self.process
        self.process.send_signal(number)
        self.process.wait(PATIENCE)

    def restart(self) -> None:
        self.stop()
        self.start()

    def kill(self) -> None:
        """Kill all of its processes, with SIGKILL, and wait until they are gone."""
        if not self.is_running:
            return
        assert self.process
        self.process.send_signal(signal.SIGSTOP)  # or it would start others meanwhile
        pids = self.pids
        signal_all(pids, signal.SIGKILL)
        self.process.wait(PATIENCE)
        until(lambda: not any(map(is_alive, pids)), f'the processes of {self.name} are gone')

    def pause(self) -> None:
        """Stop all of its processes, with SIGSTOP, as a machine that hangs."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)
        signal_all(self.pids, signal.SIGSTOP)

    def resume(self) -> None:
        signal_all(reversed(self.pids), signal.SIGCONT)

    def close(self) -> None:
        self.kill()

    def promote(self) -> None:
        """Make a primary of a standby, and wait until it takes changes."""
        self.begin_to_promote()
        until(lambda: self.is_primary, f'{self.name} is promoted:\n{self.log}')

    def begin_to_promote(self) -> None:
        self.sql('select pg_promote(wait => false)')

    @property
    def is_primary(self) -> bool:
        """Whether it takes changes."""
        ((is_in_recovery,),) = self.sql('select pg_is_in_recovery()')
        return not is_in_recovery

    def follow(self, primary: PostgreSQL, *, synchronous: bool = True) -> None:
        """Make a standby of one that was killed or stopped, by pg_rewind or, where that cannot be, from the start."""
        assert not self.is_running
        primary.sql('checkpoint')  # or pg_rewind would not see that it was promoted
        try:
            self._run('pg_rewind', '--target-pgdata', self.files, '--source-server', primary.conninfo('postgres'))
        except subprocess.CalledProcessError:
            shutil.rmtree(self.files)
            self._copy(primary)
        else:
            self._be_standby_of(primary)
        self.start()
        if synchronous:
            primary.wait_for(self)

    def _copy(self, primary: PostgreSQL) -> None:
        self._run('pg_basebackup', '--pgdata', self.files, '--checkpoint=fast', '--dbname', primary.conninfo(''))
        self._be_standby_of(primary)

    def _be_standby_of(self, primary: PostgreSQL) -> None:
        (self.files / 'standby.signal').touch()
        self.settings.pop('synchronous_standby_names', None)
        self.settings['primary_conninfo'] = f'{primary.conninfo("")} application_name={self.name}'

    def conninfo(self, database: str, user: str = ADMINISTRATOR) -> str:
        """Where libpq finds it, by its socket."""
        where = f'host={self.folder} port={self.port} user={user}'
        return f'{where} dbname={database}' if database else where

    def sql(self, statement: str, *values: object, database: str = 'postgres') -> list[tuple[Any, ...]]:
        """Run a statement as the superuser, in a session and a transaction of its own; its rows.

        A synchronous standby, too, shows what it did.
        """
        import psycopg2

        options = '-c synchronous_commit=remote_apply'
        with closing(psycopg2.connect(self.conninfo(database), connect_timeout=10, options=options)) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(statement, values or None)
            return list(cursor.fetchall()) if cursor.description else []

    def new_database(self) -> str:
        """Make a database, empty, which is `USER`'s; its name."""
        name = f'test_{next(_names)}'
        self.sql(f'create database {name} owner {USER}')
        return name

    def drop(self, database: str) -> None:
        """Remove a database, and end all sessions on it."""
        self.sql(f'drop database {database} with (force)')

    def end_sessions(self, condition: str, database: str = 'postgres') -> int:
        """End the sessions of pg_stat_activity of which this holds, with pg_terminate_backend; how many there were."""
        query = (
            f'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and ({condition})'
        )
        return len(self.sql(query, database=database))

    def uri(
        self, database: str, *others: PostgreSQL, user: str = USER, password: str = PASSWORD, **options: str
    ) -> str:
        """The URI of a database over TCP; of `others`, too, one of which may be the primary."""
        hosts = ','.join(f'{server.host}:{server.port}' for server in (self, *others))
        if others:
            options = {'target_session_attrs': 'read-write', **options}
        return f'postgresql://{user}:{quote(password, safe="")}@{hosts}/{database}' + _query(options)

    def socket_uri(self, database: str, **options: str) -> str:
        """The URI of a database over the unix socket, for which nobody needs a password."""
        return f'postgresql://{USER}@/{database}' + _query(
            {'host': str(self.folder), 'port': str(self.port), **options}
        )

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [*as_user(), f'{self._programs}/{program}', *map(str, arguments)]
        with (self.folder / f'{self.name}.log').open('ab') as log:
            subprocess.run(
                command, check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=plain_environment(), cwd='/'
            )


_INITDB = ('--locale=C', '--encoding=UTF8', '--auth=trust', '--no-sync', '--no-instructions')

_names = itertools.count(1)


def _query(options: dict[str, str]) -> str:
    return f'?{urlencode(options)}' if options else ''


def run_as() -> tuple[int, int]:
    """Who runs a PostgreSQL that root starts, as user and group."""
    for name in ('postgres', 'nobody'):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return user.pw_uid, user.pw_gid
    raise KeyError('postgres or nobody')


def as_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    user, group = run_as()
    return ['setpriv', f'--reuid={user}', f'--regid={group}', '--clear-groups']


def plain_environment() -> dict[str, str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(('PG', 'LC_', 'LANG'))}
    return {**variables, 'LC_ALL': 'C'}


def free_port() -> int:
    """A port of nobody, below those that the system gives to whoever connects."""
    for _ in range(100):
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                trial.bind(('127.0.0.1', port))
                return port
    raise OSError('there is not a free port from 20000 to 31999')


def children(parent: int) -> list[int]:
    return [pid for pid in map(int, filter(str.isdecimal, os.listdir('/proc'))) if _status(pid)[1] == parent]


def is_alive(pid: int) -> bool:
    return _status(pid)[0] not in ('', 'Z', 'X')


def _status(pid: int) -> tuple[str, int]:
    """The letter of a process's state, empty if there is none, and its parent."""
    try:
        state, parent, *_ = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return '', 0
    return state, int(parent)


def signal_all(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def until(condition: Any, what: str, every: float = 0.02) -> None:
    """Ask again and again, as PostgreSQL says it to nobody."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f'waited in vain until {what}'
        time.sleep(every)


@contextlib.contextmanager
def folder_for_postgresql() -> Iterator[Path]:
    """A folder whose path is short enough for a socket, and that the user of PostgreSQL can enter."""
    for parent in ('/tmp', '/var/tmp', '/dev/shm'):
        if os.access(parent, os.W_OK | os.X_OK):
            with tempfile.TemporaryDirectory(prefix='pg-', dir=parent) as name:
                os.chmod(name, 0o755)
                yield Path(name)
            return
    pytest.skip('there is not a temporary folder that other users can enter')


@pytest.fixture(scope='session')
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL that the tests of this process share. A test that stops it or kills it makes one of its own."""
    skip_without_postgresql()
    with folder_for_postgresql() as folder, closing(PostgreSQL(folder)) as server:
        yield server


@pytest.fixture(scope='module')
def own_postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL that only the tests of this module use, which may stop it."""
    skip_without_postgresql()
    with folder_for_postgresql() as folder, closing(PostgreSQL(folder)) as server:
        yield server


@pytest.fixture
def postgresql_database(postgresql: PostgreSQL) -> Iterator[str]:
    """The name of a new, empty database."""
    name = postgresql.new_database()
    yield name
    postgresql.drop(name)


@pytest.fixture
def postgresql_uri(postgresql: PostgreSQL, postgresql_database: str) -> str:
    """The URI of a new, empty database, with a password."""
    return postgresql.uri(postgresql_database)
