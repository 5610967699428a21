"""hitcounter pack, as a process of its own, and the packing of hitcounter-serve."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from persistent.mapping import PersistentMapping
from ZODB.Connection import TransactionMetaData

from hitcounter.state import open_database
from hitcounter.state.storage.stamps import PackStamp

if TYPE_CHECKING:
    from tests.support.servers import Run, Start


def test_it_makes_the_file_smaller_and_says_so(hitcounter: Run, count: Callable[..., None], tmp_path: Path) -> None:
    count(*['31415'] * 20)
    before = (tmp_path / 'hits.fs').stat().st_size
    done = hitcounter('pack', '--pack-keep', '0s')
    after = (tmp_path / 'hits.fs').stat().st_size
    assert (done.returncode, done.stderr) == (0, '')
    assert re.fullmatch(rf'packed: {before:,} bytes, now {after:,}, in \d+\.\d s\n', done.stdout)
    assert after < before
    assert not (tmp_path / 'hits.fs.old').exists()
    count('31415')


def test_it_works_beside_the_server_which_logs_it_and_goes_on(hitcounter: Run, start: Start, tmp_path: Path) -> None:
    server = start()
    for number in range(1, 6):
        assert server.number() == number
    done = hitcounter('pack', '--pack-keep', '0s')
    assert (done.returncode, done.stderr) == (0, '')
    logged = server.log.wait(r'packed .*/hits\.fs: (\d+) bytes, now (\d+), in')
    assert int(logged[2]) < int(logged[1])
    assert f'{int(logged[2]):,}' in done.stdout
    assert server.number() == 6
    packed = PackStamp.read(str(tmp_path / 'hits.fs'))
    assert packed is not None
    assert (packed.before, packed.after) == (int(logged[1]), int(logged[2]))


def test_the_server_packs_by_itself(start: Start) -> None:
    server = start('--pack-every', '1s', '--pack-keep', '0s')
    assert server.number() == 1
    server.log.wait(r'packed .*/hits\.fs: ', times=2)
    assert server.number() == 2


def lose_an_object(storage: str) -> None:
    """Delete an object to which another one refers."""
    with open_database(storage, share=True) as database:
        with database.db.transaction() as connection:
            connection.root()['hits'].lost = PersistentMapping()
        with database.db.transaction() as connection:
            lost = connection.root()['hits'].lost
            lost._p_activate()
            oid, serial = lost._p_oid, lost._p_serial
        transaction = TransactionMetaData()
        database.db.storage.tpc_begin(transaction)
        database.db.storage.deleteObject(oid, serial, transaction)
        database.db.storage.tpc_vote(transaction)
        database.db.storage.tpc_finish(transaction)


def test_a_reference_to_what_is_missing_is_said_and_sends_to_verify(
    hitcounter: Run, count: Callable[..., None], storage: str
) -> None:
    count('31415')
    lose_an_object(storage)
    done = hitcounter('pack', '--pack-keep', '0s')
    assert (done.returncode, done.stdout) == (1, '')
    assert re.fullmatch(
        r"Error: '.*/hits\.fs' was not packed and is as it was: an object refers to object 0x\w+, which is missing: "
        r'"hitcounter verify" lists the damage\n',
        done.stderr,
    )
    assert re.search(r'refers to object 0x\w+, which cannot be read', hitcounter('verify').stdout)


def test_the_server_says_what_its_pack_met_and_counts_on(
    start: Start, count: Callable[..., None], storage: str
) -> None:
    count('31415')
    lose_an_object(storage)
    server = start('--pack-every', '1s', '--pack-keep', '0s')
    server.log.wait(r'packing failed, and is tried again later: .* which is missing: "hitcounter verify" lists')
    assert server.number() == 2


def test_a_file_that_is_mounted_by_itself_is_not_packed(
    hitcounter: Run, count: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / 'a file.fs'
    mounted = ('unshare', '--mount', 'sh', '-c', 'mount --bind "$0" "$0" && exec "$@"', str(path))
    path.touch()
    if subprocess.run([*mounted, 'true'], check=False).returncode:
        pytest.skip('a file can be mounted here by root only, and not even by root everywhere')
    count(*['31415'] * 20)
    (tmp_path / 'hits.fs').rename(path)
    before = path.read_bytes()
    done = hitcounter('pack', '--pack-keep', '0s', '--storage', f'file:{path}', inside=mounted)
    assert (done.returncode, done.stdout) == (1, '')
    assert "a file.fs' is mounted by itself, so a packed file cannot replace it: mount its folder" in done.stderr
    assert path.read_bytes() == before


@pytest.fixture
def ahead(count: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock was ten years ahead when calls were counted."""
    count(*['31415'] * 10)
    now = time.time
    with monkeypatch.context() as wrong:
        wrong.setattr(time, 'time', lambda: now() + 3652 * 86400)
        count(*['31415'] * 10)


