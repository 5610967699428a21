"""What docs/cluster.md says of a database on PostgreSQL: how it is backed up, restored, and filled from a file."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.postgresql import USER, PostgreSQL, programs

if TYPE_CHECKING:
    from tests.support.servers import Run, Start


def _pg(program: str, postgresql: PostgreSQL, database: str, *arguments: str | Path) -> None:
    """Run a program of PostgreSQL, as the owner of the database."""
    folder = programs()
    assert folder
    where = postgresql.conninfo(database, USER)
    done = subprocess.run(
        [folder / program, '--dbname', where, *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, '')


def test_a_dump_that_is_made_while_calls_come_in_is_restored_whole_and_the_count_goes_on(
    start: Start, postgresql: PostgreSQL, postgresql_uri: str, postgresql_database: str, run: Run, tmp_path: Path
) -> None:
    server = start(at=postgresql_uri)
    for number in range(1, 6):
        assert server.number() == number
    dump = tmp_path / 'hits.dump'
    _pg('pg_dump', postgresql, postgresql_database, '--format=custom', '--file', dump)
    before = run('main', 'export', '--storage', postgresql_uri, '-', '--format', 'csv').stdout
    assert server.number() == 6
    server.stop()

    restored = postgresql.new_database()
    _pg('pg_restore', postgresql, restored, '--exit-on-error', dump)

    uri = postgresql.uri(restored)
    assert before.count('\n') == 6
    assert run('main', 'export', '--storage', uri, '-', '--format', 'csv').stdout == before
    verified = run('main', 'verify', '--storage', uri)
    assert (verified.returncode, verified.stderr) == (0, '')
    assert int(verified.stdout.split()[0]) > 5, verified.stdout  # objects
    assert start(at=uri).number() == 6
    postgresql.drop(restored)


def test_the_calls_of_a_file_move_to_postgresql_by_an_export_and_the_count_goes_on(
    start: Start, counted: None, storage: str, postgresql_uri: str, run: Run
) -> None:
    exported = run('main', 'export', '--storage', storage, '--forgotten', '--format', 'csv', '-').stdout
    imported = run('main', 'import', '--storage', postgresql_uri, '--format', 'csv', '-', input=exported)
    assert imported.returncode == 0, imported.stderr
    assert exported.count('\n') == 3
    assert run('main', 'export', '--storage', postgresql_uri, '--format', 'csv', '-').stdout == exported
    assert start(at=postgresql_uri).number() == 3
