"""The commands on a database on PostgreSQL: each works, or says what to use instead."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hitcounter.commands.main import main
from hitcounter.errors import PackFailed, StateError
from hitcounter.hits import Caller, HitCounter
from hitcounter.shell.workspace import Workspace
from hitcounter.state import State
from hitcounter.state.storage.database import open_database
from hitcounter.state.storage.stamps import PackStamp
from hitcounter.state.upkeep.packing import pack_if_due
from tests.support.postgresql import PostgreSQL

pytest.importorskip('relstorage', reason='needs RelStorage: pip install hitcounter-agi[postgresql]')

HITS = 5


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('STATE_DIRECTORY', str(tmp_path / 'notes'))


@pytest.fixture(params=['without history', 'with history'])
def uri(postgresql_uri: str, request: Any) -> str:
    """A database with some hits."""
    uri = postgresql_uri
    if request.param == 'with history':
        uri += f'{"&" if "?" in uri else "?"}keep_history=1'
    with open_database(uri) as database, State(database, [HitCounter]) as state:
        for number in range(HITS):
            state[HitCounter].hit('31415', Caller('100', None, f'1.{number}'))
    return uri


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, arguments)


def test_verify_counts_what_is_there(uri: str) -> None:
    result = run('verify', '--storage', uri)
    assert result.exit_code == 0, result.output
    with open_database(uri, read_only=True) as database:
        assert f'{database.objects} objects checked' in result.output
        assert database.objects > HITS


def test_status_says_only_what_it_knows(uri: str) -> None:
    result = run('status', '--storage', uri)
    assert result.exit_code == 0, result.output
    assert 'last pack        none' in result.output
    assert 'backup' not in result.output
    assert ' 0 objects' not in result.output
    assert ('mark removed' in result.output) == ('keep_history' in uri)
    assert 'no description' not in result.output
    assert 'none runs, on no machine' in result.output


def test_status_names_who_uses_it(uri: str) -> None:
    with open_database(uri) as database, State(database, [HitCounter]):
        shown = json.loads(run('status', '--storage', uri, '--json').output)
        (member,) = shown['members']
        assert member['name'] in run('status', '--storage', uri).output


def test_a_pack_is_noted(uri: str) -> None:
    result = run('pack', '--storage', uri, '--pack-keep', '0d')
    assert result.exit_code == 0, result.output
    shown = json.loads(run('status', '--storage', uri, '--json').output)
    assert abs(shown['packed']['time'] - time.time()) < 60
    assert 'last pack        none' not in run('status', '--storage', uri).output


@pytest.mark.parametrize('command', ['backup', 'restore'])
def test_backups_are_left_to_postgresql(uri: str, command: str, tmp_path: Path) -> None:
    result = run(command, str(tmp_path / 'backups'), '--storage', uri)
    assert result.exit_code == 1
    assert 'pg_dump' in result.output


def test_an_export_is_imported_once(uri: str, tmp_path: Path) -> None:
    file = str(tmp_path / 'calls.jsonl')
    assert run('export', file, '--storage', uri).exit_code == 0
    assert 'already there' in run('import', file, '--storage', uri).output


def test_forget_and_migrate_work(uri: str) -> None:
    assert f'{HITS} calls forgotten' in run('forget', '--keep-calls', '0d', '--storage', uri).output
    assert 'nothing to migrate' in run('migrate', '--storage', uri).output


def test_a_migration_names_who_still_runs(uri: str) -> None:
    with open_database(uri) as database, State(database, [HitCounter]):
        result = run('migrate', '--storage', uri)
        assert result.exit_code == 1
        assert database.members()[0]['name'] in result.output


@pytest.mark.parametrize('command', [['status'], ['verify'], ['pack'], ['migrate'], ['forget', '--keep-calls', '1d']])
def test_a_postgresql_that_is_away_is_said_in_a_sentence(command: list[str]) -> None:
    result = run(*command, '--storage', 'postgres://hitcounter:secret@127.0.0.1:1/hits')
    assert result.exit_code == 1
    assert 'cannot be reached' in result.output
    assert 'secret' not in result.output
    assert len(result.output.splitlines()) == 1


def test_the_shell_shows_the_history_that_there_is(uri: str) -> None:
    with open_database(uri, read_only=True) as database, closing(Workspace(database, writes=False)) as workspace:
        if 'keep_history' in uri:
            assert len(workspace.transactions()) > HITS
            assert 'hit' in str(workspace.transactions())
        else:
            with pytest.raises(StateError, match='keeps no history'):
                workspace.transactions()
            assert len(workspace.transactions(9, workspace.session.root['hits'])) == 1


@pytest.fixture
def two(postgresql_uri: str) -> Iterator[Any]:
    with open_database(postgresql_uri) as one, open_database(postgresql_uri) as other:
        yield one, other


def test_one_of_the_servers_packs(two: Any) -> None:
    one, other = two
    with one.packing() as is_ours, other.packing() as is_the_others:
        assert is_ours
        assert not is_the_others
        pack_if_due(other, 0, 0)
        assert other.stamp(PackStamp) is None
    pack_if_due(other, 0, 0)
    assert one.stamp(PackStamp) is not None


def test_a_server_says_in_a_sentence_that_it_cannot_ask_when_it_was_packed(two: Any) -> None:
    one, _ = two
    one.dsn = 'host=127.0.0.1 port=1'  # nobody listens there
    with pytest.raises(PackFailed, match='does not answer when it was last packed'):
        pack_if_due(one, 0, 0)


def test_notes_of_others_stay(postgresql: PostgreSQL, postgresql_database: str, uri: str) -> None:
    postgresql.sql("comment on table object_state is 'not ours'", database=postgresql_database)
    assert run('pack', '--storage', uri).exit_code == 0
    assert json.loads(run('status', '--storage', uri, '--json').output)['packed']
