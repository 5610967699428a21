"""Backups: full ones, what was added since, and byte-identical restoration."""

import fcntl
import itertools
import os
import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from persistent.mapping import PersistentMapping
from ZODB.scripts import repozo

from hitcounter.errors import BackupFailed, DatabaseInUse, DatabaseRefused, NoRoom
from hitcounter.state import open_database
from hitcounter.state.storage import disk, lock
from hitcounter.state.storage.database import Database
from hitcounter.state.storage.stamps import BackupStamp
from hitcounter.state.upkeep.backup import back_up, full_backup, restore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'hits.fs'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / 'my backups'  # repozo cannot take the blank


@pytest.fixture(autouse=True)
def passing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second passes whenever the time is asked for, as backups are named by it."""
    seconds, gmtime = itertools.count(time.time()), time.gmtime
    monkeypatch.setattr(time, 'gmtime', lambda *moment: gmtime(*(moment or [next(seconds)])))


def add(database: Database, key: str) -> None:
    with database.db.transaction() as connection:
        connection.root()[key] = PersistentMapping({'key': key * 100})


def keys(path: Path) -> set[str]:
    with open_database(f'file:{path}', share=True) as database, database.db.transaction() as connection:
        return set(connection.root())


def fill(path: Path, *names: str) -> None:
    with open_database(f'file:{path}', share=True) as database:
        for name in names:
            add(database, name)


def test_a_full_backup_is_the_file_as_it_is(path: Path, folder: Path) -> None:
    fill(path, 'a', 'b')
    copy = Path(full_backup(path, folder))
    assert copy.parent == folder
    assert copy.read_bytes() == path.read_bytes()
    assert copy.stat().st_mode & 0o077 == folder.stat().st_mode & 0o077 == 0


def test_what_was_added_is_backed_up_and_restored_byte_by_byte(path: Path, folder: Path, tmp_path: Path) -> None:
    with open_database(f'file:{path}', share=True) as database:
        add(database, 'a')
        first = back_up(path, folder)
        add(database, 'b')
        second = back_up(path, folder)
        third = back_up(path, folder)
        size = path.stat().st_size
    assert [(made.is_new, made.is_full) for made in (first, second, third)] == [
        (True, True),
        (True, False),
        (False, False),
    ]
    assert first.size < second.size == third.size == size
    assert BackupStamp.read(str(path)) is not None
    os.rename(path, tmp_path / 'before.fs')
    assert restore(folder, path) == size
    assert path.read_bytes() == (tmp_path / 'before.fs').read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert {'a', 'b'} <= keys(path)


def test_an_older_backup_is_restored_beside_the_guard_of_the_lost_file(path: Path, folder: Path) -> None:
    fill(path, 'a')
    full_backup(path, folder)
    fill(path, 'b')
    os.remove(path)
    restore(folder, path)
    assert 'b' not in keys(path)


def test_a_restoration_that_ends_in_the_middle_lets_no_server_begin_anew(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(path, 'a')
    full_backup(path, folder)
    os.remove(path)

    def fail(*_: object) -> None:
        raise OSError('the disk fails')

    with monkeypatch.context() as patches:
        patches.setattr(os, 'rename', fail)
        with pytest.raises(BackupFailed, match='the disk fails'):
            restore(folder, path)
    with pytest.raises(DatabaseRefused, match='is missing'):
        keys(path)
    restore(folder, path)
    assert 'a' in keys(path)


def test_what_a_restoration_makes_is_for_its_owner_alone(path: Path, folder: Path, tmp_path: Path) -> None:
    fill(path, 'a')
    full_backup(path, folder)
    restored = tmp_path / 'elsewhere' / 'hits.fs'
    restore(folder, restored)
    assert {file.stat().st_mode & 0o077 for file in (restored.parent, *restored.parent.iterdir())} == {0}


def test_after_a_pack_the_next_one_is_full(path: Path, folder: Path) -> None:
    with open_database(f'file:{path}', share=True) as database:
        add(database, 'a')
        add(database, 'a')
        back_up(path, folder)
        database.db.pack()
        add(database, 'b')
        made = back_up(path, folder)
        assert (made.is_full, made.is_unlike) == (True, False)


def test_a_bit_that_flipped_in_the_database_since_the_last_one_is_noticed(path: Path, folder: Path) -> None:
    fill(path, 'a')
    full_backup(path, folder)
    fill(path, 'b')
    content = path.read_bytes()
    assert b'aaaa' in content
    path.write_bytes(content.replace(b'aaaa', b'abaa', 1))
    made = back_up(path, folder)
    assert (made.is_full, made.is_unlike) == (True, True)
    assert len(list(folder.glob('*.fs'))) == 2


def test_a_pack_in_between_lets_it_begin_again(path: Path, folder: Path) -> None:
    do_backup = repozo.do_backup
    with open_database(f'file:{path}', share=True) as database:
        add(database, 'a')
        add(database, 'a')

        def be_packed(options: object) -> None:
            do_backup(options)
            patched.undo()
            database.db.pack()

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(repozo, 'do_backup', be_packed)
            made = back_up(path, folder)
    assert made.is_full
    assert Path(made.file).read_bytes() == path.read_bytes()


def test_a_backup_without_its_list_is_not_added_to(path: Path, folder: Path) -> None:
    fill(path, 'a')
    copy = full_backup(path, folder)
    os.remove(re.sub(r'fs$', 'dat', copy))
    assert back_up(path, folder).is_full


def test_a_backup_with_a_flipped_bit_is_not_added_to_nor_restored(path: Path, folder: Path, tmp_path: Path) -> None:
    fill(path, 'a')
    copy = Path(full_backup(path, folder))
    content = bytearray(copy.read_bytes())
    content[-20] ^= 1
    copy.write_bytes(content)
    with pytest.raises(BackupFailed, match='checksum'):
        restore(folder, tmp_path / 'other.fs')
    assert not list(tmp_path.glob('other.fs?*[!k]'))  # but its lock
    assert not (tmp_path / 'other.fs').exists()
    assert back_up(path, folder).is_full


def test_it_is_not_restored_over_a_database(path: Path, folder: Path) -> None:
    fill(path, 'a')
    full_backup(path, folder)
    before = path.read_bytes()
    with pytest.raises(BackupFailed, match='move it away'):
        restore(folder, path)
    assert path.read_bytes() == before


def test_it_is_not_restored_under_a_server_even_if_the_file_is_gone(path: Path, folder: Path) -> None:
    with open_database(f'file:{path}', share=True) as database:
        add(database, 'a')
        full_backup(path, folder)
        os.remove(path)
        with pytest.raises(DatabaseInUse):
            restore(folder, path)


def test_who_only_looks_whether_a_file_is_locked_keeps_it_from_no_restoration(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(path, 'a')
    full_backup(path, folder)
    os.remove(path)
    looking = open(f'{path}.lock')  # noqa: SIM115 -- closed in the meantime
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr(lock, 'time', SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _: looking.close()))
    restore(folder, path)
    assert looking.closed
    assert path.exists()


def test_a_folder_without_backups_restores_nothing(path: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match='is not a folder'):
        restore(folder, path)
    with pytest.raises(BackupFailed, match='holds no backup'):
        restore(tmp_path, path)
    assert not path.exists()


def test_two_in_the_same_second_get_two_names(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path, 'a')
    monkeypatch.undo()  # the true time
    assert full_backup(path, folder) < full_backup(path, folder)


def test_a_clock_that_was_set_back_is_noticed(path: Path, folder: Path) -> None:
    fill(path, 'a')
    folder.mkdir()
    (folder / '2999-01-01-00-00-00.fs').touch()
    with pytest.raises(BackupFailed, match='set the clock right'):
        back_up(path, folder)


def test_one_backup_at_a_time(path: Path, folder: Path) -> None:
    fill(path, 'a')
    folder.mkdir()
    other = os.open(folder, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(BackupFailed, match='another backup'):
        back_up(path, folder)
    os.close(other)


@pytest.mark.parametrize('content', [b'', b'a letter to somebody\n' * 9])
def test_what_is_no_database_is_not_backed_up(path: Path, folder: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises((BackupFailed, DatabaseRefused), match=r'is not a (ZODB )?database'):
        back_up(path, folder)
    assert not folder.exists()


def test_what_is_not_there_is_not_backed_up(path: Path, folder: Path) -> None:
    with pytest.raises(BackupFailed, match='is not a database yet'):
        back_up(path, folder)
    assert not folder.exists()


def test_without_room_nothing_is_begun(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path, 'a')
    monkeypatch.setattr(disk.shutil, 'disk_usage', lambda _: SimpleNamespace(free=10))  # type: ignore[attr-defined]  # what the module imports is replaced
    with pytest.raises(NoRoom, match='make room'):
        back_up(path, folder)
    assert os.listdir(folder) == []
