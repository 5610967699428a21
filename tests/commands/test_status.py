"""hitcounter status, as a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hitcounter.state import open_database
from tests.support.places import FROZEN
from tests.support.servers import ServerProcess

if TYPE_CHECKING:
    from tests.support.servers import Run, Start


def test_people_are_told_of_a_database_that_nobody_has_open(
    hitcounter: Run, count: Callable[..., None], tmp_path: Path
) -> None:
    count('31415')
    done = hitcounter('status')
    told = {line[:16].strip(): line[17:] for line in done.stdout.splitlines()}
    assert (done.returncode, done.stderr) == (0, '')
    assert list(told) == ['database', 'size', 'last change', 'schemas', 'last pack', 'last backup', 'server']
    assert told['database'] == f'{tmp_path}/hits.fs, as it was when opened, read only'
    assert told['size'] == f'{(tmp_path / "hits.fs").stat().st_size:,} bytes, 12 objects'
    assert told['last change'].endswith(' UTC, hits.hit')
    assert (told['schemas'], told['last pack'], told['last backup'], told['server']) == (
        'hits 2',
        'none',
        'none',
        'not running',
    )


def test_programs_are_told_of_the_server_and_who_works_with_it(
    hitcounter: Run, server: ServerProcess, storage: str, tmp_path: Path
) -> None:
    server.number()
    assert hitcounter('pack', '--pack-keep', '0s').returncode == 0
    assert hitcounter('backup', 'backups').returncode == 0
    with open_database(storage):
        done = hitcounter('status', '--json')
        people = hitcounter('status').stdout
    assert done.stderr == ''
    told = json.loads(done.stdout)
    assert told['server']['processes'][0]['id'] == os.getpid()
    assert told['server']['processes'][0]['command'].startswith(' '.join(sys.orig_argv[:3]))
    assert f'connected        {os.getpid()} ' in people
    assert (
        told['bytes'] == told['packed']['after'] == told['backed_up']['size'] == (tmp_path / 'hits.fs').stat().st_size
    )
    assert told['schemas'] == {'hits': 2, 'lines': 1}
    assert told['last_transaction']['what'] == 'hits.hit'
    for moment in (
        told['last_transaction']['time'],
        told['packed']['time'],
        told['backed_up']['time'],
        told['server']['started'],
    ):
        assert time.time() - 60 < moment < time.time()
    assert 'running since 20' in people
    assert Path(told['backed_up']['file']).parent == tmp_path / 'backups'


IN_A_CONTAINER = ('unshare', '--pid', '--fork', '--kill-child', '--mount-proc')


def test_from_a_container_the_processes_are_those_that_the_server_sees(
    hitcounter: Run, server: ServerProcess, storage: str
) -> None:
    if subprocess.run([*IN_A_CONTAINER, 'true'], check=False).returncode:
        pytest.skip('processes can be hidden here by root only, and not even by root everywhere')
    with open_database(storage):
        done = hitcounter('status', '--json', inside=IN_A_CONTAINER)
    told = json.loads(done.stdout)
    assert [process['id'] for process in told['server']['processes']] == [os.getpid()]
    assert told['server']['processes'][0]['command'].startswith(' '.join(sys.orig_argv[:3]))
    assert told['server']['unseen'] == 0
    assert 'shared by another process (with id' in told['database']


def test_a_server_in_a_container_counts_the_processes_that_it_cannot_see(
    hitcounter: Run, storage: str, environment: dict[str, str], tmp_path: Path
) -> None:
    if subprocess.run([*IN_A_CONTAINER, 'true'], check=False).returncode:
        pytest.skip('processes can be hidden here by root only, and not even by root everywhere')
    server = ServerProcess(storage, (), environment, tmp_path, IN_A_CONTAINER)
    try:
        server.wait_until_ready()
        with open_database(storage):
            people = hitcounter('status').stdout
            told = json.loads(hitcounter('status', '--json').stdout)
    finally:
        server.kill()
    assert (told['server']['processes'], told['server']['unseen']) == ([], 1)
    assert 'connected        1 in containers, which the server cannot see' in people


def test_times_are_right_whatever_the_time_zones_of_server_and_reader(
    hitcounter: Run, start: Start, tmp_path: Path
) -> None:
    before = time.time()
    start(env={'TZ': 'Pacific/Kiritimati'}).number()
    assert hitcounter('backup', 'backups', env={'TZ': 'Asia/Kathmandu'}).returncode == 0

    for zone in 'America/St_Johns', 'Pacific/Kiritimati', 'UTC':
        told = json.loads(hitcounter('status', '--json', env={'TZ': zone}).stdout)
        people = hitcounter('status', env={'TZ': zone}).stdout
        for moment in told['server']['started'], told['last_transaction']['time'], told['backed_up']['time']:
            assert before < moment < time.time()
            assert f'{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC' in people


def test_a_database_that_is_not_there_has_none(hitcounter: Run) -> None:
    done = hitcounter('status')
    assert (done.returncode, done.stdout) == (1, '')
    assert 'is not a database yet' in done.stderr


def test_a_migration_that_is_due_is_said_to_people_and_to_programs(hitcounter: Run, tmp_path: Path) -> None:
    shutil.copy(FROZEN / 'hits-1.fs', tmp_path / 'hits.fs')
    told = json.loads(hitcounter('status', '--json').stdout)
    assert told['migration_due'] is True
    assert told['refusal'].startswith("the database holds schema 1 of 'hits', and this program needs ")
    done = hitcounter('status')
    assert (done.returncode, done.stderr) == (0, '')
    assert f'migration due    {told["refusal"]}\n' in done.stdout


def test_a_database_that_no_migration_would_help_is_said_not_to_fit(hitcounter: Run, tmp_path: Path) -> None:
    shutil.copy(FROZEN / 'polls-1.fs', tmp_path / 'hits.fs')
    told = json.loads(hitcounter('status', '--json').stdout)
    assert told['migration_due'] is False
    assert "does not fit     the database holds the component 'polls', whose code" in hitcounter('status').stdout


def test_a_database_that_fits_has_no_migration_due(hitcounter: Run, count: Callable[..., None]) -> None:
    count('31415')
    told = json.loads(hitcounter('status', '--json').stdout)
    assert (told['migration_due'], told['refusal']) == (False, None)


def test_code_that_keeps_the_root_from_being_read_is_said_in_a_sentence(
    hitcounter: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    shutil.copy(FROZEN / 'polls-1.fs', tmp_path / 'hits.fs')
    (tmp_path / 'ballots.py').write_text('import sys\nsys.nosuch\n')
    done = hitcounter('status', env={'PYTHONPATH': f'{tmp_path}:{environment["PYTHONPATH"]}'})
    assert (done.returncode, done.stdout) == (1, '')
    assert done.stderr.splitlines()[-1] == (
        "Error: the root of the database cannot be read, because code fails (AttributeError: module 'sys' has no "
        f"attribute 'nosuch', in {tmp_path}/ballots.py, line 2): correct that code"
    )
