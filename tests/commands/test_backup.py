"""hitcounter backup and restore, as processes of their own."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import ZODB

from hitcounter.hits import HitCounter
from hitcounter.lines.component import Lines
from hitcounter.state import ReadConnection, State, open_database
from hitcounter.state.storage.guarded import GuardedFile
from tests.support.outages import be_impatient
from tests.support.servers import BOB

if TYPE_CHECKING:
    from tests.support.servers import Run, ServerProcess, Start


def test_backups_are_made_beside_the_server_and_restored_byte_by_byte(
    hitcounter: Run, server: ServerProcess, tmp_path: Path
) -> None:
    path, lost = tmp_path / 'hits.fs', tmp_path / 'lost.fs'
    assert server.number() == 1
    full = hitcounter('backup', 'backups')
    assert server.number() == 2
    added = hitcounter('backup', 'backups')
    again = hitcounter('backup', 'backups')
    assert [done.returncode for done in (full, added, again)] == [0, 0, 0]
    assert full.stdout.endswith('.fs: full, verified\n')
    assert added.stdout.endswith('.deltafs: incremental, verified\n')
    assert again.stdout.endswith('.deltafs: nothing new, verified\n')

    refused = hitcounter('restore', 'backups')
    assert (refused.returncode, refused.stdout) == (1, '')
    assert 'is open in another process: stop that one' in refused.stderr

    server.stop()
    before = path.read_bytes()
    refused = hitcounter('restore', 'backups')
    assert (refused.returncode, refused.stdout) == (1, '')
    assert 'already exists: move it away' in refused.stderr
    assert path.read_bytes() == before

    os.rename(path, lost)
    restored = hitcounter('restore', 'backups')
    assert (restored.returncode, restored.stdout) == (0, f'{path}: {len(before):,} bytes restored, verified\n')
    assert path.read_bytes() == before
    assert hitcounter('shell', '-c', 'print(hits.count("31415"))').stdout == '2\n'


def test_what_cannot_be_backed_up_or_restored_is_said_in_a_sentence(hitcounter: Run, tmp_path: Path) -> None:
    for arguments, said in [
        (('backup', 'backups'), 'is not a database yet: name the file of one'),
        (('restore', 'backups'), 'is not a folder: name the folder of the backups'),
        (('backup', 'backups', '--storage', 'hits.fs'), "'hits.fs' is not a URI of a database: write it like file:"),
        (('backup', 'backups', '--storage', 'memory:'), "'memory:' is not a file: use what its own storage offers"),
    ]:
        done = hitcounter(*arguments)
        assert (done.returncode, done.stdout) == (1, '')
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert hitcounter('restore').returncode == 2
    assert not (tmp_path / 'hits.fs').exists()


@pytest.mark.parametrize('newer', [False, True], ids=['the server is behind', 'the server has stored more since'])
def test_a_process_that_stays_connected_over_a_restore_sees_what_was_restored(
    hitcounter: Run, start: Start, storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newer: bool
) -> None:
    be_impatient(monkeypatch)
    path, server = tmp_path / 'hits.fs', start()
    assert server.number() == 1
    assert hitcounter('backup', 'backups').returncode == 0
    assert server.number() == 2
    with (
        open_database(storage) as database,
        ReadConnection(database.db) as session,
        State(database, [HitCounter, Lines]) as state,
    ):
        assert state[HitCounter].hit('31415', BOB) == 3
        assert session.root['hits'].count('31415') == 2
        session.refresh()
        assert session.root['hits'].count('31415') == 3
        server.stop()
        os.rename(path, tmp_path / 'lost.fs')
        assert hitcounter('restore', 'backups').returncode == 0
        if newer:
            with closing(ZODB.DB(GuardedFile(str(path)))) as alone, alone.transaction() as connection:
                connection.root()['other'] = 1
        server = start()

        session.refresh()
        assert session.root['hits'].count('31415') == 1
        assert state[HitCounter].count('31415') == 1
        assert state[HitCounter].call('31415', 1).caller.unique_id != BOB.unique_id
        assert state[HitCounter].hit('31415', BOB) == 2
        assert server.number() == 3
        session.refresh()
        assert session.root['hits'].count('31415') == 3
