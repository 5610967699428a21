"""Damage of every kind: what was acknowledged is there, or the file is refused and stays as it is; never silently less.

With an index, what is looked at is the last transaction; without one, the structure of the whole file. The plain tests
damage a sample of the bytes of the last transactions; `--every-byte` takes all of them.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ZODB.utils import p64, z64

from hitcounter.errors import DatabaseRefused
from hitcounter.state.storage.database import open_database
from hitcounter.state.storage.guard import guard_of
from hitcounter.state.storage.guarded import GuardedFile
from tests.support.damage import (
    COMMITS,
    LAST,
    LENGTH,
    SECTOR,
    IntactFile,
    fill,
    holds,
    indexed_or_not,
    intact,
    is_refused,
)
from tests.support.patience import PATIENCE


@pytest.fixture
def database(tmp_path: Path) -> IntactFile:
    path = tmp_path / 'hits.fs'
    fill(path, COMMITS)
    return intact(path)


@pytest.fixture
def every_byte(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption('every_byte'))


@pytest.fixture
def positions(database: IntactFile, every_byte: bool) -> Iterable[int]:
    """The bytes of the last transactions that are damaged, one after the other."""
    return database.tail if every_byte else database.sample


@indexed_or_not
def test_a_file_cut_within_what_was_acknowledged_is_refused(
    database: IntactFile, positions: Iterable[int], indexed: bool
) -> None:
    for cut in positions:
        database.put(database.whole[:cut], indexed=indexed)
        assert is_refused(database.path), cut


@indexed_or_not
def test_a_transaction_that_nobody_was_told_of_is_cut_off_wherever_it_ends(
    tmp_path: Path, indexed: bool, every_byte: bool
) -> None:
    path = tmp_path / 'hits.fs'
    fill(path, COMMITS)
    told = intact(path)
    fill(path, 1)
    longer = path.read_bytes()

    for cut in (*range(len(told.whole), len(longer), 1 if every_byte else 17), len(longer) - 1):
        told.put(longer[:cut], indexed=indexed)
        assert holds(path, told.content), cut
        assert path.read_bytes() == told.whole


@indexed_or_not
def test_a_tail_of_zeros_is_cut_off(database: IntactFile, indexed: bool) -> None:
    for count in (*range(1, 50), SECTOR, 4096, 65_536):
        database.put(database.whole + bytes(count), indexed=indexed)
        assert holds(database.path, database.content), count
        assert database.path.read_bytes() == database.whole


@indexed_or_not
def test_a_changed_byte_never_makes_the_file_shorter(
    database: IntactFile, positions: Iterable[int], indexed: bool
) -> None:
    for position in positions:
        damaged = bytearray(database.whole)
        damaged[position] ^= 0x01
        database.put(bytes(damaged), indexed=indexed)
        if not is_refused(database.path):
            assert database.path.read_bytes() == damaged, position


def test_a_changed_length_is_noticed_at_the_start_without_an_index(database: IntactFile) -> None:
    begins = database.ends[-LAST - 1 : -1]
    for position in [begin + offset for begin in begins for offset in LENGTH]:
        damaged = bytearray(database.whole)
        damaged[position] ^= 0x01
        database.put(bytes(damaged), indexed=False)
        assert is_refused(database.path), position


def test_a_last_transaction_that_seems_unfinished_but_was_acknowledged_is_refused(database: IntactFile) -> None:
    damaged = bytearray(database.whole)
    damaged[database.ends[-2] + 16] = ord('c')
    for indexed in (True, False):
        database.put(bytes(damaged), indexed=indexed)
        assert is_refused(database.path)


@indexed_or_not
def test_a_sector_of_zeros_at_the_end_of_what_was_acknowledged_is_refused(database: IntactFile, indexed: bool) -> None:
    for length in (8, 23, SECTOR):
        database.put(database.whole[:-length] + bytes(length), indexed=indexed)
        assert is_refused(database.path), length


def test_a_sector_of_zeros_in_the_middle_is_refused_without_an_index(database: IntactFile) -> None:
    for begin in range(SECTOR, len(database.whole) - SECTOR, SECTOR):
        damaged = database.whole[:begin] + bytes(SECTOR) + database.whole[begin + SECTOR :]
        database.put(damaged, indexed=False)
        assert is_refused(database.path), begin


def test_with_an_index_what_lies_in_the_middle_is_not_looked_at_and_not_cut_off(database: IntactFile) -> None:
    damaged = database.whole[:SECTOR] + bytes(SECTOR) + database.whole[2 * SECTOR :]
    database.put(damaged, indexed=True)

    assert not is_refused(database.path)
    assert database.path.read_bytes() == damaged


# An index that does not fit the file.


def test_an_index_that_does_not_fit_is_no_obstacle_and_hides_nothing(tmp_path: Path) -> None:
    path = tmp_path / 'hits.fs'
    index = Path(f'{path}.index')
    fill(path, 3)
    older = index.read_bytes()
    fill(path, COMMITS)
    now = intact(path)
    fill(path, 3)
    newer = index.read_bytes()
    half = now.files[index.name][: len(newer) // 2]

    for unfit in (older, newer, half, b'', b'no index', bytes(100), os.urandom(100), pickle.dumps({'pos': 1})):
        now.put(now.whole, indexed=True)
        index.write_bytes(unfit)
        assert holds(path, now.content), unfit[:20]


def test_a_folder_in_place_of_the_index_is_no_obstacle(database: IntactFile) -> None:
    database.put(database.whole, indexed=False)
    Path(f'{database.path}.index').mkdir()

    assert holds(database.path, database.content)


# Something else in the file's place.


@pytest.mark.parametrize('content', [b'', b'FS21', b'FS2', b'a letter\n' * 50, bytes(4096)])
@indexed_or_not
def test_a_file_that_was_replaced_is_refused(database: IntactFile, content: bytes, indexed: bool) -> None:
    database.put(content, indexed=indexed)
    assert is_refused(database.path)


def test_another_database_that_is_older_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'one').mkdir()
    (tmp_path / 'two').mkdir()
    fill(tmp_path / 'one' / 'hits.fs', COMMITS)
    fill(tmp_path / 'two' / 'hits.fs', 2)
    older, newer = intact(tmp_path / 'one' / 'hits.fs'), intact(tmp_path / 'two' / 'hits.fs')

    newer.put(older.whole, indexed=True)

    assert is_refused(newer.path)


@indexed_or_not
@pytest.mark.parametrize('share', [True, False], ids=['to be served', 'to be read'])
def test_a_file_that_lost_its_root_does_not_begin_anew(tmp_path: Path, indexed: bool, share: bool) -> None:
    path = tmp_path / 'hits.fs'
    fill(path, COMMITS)
    with open_database(f'file:{path}', share=True) as opened:
        opened.db.pack()
        root = opened.db.storage._index[z64]
    packed = intact(path)
    for lost in (
        packed.whole[:root] + p64(0x400) + packed.whole[root + 8 :],
        packed.whole.replace(b'\x80\x03cpersistent', b'\xff\x03cpersistent'),
    ):
        assert lost != packed.whole
        packed.put(lost, indexed=indexed)
        with pytest.raises(DatabaseRefused, match=r'is damaged, and was left as it is .*restore'):
            open_database(f'file:{path}', share=share, read_only=not share).close()
        assert path.read_bytes() == lost


def test_a_file_in_which_nothing_was_begun_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / 'hits.fs'
    path.write_bytes(b'FS30')
    with pytest.raises(DatabaseRefused, match='ReadOnlyError'):
        open_database(f'file:{path}', read_only=True)
    open_database(f'file:{path}', share=True).close()


def test_a_pipe_or_a_device_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe')
    for path in (tmp_path / 'pipe', Path('/dev/null')):
        with pytest.raises(DatabaseRefused, match='name a file'):
            GuardedFile(str(path))


def test_a_link_leads_to_the_file_and_its_guard(database: IntactFile, tmp_path: Path) -> None:
    link = tmp_path / 'link.fs'
    link.symlink_to(database.path)
    os.truncate(database.path, database.ends[-2])

    with pytest.raises(DatabaseRefused, match=str(database.path)):
        open_database(f'file:{link}', share=True)

    assert database.path.read_bytes() == database.whole[: database.ends[-2]]


@contextmanager
def as_nobody() -> Iterator[None]:
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can become somebody else')
def test_a_file_of_somebody_else_is_refused(open_folder: Path) -> None:
    path = open_folder / 'hits.fs'
    fill(path, COMMITS)
    database = intact(path)

    with as_nobody(), pytest.raises(DatabaseRefused, match=r'belongs to root, and this runs as .*: run it as root'):
        open_database(f'file:{path}', share=True)

    assert path.read_bytes() == database.whole


ON_READ_ONLY_DISK = """
mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" || exit 77
shift
exec "$@"
"""


def test_a_file_system_that_can_only_be_read_is_refused(database: IntactFile) -> None:
    served = subprocess.run(
        [
            *('unshare', '--mount', 'sh', '-c', ON_READ_ONLY_DISK, 'sh', str(database.path.parent)),
            *(sys.executable, '-c', 'from hitcounter.commands.serve import main; main()'),
            *('--listen', '127.0.0.1:0', '--storage', f'file:{database.path}'),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if served.returncode == 77 or 'unshare' in served.stderr:
        pytest.skip('nothing can be mounted here')

    assert served.returncode == 1
    assert 'Read-only file system' in served.stderr.splitlines()[-1]
    assert database.path.read_bytes() == database.whole


# As the commands say it.


@pytest.mark.parametrize('command', ['serve', 'shell'])
@pytest.mark.parametrize('damage', ['cut', 'empty', 'letter'])
def test_a_command_says_what_was_found_in_one_sentence(database: IntactFile, command: str, damage: str) -> None:
    damaged = {'cut': database.whole[:-10], 'empty': b'', 'letter': b'a letter'}[damage]
    database.put(damaged, indexed=True)

    ended = subprocess.run(
        [
            sys.executable,
            '-c',
            f'from hitcounter.commands.{command} import main; main()',
            '--storage',
            f'file:{database.path}',
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        stdin=subprocess.DEVNULL,
    )

    assert ended.returncode == 1
    assert ended.stderr.count('\n') == 1
    assert repr(str(database.path)) in ended.stderr
    assert 'hitcounter restore' in ended.stderr
    assert database.path.read_bytes() == damaged
    assert Path(guard_of(str(database.path))).read_bytes() == database.files['hits.fs.guard']
