"""Two machines and a witness, all three on this one: etcd and Patroni, set up by the very files in docs/cluster."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.request
from collections import defaultdict
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.places import TREE
from tests.support.postgresql import (
    as_user,
    children,
    free_port,
    is_alive,
    plain_environment,
    programs,
    run_as,
    signal_all,
    skip_without_postgresql,
    until,
)

FILES = TREE / 'docs' / 'cluster'

#: The owner of the database.
USER, PASSWORD = 'hits', 'secret'

#: What each of the two machines with PostgreSQL is to the other, when both are in step.
IN_STEP = ['leader', 'sync_standby']

_PACKAGES = {'etcd': 'etcd-server', 'patroni': 'patroni python3-etcd', 'patronictl': 'patroni'}


def skip_without_patroni() -> None:
    skip_without_postgresql()
    for command, packages in _PACKAGES.items():
        if not shutil.which(command):
            pytest.skip(f'needs {command}: apt-get install --no-install-recommends {packages}')


class Machine:
    """One of the three, named db`number`: etcd and, except on the witness, Patroni with its PostgreSQL."""

    def __init__(self, number: int, cluster: Patroni) -> None:
        self.name = f'db{number}'
        self.files = cluster.folder / self.name
        self._cluster = cluster
        self._number = number
        self._etcd: subprocess.Popen[bytes] | None = None
        self._patroni: subprocess.Popen[bytes] | None = None
        self.configuration = cluster.folder / f'{self.name}.yml'

    @property
    def log(self) -> str:
        """What Patroni and PostgreSQL have written."""
        return self._log_of('patroni').read_text(errors='replace')

    def _log_of(self, program: str) -> Path:
        return self._cluster.folder / f'{self.name}-{program}.log'

    def start_etcd(self) -> None:
        file = _changed(
            (FILES / 'etcd').read_text(), r'(URLS=http://)192\.0\.2\.11\b', rf'\g<1>192.0.2.1{self._number}'
        )
        file = _changed(file, r'(?m)^(ETCD_NAME)=e1$', rf'\1=e{self._number}')
        file = _changed(file, '=/var/lib/etcd/hits', f'={self.files}-etcd')
        lines = [line for line in self._cluster.here(file).splitlines() if not line.startswith('#')]
        variables = dict(line.split('=', 1) for line in lines)
        self._etcd = self._start('etcd', variables)

    def start_patroni(self) -> None:
        file = _changed(
            (FILES / 'patroni.yml').read_text(),
            r'((?:listen|connect_address): 192\.0\.2\.)11\b',
            rf'\g<1>1{self._number}',
        )
        file = _changed(file, r'\bdb1\b', self.name)
        file = _changed(file, r'192\.0\.2\.0/24', '127.0.0.1/32')
        file = _changed(file, '/var/lib/postgresql/15/hits', str(self.files))
        file = _changed(file, '/var/lib/postgresql/.pgpass-patroni', f'{self.files}-passwords')
        file = _changed(file, '/usr/lib/postgresql/15/bin', str(programs()))
        file = _changed(file, 'mode: automatic', "mode: 'off'")  # it would restart this machine
        socket = f'  parameters: {{unix_socket_directories: {self._cluster.folder}}}\n'
        file = _changed(file, r'(?m)^postgresql:\n', rf'\g<0>{socket}')
        self.configuration.write_text(self._cluster.here(file))
        self._patroni = self._start('patroni', {}, str(self.configuration))

    def _start(self, program: str, variables: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
        environment = {**plain_environment(), 'HOME': str(self._cluster.folder), **variables}
        with self._log_of(program).open('ab') as log:
            return subprocess.Popen(
                [*as_user(), program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=self._cluster.folder,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kill all of its processes, with SIGKILL, as if its power had failed; it may be started again."""
        self.kill_etcd()
        if self._patroni is None:
            return
        first = [self._patroni.pid, *self._postgresql()]
        signal_all(first, signal.SIGSTOP)  # or they would start others meanwhile
        pids = [*first, *(child for pid in first for child in children(pid))]
        signal_all(pids, signal.SIGKILL)
        self._patroni.wait()
        until(lambda: not any(map(is_alive, pids)), f'the processes of {self.name} are gone')

    def kill_etcd(self) -> None:
        if self._etcd is not None:
            self._etcd.kill()
            self._etcd.wait()

    def _postgresql(self) -> list[int]:
        """The process of PostgreSQL that starts its others, which is not Patroni's child, if it runs."""
        with suppress(FileNotFoundError, IndexError, ValueError):
            pid = int((self.files / 'postmaster.pid').read_text().splitlines()[0])
            with suppress(FileNotFoundError, ProcessLookupError):
                return [pid] if str(self.files).encode() in Path(f'/proc/{pid}/cmdline').read_bytes() else []
        return []

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as the superuser; the rows of the last."""
        import psycopg2

        host, port = self._cluster.here(f'192.0.2.1{self._number}:5432').split(':')
        (password,) = re.findall(r'username: postgres, password: ([\w-]+)', (FILES / 'patroni.yml').read_text())
        where = {'host': host, 'port': port, 'user': 'postgres', 'password': password, 'dbname': 'postgres'}
        with closing(psycopg2.connect(**where, connect_timeout=5)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []

    @property
    def takes_changes(self) -> bool:
        from psycopg2 import OperationalError

        try:
            return self.sql('select pg_is_in_recovery()') == [(False,)]
        except OperationalError:  # it starts or stops
            return False

    def members(self) -> list[dict[str, Any]]:
        """The two, as its Patroni sees them; nothing if it does not answer."""
        with suppress(OSError, ValueError):
            address = self._cluster.here(f'192.0.2.1{self._number}:8008')
            with urllib.request.urlopen(f'http://{address}/cluster', timeout=5) as answer:
                return list(json.load(answer)['members'])
        return []


class Patroni:
    """The cluster, running, with a database that is empty."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ports: dict[str, int] = defaultdict(free_port)
        if os.geteuid() == 0:
            os.chown(folder, *run_as())
        self.machines = [Machine(number, self) for number in (1, 2, 3)]
        self.databases = self.machines[:2]

    def start(self) -> None:
        for machine in self.machines:
            machine.start_etcd()
        for machine in self.databases:
            machine.start_patroni()
        self.wait_until_in_step()
        self.leader.sql(f"create role {USER} login password '{PASSWORD}'", f'create database hits owner {USER}')

    def here(self, file: str) -> str:
        """What a file says, with addresses of this machine."""
        return re.sub(r'192\.0\.2\.1[123]:\d+', lambda found: f'127.0.0.1:{self._ports[found[0]]}', file)

    @property
    def uri(self) -> str:
        password = self.folder / 'password'
        password.write_text(PASSWORD)
        return self.here(f'postgresql://{USER}@192.0.2.11:5432,192.0.2.12:5432/hits?password_file={password}')

    @property
    def leader(self) -> Machine:
        """The one whose PostgreSQL is the primary."""
        (leader,) = [machine for machine in self.databases if machine.takes_changes]
        return leader

    def wait_until_in_step(self) -> None:
        until(self._is_in_step, f'one follows the other:\n{self.logs()}', every=0.2)

    def _is_in_step(self) -> bool:
        views = [machine.members() for machine in self.databases]
        running = ('running', 'streaming')
        return all(
            sorted(member['role'] for member in view if member['state'] in running) == IN_STEP for view in views
        ) and any(machine.takes_changes for machine in self.databases)

    def switch_over(self) -> None:
        """Do what an operator does before the leader's machine is shut down."""
        command = ['patronictl', '-c', str(self.machines[0].configuration), 'switchover', '--force', 'hits']
        environment = {**plain_environment(), 'HOME': str(self.folder), 'LC_ALL': 'C.UTF-8'}
        done = subprocess.run(
            [*as_user(), *command], capture_output=True, text=True, env=environment, cwd=self.folder, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def logs(self) -> str:
        return '\n'.join(f'{file.name}:\n{file.read_text()[-5000:]}' for file in sorted(self.folder.glob('*.log')))

    def close(self) -> None:
        for machine in self.machines:
            machine.kill()


def _changed(file: str, pattern: str, to: str) -> str:
    """A file with all that matches changed, of which there must be something."""
    changed, times = re.subn(pattern, to, file)
    assert times, f'there is no {pattern} in:\n{file}'
    return changed
