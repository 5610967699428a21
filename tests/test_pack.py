"""hitcounter pack, as a process of its own, and the packing of hitcounter-serve."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hitcounter.state.notes import Packed

if TYPE_CHECKING:
    from conftest import Run, Start


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


def test_it_works_beside_the_server_which_logs_it_and_goes_on(
    hitcounter: Run, start: Start, tmp_path: Path
) -> None:
    server = start()
    for number in range(1, 6):
        assert server.number() == number
    done = hitcounter('pack', '--pack-keep', '0s')
    assert (done.returncode, done.stderr) == (0, '')
    logged = server.log.wait(r'packed .*/hits\.fs: (\d+) bytes, now (\d+), in')
    assert int(logged[2]) < int(logged[1])
    assert f'{int(logged[2]):,}' in done.stdout
    assert server.number() == 6
    packed = Packed.read(str(tmp_path / 'hits.fs'))
    assert packed is not None
    assert (packed.before, packed.after) == (int(logged[1]), int(logged[2]))


def test_the_server_packs_by_itself(start: Start) -> None:
    server = start('--pack-every', '1s', '--pack-keep', '0s')
    assert server.number() == 1
    server.log.wait(r'packed .*/hits\.fs: ', times=2)
    assert server.number() == 2


def test_a_duration_without_a_unit_is_refused(hitcounter: Run) -> None:
    done = hitcounter('pack', '--pack-keep', '7')
    assert done.returncode == 2
    assert "'7' is no duration: write a number and s, m, h, d or w, as in 12h or 90d" in done.stderr


def test_a_database_that_is_not_there_is_not_packed(hitcounter: Run) -> None:
    done = hitcounter('pack')
    assert (done.returncode, done.stdout) == (1, '')
    assert 'is no database yet' in done.stderr
