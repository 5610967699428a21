"""hitcounter copy: between files and PostgreSQL, whole or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hitcounter.commands.main import main
from hitcounter.hits import Caller, HitCounter
from hitcounter.state import State
from hitcounter.state.storage.database import open_as_stored, open_database
from tests.support.patience import PATIENCE

HITS = 20


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('STATE_DIRECTORY', str(tmp_path / 'notes'))


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, arguments)


def count(uri: str, hits: int = HITS) -> None:
    with open_database(uri, share=uri.startswith('file:')) as database, State(database, [HitCounter]) as state:
        for number in range(hits):
            state[HitCounter].hit('31415', Caller('100', None, f'1.{number}'))


def next_number(uri: str) -> int:
    with open_database(uri, share=uri.startswith('file:')) as database, State(database, [HitCounter]) as state:
        return state[HitCounter].hit('31415', Caller('100', None, 'next'))


@pytest.fixture
def file(tmp_path: Path) -> str:
    uri = f'file://{tmp_path}/hits.fs'
    count(uri)
    return uri


@pytest.fixture(params=['file', 'without history', 'with history'])
def target(request: Any, tmp_path: Path) -> str:
    """A target of each kind."""
    if request.param == 'file':
        return f'file://{tmp_path}/copy.fs'
    uri: str = request.getfixturevalue('postgresql_uri')
    return uri + f'{"&" if "?" in uri else "?"}keep_history=1' if request.param == 'with history' else uri


def exported(uri: str, tmp_path: Path) -> str:
    file = tmp_path / 'export.jsonl'
    file.unlink(missing_ok=True)
    assert run('export', str(file), '--storage', uri).exit_code == 0
    return file.read_text()


def test_the_copy_holds_the_same_and_goes_on_counting(file: str, target: str, tmp_path: Path) -> None:
    result = run('copy', file, target)
    assert result.exit_code == 0, result.output
    assert 'objects copied and compared' in result.output
    assert exported(file, tmp_path) == exported(target, tmp_path)
    assert run('verify', '--storage', target).exit_code == 0
    assert next_number(target) == HITS + 1
    assert next_number(file) == HITS + 1


def test_a_copy_of_a_copy_is_the_original(file: str, target: str, tmp_path: Path) -> None:
    back = f'file://{tmp_path}/back.fs'
    assert run('copy', file, target).exit_code == 0
    assert run('copy', target, back).exit_code == 0
    assert exported(file, tmp_path) == exported(back, tmp_path)


def test_history_is_copied_where_it_is_kept(file: str, postgresql_uri: str, tmp_path: Path) -> None:
    target, back = f'{postgresql_uri}?keep_history=1', f'file://{tmp_path}/back.fs'
    assert run('copy', file, target).exit_code == 0
    assert run('copy', target, back).exit_code == 0
    said = []
    for uri in (file, back):
        with open_as_stored(uri) as database:
            said.append([(found.tid, found.description) for found in database.transactions()])
    assert len(said[0]) > HITS
    assert said[0] == said[1]


def test_a_file_is_private_and_has_nothing_beside_it(file: str, tmp_path: Path) -> None:
    assert run('copy', file, f'file://{tmp_path}/new/../copy.fs').exit_code == 0
    assert (tmp_path / 'copy.fs').stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.glob('copy*')] == ['copy.fs']


def test_a_target_that_is_not_empty_is_refused(file: str, target: str) -> None:
    count(target, 1)
    result = run('copy', file, target)
    assert result.exit_code == 1
    assert 'already exists' in result.output or 'is not empty' in result.output
    assert next_number(target) == 2


def test_a_source_that_is_in_use_is_refused(file: str, target: str) -> None:
    with open_database(file, share=True):
        result = run('copy', file, target)
    assert result.exit_code == 1
    assert 'stop that one first' in result.output


def test_a_damaged_source_is_refused(file: str, target: str) -> None:
    path = Path(file.removeprefix('file://'))
    with path.open('r+b') as data:
        data.seek(path.stat().st_size // 2)
        data.write(bytes(2000))  # more than one transaction
    result = run('copy', file, target)
    assert result.exit_code == 1, result.output
    assert 'damaged' in result.output
    assert run('status', '--storage', target).exit_code == 1


@pytest.mark.parametrize('wrong', ['memory:', 'zeo://localhost:1', 'nonsense'])
def test_what_cannot_be_a_target_is_refused(file: str, wrong: str) -> None:
    result = run('copy', file, wrong)
    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1


KILLED = """
import os, signal, sys
from contextlib import closing
from hitcounter.state.storage.database import address_of
from hitcounter.state.upkeep.copying import copy

def reach(count):
    if count == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

with closing(address_of(sys.argv[1]).open_alone()) as source, address_of(sys.argv[2]).filling() as target:
    copy(source, target, reach)
"""


@pytest.mark.parametrize('records', ['1', '5'])
def test_what_a_killed_copy_has_left_is_not_opened(file: str, target: str, tmp_path: Path, records: str) -> None:
    killed = subprocess.run([sys.executable, '-c', KILLED, file, target, records], check=False, timeout=PATIENCE)
    assert killed.returncode == -signal.SIGKILL
    for command in (['status'], ['verify'], ['pack'], ['migrate']):
        result = run(*command, '--storage', target)
        assert result.exit_code == 1
        assert 'copy again' in result.output or 'is not a database yet' in result.output
    deadline = time.monotonic() + PATIENCE  # the sessions of the killed process end
    while (result := run('copy', file, target)).exit_code and 'other processes' in result.output:
        assert time.monotonic() < deadline
    assert result.exit_code == 0, result.output
    assert exported(file, tmp_path) == exported(target, tmp_path)
    assert next_number(target) == HITS + 1


def test_a_copy_on_postgresql_that_is_begun_again_is_not_taken_for_a_loss(file: str, postgresql_uri: str) -> None:
    import psycopg2  # here, and the next, since a plain installation does not have them

    from hitcounter.state.storage.postgresql.notes import note_filling

    assert run('copy', file, postgresql_uri).exit_code == 0  # this machine has noted its last transaction
    with closing(psycopg2.connect(postgresql_uri)) as session:
        note_filling(session, is_filling=True)  # as if it had been killed at the very end
    result = run('copy', file, postgresql_uri)
    assert result.exit_code == 0, result.output
    assert next_number(postgresql_uri) == HITS + 1
