"""The guard: a database file that lost what was stored in it is refused, and left as it is."""

import errno
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import ZODB
from persistent.mapping import PersistentMapping
from ZODB.FileStorage import FileStorage
from ZODB.POSException import StorageError
from ZODB.utils import p64

from hitcounter.errors import DatabaseRefused
from hitcounter.state.storage.database import open_alone, open_database
from hitcounter.state.storage.guard import Guard, guard_of, remembered

COMMITS = 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'hitcounter.fs'


@pytest.fixture
def filled(path: Path) -> Path:
    """A closed database in which 20 transactions counted."""
    fill(path, COMMITS)
    return path


def fill(path: Path, commits: int) -> None:
    with open_database(f'file:{path}', share=True) as database:
        for _ in range(commits):
            count(database.db)


def count(db: ZODB.DB) -> int:
    with db.transaction() as connection:
        root = connection.root()
        root['count'] = root.get('count', 0) + 1
        return int(root['count'])


def counted(path: Path) -> int:
    with open_database(f'file:{path}', share=True) as database, database.db.transaction() as connection:
        return int(connection.root()['count'])


def ends(path: Path) -> list[int]:
    """Where each transaction ends."""
    with closing(FileStorage(str(path), read_only=True)) as storage:
        return [found._tend + 8 for found in storage.iterator()]


def overwrite(path: Path, position: int, content: bytes) -> None:
    with open(path, 'r+b') as file:
        file.seek(position)
        file.write(content)


def refusal(path: Path) -> str:
    """How the file is refused; it stays as it is, and nothing is left open."""
    before = path.read_bytes()
    descriptors = os.listdir('/proc/self/fd')
    for options in ({'share': True}, {}, {'read_only': True}):
        with pytest.raises(DatabaseRefused) as refused:
            open_database(f'file:{path}', **options)
    assert path.read_bytes() == before
    assert len(os.listdir('/proc/self/fd')) == len(descriptors)
    message = str(refused.value)
    assert repr(str(path)) in message
    return message


def test_it_remembers_the_last_transaction(path: Path) -> None:
    with open_database(f'file:{path}', share=True) as database:
        for _ in range(3):
            count(database.db)
            assert remembered(str(path)) == database.db.lastTransaction()


def test_it_remembers_what_another_process_commits(path: Path) -> None:
    with open_database(f'file:{path}', share=True) as server:
        with open_database(f'file:{path}') as client:
            count(client.db)
        assert remembered(str(path)) == server.db.lastTransaction()


def test_it_never_remembers_less_than_before(path: Path) -> None:
    with closing(Guard(str(path))) as guard:
        guard.remember(p64(3))
        guard.remember(p64(2))
    assert remembered(str(path)) == p64(3)


