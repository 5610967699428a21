"""hitcounter migrate on a real PostgreSQL, beside the processes that use the database: each is a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.patience import PATIENCE
from tests.support.places import FROZEN
from tests.support.postgresql import PostgreSQL, until

if TYPE_CHECKING:
    from tests.support.servers import Run, Start

_NEEDED = """\
Error: the database holds schema 1 of 'polls', and this program needs 3: run "hitcounter migrate" (try --status and \
--dry-run first)
"""

_WAITING = "select pid from pg_locks where locktype = 'advisory' and not granted"

Version = Callable[[int], dict[str, str]]


@pytest.fixture
def storage(postgresql_uri: str) -> str:
    return postgresql_uri


@pytest.fixture
def version(environment: dict[str, str]) -> Version:
    """The variables of a process that has the polls of that version installed."""
    return lambda version: {
        'PYTHONPATH': os.pathsep.join([str(FROZEN / 'polls' / str(version)), environment['PYTHONPATH']])
    }


def test_a_migration_names_all_servers_that_run_and_is_done_once_they_have_stopped(
    hitcounter: Run, start: Start, version: Version
) -> None:
    old = [start(env=version(1)) for _ in range(2)]
    assert [server.number() for server in old] == [1, 2]
    shown = hitcounter('status', env=version(1)).stdout
    refused = hitcounter('migrate', '--no-backup', env=version(3))
    assert (refused.returncode, refused.stdout) == (1, '')
    for server in old:
        assert f' {server.process.pid} since 20' in shown
        assert f' {server.process.pid} since 20' in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert old[0].number() == 3
    for server in old:
        assert server.stop() == 0
    tried = hitcounter('serve', '--listen', '127.0.0.1:0', env=version(3))
    assert (tried.returncode, tried.stderr[-len(_NEEDED) :]) == (1, _NEEDED)

    done = hitcounter('migrate', '--no-backup', env=version(3))

    assert (done.returncode, done.stdout.splitlines()[0], done.stderr) == (0, 'polls: schema 1 to 3', '')
    assert start(env=version(3)).number() == 4


@pytest.fixture
def migration(
    start: Start, version: Version, storage: str, environment: Mapping[str, str], tmp_path: Path
) -> Iterator[subprocess.Popen[str]]:
    """A migration that is under way, and goes on when a line is written to it."""
    assert start(env=version(1)).stop() == 0
    site = shutil.copytree(FROZEN / 'polls' / '3', tmp_path / 'site')
    code = (site / 'polls.py').read_text()
    step = '    def count_by_themselves(self) -> None:\n'
    assert step in code
    waiting = f'{step}        import sys; print("under way", flush=True); sys.stdin.readline()\n'
    (site / 'polls.py').write_text(code.replace(step, waiting))
    search = os.pathsep.join([str(site), environment['PYTHONPATH']])
    with subprocess.Popen(
        [sys.executable, '-c', 'from hitcounter.commands.main import main; main()', 'migrate', '--no-backup'],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**environment, 'PYTHONPATH': search, 'HITCOUNTER_STORAGE': storage},
        cwd=tmp_path,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == 'under way\n'
        yield process
        process.kill()


def finish(migration: subprocess.Popen[str]) -> None:
    said, _ = migration.communicate('\n', PATIENCE)
    assert (migration.returncode, said.splitlines()[0]) == (0, 'polls: schema 1 to 3')


def test_what_starts_during_a_migration_is_refused_and_told_of_it(
    hitcounter: Run, start: Start, run: Run, version: Version, migration: subprocess.Popen[str], storage: str
) -> None:
    for refused in (
        hitcounter('serve', '--listen', '127.0.0.1:0', env=version(3)),
        hitcounter('migrate', '--no-backup', env=version(3)),
        run('shell', '--storage', storage, '--write', '-c', 'print(hits)', env=version(1)),
    ):
        assert refused.returncode == 1
        said = refused.stderr.splitlines()[-1]
        assert 'the database is used by other processes (' in said
        assert f' {migration.pid} since 20' in said
        assert 'Traceback' not in refused.stderr
    finish(migration)
    assert start(env=version(3)).number() == 1


def test_a_server_that_starts_as_a_migration_ends_waits_for_that(
    start: Start,
    version: Version,
    migration: subprocess.Popen[str],
    postgresql: PostgreSQL,
    postgresql_database: str,
) -> None:
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(start, env=version(3))
        until(lambda: postgresql.sql(_WAITING, database=postgresql_database), 'the server waits')
        finish(migration)
        assert starting.result().number() == 1
