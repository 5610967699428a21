"""Packing: by hand, through the server, and when it is due."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from patience import PATIENCE
from persistent.mapping import PersistentMapping
from ZODB.FileStorage import FileStorage

from hitcounter.errors import HitcounterError, NoRoom, PackFailed, StateClosed
from hitcounter.state import disk, guard, open_database, packing
from hitcounter.state.database import Database
from hitcounter.state.notes import Packed
from hitcounter.state.packing import pack, pack_if_due


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'hits.fs'


@pytest.fixture
def server(path: Path) -> Iterator[Database]:
    with closing(open_database(f'file:{path}', share=True)) as database:
        fill(database)
        yield database


def fill(database: Database, times: int = 5) -> None:
    for _ in range(times):
        with database.db.transaction() as connection:
            connection.root()['mapping'] = PersistentMapping({'key': 'secret' * 1000})


def test_it_keeps_what_there_was_in_the_time_before(server: Database, path: Path) -> None:
    size = path.stat().st_size
    assert pack(server, 1e12).after == pack(server, 3600.0).after == size
    packed = pack(server, 0.0)
    assert (packed.before, packed.after) == (size, path.stat().st_size)
    assert packed.after < size / 3


def test_nothing_of_the_past_is_left_beside_the_file(server: Database, path: Path) -> None:
    with server.db.transaction() as connection:
        del connection.root()['mapping']
    pack(server, 0.0)
    for file in path.parent.iterdir():
        assert not file.is_file() or b'secret' not in file.read_bytes(), file


def test_it_is_not_said_whether_it_is_done_when_the_server_goes_away(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packing, going_on = threading.Event(), threading.Event()

    def wait(*_: object) -> None:
        packing.set()
        assert going_on.wait(PATIENCE)

    monkeypatch.setattr(guard, 'check_room', wait)
    server = open_database(f'file:{path}', share=True)
    fill(server)
    with closing(open_database(f'file:{path}')) as client, ThreadPoolExecutor(2) as others:
        packed = others.submit(pack, client, 0.0)
        assert packing.wait(PATIENCE)
        closed = others.submit(server.close)
        with pytest.raises(PackFailed, match=r'went away .* "hitcounter status" tells'):
            packed.result(PATIENCE)
        going_on.set()
        closed.result(PATIENCE)
    assert Packed.read(str(path)) is not None


def test_through_the_server_it_is_the_server_that_packs(server: Database, path: Path) -> None:
    with closing(open_database(f'file:{path}')) as client:
        packed = pack(client, 0.0)
    note = Packed.read(str(path))
    assert note is not None
    assert (packed.before, packed.after) == (note.before, note.after)
    assert packed.after < packed.before


def test_who_may_only_read_may_not_pack(server: Database, path: Path) -> None:
    size = path.stat().st_size
    with (
        closing(open_database(f'file:{path}', read_only=True)) as client,
        pytest.raises(HitcounterError, match='was not packed'),
    ):
        pack(client, 0.0)
    assert path.stat().st_size == size


@pytest.mark.parametrize('through', ['server', 'client'])
def test_without_room_for_a_second_file_nothing_is_begun(
    server: Database, path: Path, monkeypatch: pytest.MonkeyPatch, through: str
) -> None:
    size = path.stat().st_size
    monkeypatch.setattr(disk.shutil, 'disk_usage', lambda _: SimpleNamespace(free=size - 1))
    refused = pytest.raises((NoRoom, PackFailed), match=r'make room there$')
    with closing(open_database(f'file:{path}')) as client, refused:
        pack(server if through == 'server' else client, 0.0)
    assert path.stat().st_size == size
    assert Packed.read(str(path)) is None


def test_the_new_file_is_on_disk_before_the_old_one_is_removed(
    server: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []
    sync = disk.sync
    monkeypatch.setattr(
        guard, 'sync', lambda name: (synced.append((name, Path(f'{path}.old').exists())), sync(name)))
    pack(server, 0.0)
    assert [one for one in synced if not one[0].endswith('.pack')] == [(str(path), True), (str(path.parent), True)]
    assert not Path(f'{path}.old').exists()


def test_who_closes_the_file_waits_for_the_pack(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packs, may_go_on = threading.Event(), threading.Event()
    packer = FileStorage.packer

    def slow_packer(*arguments: object) -> object:
        packs.set()
        assert may_go_on.wait(PATIENCE)
        return packer(*arguments)

    monkeypatch.setattr(FileStorage, 'packer', staticmethod(slow_packer))
    database = open_database(f'file:{path}', share=True)
    fill(database)
    storage = database.db.storage
    packing = threading.Thread(target=pack, args=(database, 0.0))
    packing.start()
    assert packs.wait(PATIENCE)
    closing_ = threading.Thread(target=database.close)
    closing_.start()
    assert not may_go_on.is_set()
    may_go_on.set()
    closing_.join(PATIENCE)
    packing.join(PATIENCE)
    note = Packed.read(str(path))
    assert note is not None
    assert note.after == path.stat().st_size < note.before
    with pytest.raises(StateClosed):
        storage.pack(time.time(), None)


def test_it_is_due_when_time_has_passed_since_the_last_one_even_if_it_was_another_process(
    server: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack_if_due(server, 3600.0, 0.0)  # the first transaction was just now
    assert Packed.read(str(path)) is None
    moment = time.time()
    for passed, packs in [(3599.0, False), (3601.0, True), (3602.0, False), (-60.0, True)]:
        before = Packed.read(str(path))
        monkeypatch.setattr(time, 'time', lambda passed=passed: moment + passed)
        pack_if_due(server, 3600.0, 0.0)
        assert (Packed.read(str(path)) != before) is packs, passed


def test_it_is_due_when_the_file_has_doubled(
    server: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, 'SMALL', 1000)
    pack_if_due(server, 3600.0, 0.0)
    first = Packed.read(str(path))
    pack_if_due(server, 3600.0, 0.0)
    assert Packed.read(str(path)) == first
    fill(server, 2)
    pack_if_due(server, 3600.0, 0.0)
    assert Packed.read(str(path)) != first


@pytest.mark.parametrize('left', [b'', b'{', b'{"time": 5}', b'\0' * 50])
def test_a_note_that_a_power_failure_left_unwritten_is_none(path: Path, left: bytes) -> None:
    Path(f'{path}{Packed.SUFFIX}').write_bytes(left)
    assert Packed.read(str(path)) is None
    Packed(1.0, 2, 3, 4.0).write(str(path))
    assert Packed.read(str(path)) == Packed(1.0, 2, 3, 4.0)
    assert os.stat(f'{path}{Packed.SUFFIX}').st_mode & 0o777 == 0o600


def test_a_note_that_cannot_be_written_does_not_undo_what_it_tells_of(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Packed(1.0, 2, 3, 4.0).write(f'{path}/nosuch')
    assert 'could not be written' in caplog.text