def test_where_the_clock_was_ahead_a_pack_names_the_date_and_the_cure(
    ahead: None, hitcounter: Run, tmp_path: Path
) -> None:
    before = (tmp_path / 'hits.fs').read_bytes()
    done = hitcounter('pack')
    assert (done.returncode, done.stdout) == (1, '')
    assert re.fullmatch(
        r'Error: .*/hits\.fs has transactions until 203\d-\d\d-\d\d \d\d:\d\d:\d\d UTC, because the clock was ahead or '
        r'is behind now: until then nothing can be packed, unless nothing of the history is kept: check the clock; '
        r'"hitcounter pack --pack-keep 0d" packs it now\n',
        done.stderr,
    )
    assert (tmp_path / 'hits.fs').read_bytes() == before

    done = hitcounter('pack', '--pack-keep', '0d')
    assert (done.returncode, done.stderr) == (0, '')
    assert (tmp_path / 'hits.fs').stat().st_size < len(before) / 2
    assert hitcounter('verify').returncode == 0
    assert hitcounter('shell', '-c', 'print(hits.count("31415"))').stdout == '20\n'


def test_where_the_clock_was_ahead_the_server_says_so_and_counts(ahead: None, start: Start, hitcounter: Run) -> None:
    server = start()
    server.log.wait('WARNING .* has transactions until 203.*"hitcounter pack --pack-keep 0d" packs it now')
    assert server.number() == 21
    done = hitcounter('pack', '--pack-keep', '0d')
    assert (done.returncode, done.stderr) == (0, '')
    assert server.number() == 22
    assert server.log.lines('CRITICAL|seconds in the future') == []


def test_where_the_clock_was_ahead_the_status_names_the_date_and_the_cure(ahead: None, hitcounter: Run) -> None:
    done = hitcounter('status')
    assert done.stderr == ''
    assert re.search(r'^next pack +not before 203.* UTC, .*"hitcounter pack --pack-keep 0d" p', done.stdout, re.M)
    assert json.loads(hitcounter('status', '--json').stdout)['packs_from'] > time.time() + 3600 * 86400


def test_where_the_clock_was_ahead_the_shell_says_nothing_of_it(ahead: None, hitcounter: Run) -> None:
    for options in ((), ('--write',)):
        done = hitcounter('shell', *options, '-c', 'print(hits.count("31415"))')
        assert (done.stdout, done.stderr) == ('20\n', '')


def test_a_duration_without_a_unit_is_refused(hitcounter: Run) -> None:
    done = hitcounter('pack', '--pack-keep', '7')
    assert done.returncode == 2
    assert "'7' is not a duration: write a number and s, m, h, d or w, as in 12h or 90d" in done.stderr


def test_a_database_that_is_not_there_is_not_packed(hitcounter: Run) -> None:
    done = hitcounter('pack')
    assert (done.returncode, done.stdout) == (1, '')
    assert 'is not a database yet' in done.stderr