def test_a_guard_that_cannot_write_does_not_undo_the_commit(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with open_database(f'file:{path}', share=True) as database:
        with monkeypatch.context() as full:
            full.setattr(os, 'pwrite', lambda *_: raise_(OSError(errno.ENOSPC, 'No space left on device')))
            assert count(database.db) == 1
        assert 'could not note' in caplog.text
        assert count(database.db) == 2
        assert remembered(str(path)) == database.db.lastTransaction()


def test_after_a_failure_in_the_last_step_of_a_commit_it_is_only_read_until_it_is_opened_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_database(f'file:{path}', share=True) as database:
        count(database.db)
        with monkeypatch.context() as patches:
            failure = OSError(errno.EIO, 'the disk fails')
            patches.setitem(FileStorage._finish_finish.__globals__, 'fsync', lambda _: raise_(failure))
            with pytest.raises(OSError, match='the disk fails'):
                count(database.db)
        with pytest.raises(StorageError, match=r'only be read .* the disk fails.*start the server again'):
            count(database.db)
        with database.db.transaction() as connection:
            assert connection.root()['count'] == 1
    fill(path, 1)
    assert counted(path) == 3  # what failed had come to the disk all the same


def raise_(error: Exception) -> None:
    raise error


@pytest.mark.parametrize('left', [b'', b'040d3', b'\0' * 16, b'not hexadecimal!'])
def test_a_guard_that_a_power_failure_left_unwritten_guards_nothing(filled: Path, left: bytes) -> None:
    Path(guard_of(str(filled))).write_bytes(left)
    assert counted(filled) == COMMITS
    assert remembered(str(filled)) is not None


def test_a_file_without_a_guard_is_opened_and_gets_one(filled: Path) -> None:
    os.remove(guard_of(str(filled)))
    assert counted(filled) == COMMITS
    assert remembered(str(filled)) is not None


def test_a_file_that_was_overwritten_is_to_be_restored(filled: Path) -> None:
    filled.write_bytes(bytes(4096))
    assert 'is not a ZODB database file, and was left as it is: restore a backup' in refusal(filled)


@pytest.mark.parametrize('content', [b'a letter to somebody\n' * 9, b'FS', b'\0' * 4096])
def test_a_file_of_another_kind_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert 'name another file' in refusal(path)


def test_a_database_of_sqlite_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute('CREATE TABLE calls (number INTEGER)')
    assert 'name another file' in refusal(path)


def test_an_emptied_file_is_refused_until_the_guard_is_removed(filled: Path) -> None:
    os.truncate(filled, 0)
    assert f'remove {guard_of(str(filled))!r}' in refusal(filled)
    os.remove(guard_of(str(filled)))
    fill(filled, 1)
    assert counted(filled) == 1


def test_a_file_that_is_gone_is_refused(filled: Path) -> None:
    os.remove(filled)
    with pytest.raises(DatabaseRefused, match='missing or empty'):
        open_database(f'file:{filled}', share=True)
    assert not filled.exists()


def test_an_older_copy_is_refused_until_the_guard_is_removed(path: Path) -> None:
    fill(path, 3)
    backup = path.read_bytes()
    fill(path, 3)
    path.write_bytes(backup)
    assert f'remove {guard_of(str(path))!r}' in refusal(path)
    os.remove(guard_of(str(path)))
    assert counted(path) == 3


@pytest.mark.parametrize('damage', [b'\0' * 60, b'\xff' * 12, b'x' * 23])
@pytest.mark.parametrize('guarded', [True, False])
def test_damage_with_transactions_after_it_is_refused(filled: Path, damage: bytes, guarded: bool) -> None:
    os.remove(f'{filled}.index')  # FileStorage would now look at all of it, and cut off what follows
    overwrite(filled, ends(filled)[COMMITS // 2] + 6, damage)
    if not guarded:
        os.remove(guard_of(str(filled)))
    assert 'damaged' in refusal(filled)


def test_damage_to_the_last_transaction_is_refused(filled: Path) -> None:
    overwrite(filled, ends(filled)[-2] + 8, b'\xff' * 8)
    os.remove(f'{filled}.index')
    assert 'damaged or an older copy' in refusal(filled)


def test_a_file_cut_before_its_last_transaction_is_refused(filled: Path) -> None:
    os.truncate(filled, ends(filled)[-2])
    assert 'damaged or an older copy' in refusal(filled)


def test_damage_within_a_transaction_is_refused(filled: Path) -> None:
    os.remove(f'{filled}.index')
    overwrite(filled, ends(filled)[9] + 23 + 40, b'\xff' * 10)  # the length of its first record
    assert 'fsrecover' in refusal(filled)


def test_giving_up_what_follows_the_damage_goes_as_the_refusal_says(filled: Path) -> None:
    os.remove(f'{filled}.index')
    overwrite(filled, ends(filled)[9] + 8, b'\0' * 8)
    os.remove(guard_of(str(filled)))
    found = re.search(r'truncate -s (\d+)', refusal(filled))
    assert found
    os.truncate(filled, int(found[1]))
    assert counted(filled) == 9  # the first transaction makes the root


def torn(path: Path, tail: Callable[[bytes], bytes]) -> None:
    """Put `tail` of a transaction that nobody was told of at the end of the file."""
    guard = Path(guard_of(str(path)))
    before, told = path.read_bytes(), guard.read_bytes()
    fill(path, 1)
    transaction_ = path.read_bytes()[len(before) :]
    path.write_bytes(before + tail(transaction_))
    guard.write_bytes(told)


TAILS: dict[str, Callable[[bytes], bytes]] = {
    'one byte': lambda whole: whole[:1],
    'part of the header': lambda whole: whole[:20],
    'the header': lambda whole: whole[:23],
    'part of a record': lambda whole: whole[:70],
    'all but the last byte': lambda whole: whole[:-1],
    'voted, not finished': lambda whole: whole[:16] + b'c' + whole[17:],
    '22 zero bytes': lambda whole: bytes(22),
    '23 zero bytes': lambda whole: bytes(23),
    'a page of zero bytes': lambda whole: bytes(4096),
    'the header, then zero bytes': lambda whole: whole[:23] + bytes(len(whole) - 23),
    'the header, then a page of zero bytes': lambda whole: whole[:23] + bytes(4096),
    'bytes of another file': lambda whole: bytes(range(255, 0, -1)),
}


@pytest.mark.parametrize('tail', TAILS.values(), ids=list(TAILS))
@pytest.mark.parametrize('indexed', [True, False])
def test_a_torn_tail_is_cut_off_with_one_warning(
    filled: Path, tail: Callable[[bytes], bytes], indexed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    whole = filled.stat().st_size
    torn(filled, tail)
    if not indexed:
        os.remove(f'{filled}.index')
    caplog.clear()
    with open_database(f'file:{filled}', share=True) as database:
        warnings = [record.getMessage() for record in caplog.records if record.name.startswith('hitcounter')]
        assert count(database.db) == COMMITS + 1
    assert len(warnings) == 1
    assert 'cut off' in warnings[0]
    assert filled.stat().st_size > whole
    caplog.clear()
    assert counted(filled) == COMMITS + 1
    assert not caplog.records


def test_a_reader_leaves_a_torn_tail_as_it_is(filled: Path) -> None:
    torn(filled, lambda whole: whole[:70])
    before = filled.read_bytes()
    uri = f'file:{filled}'
    with open_database(uri, read_only=True) as database, database.db.transaction() as connection:
        assert connection.root()['count'] == COMMITS
    assert filled.read_bytes() == before


@pytest.mark.parametrize('clear', [True, False])
def test_a_packed_file_is_opened_again(path: Path, clear: bool) -> None:
    with open_database(f'file:{path}', share=True) as database:
        for _ in range(COMMITS):
            count(database.db)
        if not clear:
            with database.db.transaction() as connection:
                connection.add(PersistentMapping())  # the last transaction stores nothing but garbage
        size = path.stat().st_size
        database.db.pack()
        assert path.stat().st_size < size
        assert path.stat().st_mode & 0o777 == 0o600
        assert not Path(f'{path}.pack').exists()
    assert counted(path) == COMMITS


def test_nothing_is_left_beside_what_is_not_a_database(tmp_path: Path) -> None:
    path = tmp_path / 'passwd'
    path.write_text('root:x:0:0\n')
    for open_it in partial(open_database, share=True), open_database, open_alone:
        with pytest.raises(DatabaseRefused, match='is not a ZODB database file'):
            open_it(f'file:{path}')
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('read_only', [False, True])
def test_a_device_is_not_called_a_database_that_is_to_be_made(read_only: bool) -> None:
    with pytest.raises(DatabaseRefused, match='is a directory, a device or a pipe: name a file'):
        open_database('file:/dev/null', read_only=read_only)
