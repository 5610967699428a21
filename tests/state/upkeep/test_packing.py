"""Packing: by hand, through the server, and when it is due."""

import errno
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from persistent.mapping import PersistentMapping
from ZODB.Connection import TransactionMetaData
from ZODB.POSException import StorageError
from ZODB.serialize import referencesf
from ZODB.utils import u64

from hitcounter.errors import DatabaseRefused, HitcounterError, NoRoom, PackFailed, PackMetDamage, StateClosed
from hitcounter.state import open_database
from hitcounter.state.storage import disk, guarded
from hitcounter.state.storage.checker import last_transaction
from hitcounter.state.storage.database import Database
from hitcounter.state.storage.guard import remembered
from hitcounter.state.storage.stamps import PackStamp
from hitcounter.state.upkeep import packing
from hitcounter.state.upkeep.packing import pack, pack_if_due
from tests.support import killing
from tests.support.patience import PATIENCE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'hits.fs'


@pytest.fixture
def server(path: Path) -> Iterator[Database]:
    with open_database(f'file:{path}', share=True) as database:
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


def test_when_the_server_ends_its_pack_is_abandoned(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packing, going_on = threading.Event(), threading.Event()

    def wait(*_: object) -> None:
        packing.set()
        assert going_on.wait(PATIENCE)

    monkeypatch.setattr(guarded, 'check_room', wait)
    server = open_database(f'file:{path}', share=True)
    fill(server)
    before = path.read_bytes()
    with open_database(f'file:{path}') as client, ThreadPoolExecutor(2) as others:
        packed = others.submit(pack, client, 0.0)
        assert packing.wait(PATIENCE)
        closed = others.submit(server.close)
        with pytest.raises(PackFailed, match=r'went away while it was packed'):
            packed.result(PATIENCE)
        going_on.set()
        closed.result(PATIENCE)
    assert path.read_bytes() == before
    assert PackStamp.read(str(path)) is None


def test_through_the_server_it_is_the_server_that_packs(server: Database, path: Path) -> None:
    with open_database(f'file:{path}') as client:
        packed = pack(client, 0.0)
    note = PackStamp.read(str(path))
    assert note is not None
    assert (packed.before, packed.after) == (note.before, note.after)
    assert packed.after < packed.before


def test_who_may_only_read_may_not_pack(server: Database, path: Path) -> None:
    size = path.stat().st_size
    with (
        open_database(f'file:{path}', read_only=True) as client,
        pytest.raises(HitcounterError, match='was not packed'),
    ):
        pack(client, 0.0)
    assert path.stat().st_size == size


@pytest.mark.parametrize('through', ['server', 'client'])
def test_without_room_for_a_second_file_nothing_is_begun(
    server: Database, path: Path, monkeypatch: pytest.MonkeyPatch, through: str
) -> None:
    size = path.stat().st_size
    monkeypatch.setattr(disk.shutil, 'disk_usage', lambda _: SimpleNamespace(free=size - 1))  # type: ignore[attr-defined]  # what the module imports is replaced
    refused = pytest.raises((NoRoom, PackFailed), match=r'make room there$')
    with open_database(f'file:{path}') as client, refused:
        pack(server if through == 'server' else client, 0.0)
    assert path.stat().st_size == size
    assert PackStamp.read(str(path)) is None


def test_the_new_file_is_on_disk_before_it_takes_the_place_of_the_old_one(
    server: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def noted(module: Any, name: str) -> None:
        function = getattr(module, name)

        def noting(path: str, *more: str) -> None:
            steps.append(f'{name} {Path(path).name}')
            function(path, *more)

        monkeypatch.setattr(module, name, noting)

    noted(guarded, 'sync')
    noted(os, 'replace')
    pack(server, 0.0)
    synced = [step for number, step in enumerate(steps) if step not in steps[:number]]  # it is while it is written, too
    assert synced[:3] == ['sync hits.fs.pack', 'replace hits.fs.pack', f'sync {path.parent.name}']


def files(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}


def test_a_pack_is_abandoned_at_any_record_and_the_file_is_as_it_was(server: Database, path: Path) -> None:
    storage = server.db.storage._storage
    before = files(path)
    for last in range(1000):
        left = iter(range(last, -1, -1))

        def look(left: Iterator[int] = left) -> None:
            if next(left) == 0:
                raise StateClosed('abandoned')

        storage._GuardedFile__go_on = look
        try:
            pack(server, 0.0)
        except StateClosed:
            assert files(path) == before
            transaction = TransactionMetaData()
            storage.tpc_begin(transaction)  # no lock is left
            storage.tpc_abort(transaction)
        else:
            break
    assert last > 20
    assert PackStamp.read(str(path)) is not None


def test_who_closes_the_file_abandons_its_pack(path: Path) -> None:
    packs, may_go_on = threading.Event(), threading.Event()

    def slowly(data: bytes) -> list[bytes]:
        packs.set()
        assert may_go_on.wait(PATIENCE)
        return list(referencesf(data))

    database = open_database(f'file:{path}', share=True)
    fill(database)
    before = path.read_bytes()
    storage = database.db.storage
    with ThreadPoolExecutor(2) as others:
        packed = others.submit(storage.pack, time.time(), slowly)
        assert packs.wait(PATIENCE)
        database.end_packing()
        closed = others.submit(database.close)
        may_go_on.set()
        with pytest.raises(StateClosed, match='was not packed, and is as it was'):
            packed.result(PATIENCE)
        closed.result(PATIENCE)
    assert path.read_bytes() == before
    assert not Path(f'{path}.pack').exists()
    with pytest.raises(StateClosed):
        storage.pack(time.time(), referencesf)


def killed_at_each_step(path: Path, packs: str) -> Iterator[tuple[str, Path]]:
    """What came next when a pack was killed, and the file that it left."""
    done = subprocess.run(
        [sys.executable, killing.__file__, path, packs],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    steps = done.stdout.splitlines()
    assert steps.pop() == 'it lived'
    for number, step in enumerate(steps, 1):
        yield step, Path(f'{path}.{number}', path.name)


@pytest.fixture
def garbage(path: Path) -> Path:
    """A closed database whose last transaction stores nothing but garbage, so that a pack removes it."""
    with open_database(f'file:{path}', share=True) as database:
        fill(database)
        with database.db.transaction() as connection:
            connection.add(PersistentMapping())
    return path


def key(path: Path) -> str:
    with open_database(f'file:{path}', share=True) as database, database.db.transaction() as connection:
        return str(connection.root()['mapping']['key'])


def test_a_pack_that_is_killed_leaves_a_file_that_can_be_opened_whatever_the_step(
    garbage: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sizes = set()
    steps = list(killed_at_each_step(garbage, 'ours'))
    for step, left in steps:
        assert left.exists(), step
        assert key(left) == 'secret' * 1000, step
        sizes.add(left.stat().st_size)
        assert remembered(str(left)) == last_transaction(str(left)), step
    assert len(sizes) == 2  # before and after
    assert any('.pack' in step and 'os.rename' in step for step, _ in steps)
    assert caplog.text == ''


def test_what_a_killed_pack_of_zodb_left_is_put_back(garbage: Path, caplog: pytest.LogCaptureFixture) -> None:
    put_back = 0
    for step, left in killed_at_each_step(garbage, "ZODB's"):
        caplog.clear()
        if not left.exists():
            before = Path(f'{left}.old').read_bytes()
            with pytest.raises(DatabaseRefused, match=r'is missing or empty, because a pack of it was interrupted'):
                open_database(f'file:{left}', read_only=True)
            assert key(left) == 'secret' * 1000, step
            assert left.read_bytes()[: len(before)] == before
            assert 'was missing, because a pack of it was interrupted: it was found as' in caplog.text
            put_back += 1
    assert put_back == 1


@pytest.mark.parametrize('told', [b'ff' * 8, b'00' * 8, b'', None])
@pytest.mark.parametrize('empty', [True, False])
def test_what_a_pack_left_is_named_and_not_moved_if_it_is_not_what_was_stored_last(
    garbage: Path, told: bytes | None, empty: bool
) -> None:
    old = Path(f'{garbage}.old')
    garbage.rename(old)
    if empty:
        garbage.touch()
    os.remove(f'{garbage}.guard')
    if told is not None:
        Path(f'{garbage}.guard').write_bytes(told)
    before = files(garbage)
    for options in ({'share': True}, {}, {'read_only': True}):
        with pytest.raises(DatabaseRefused, match=rf"{old}' holds what was stored until 20") as refused:
            open_database(f'file:{garbage}', **options)
        assert not re.search('1900|restore|backup|new|guard', str(refused.value))
    after = files(garbage)
    after.pop('hits.fs.lock')
    before.pop('hits.fs.lock')
    assert after == before


def test_a_damaged_file_is_not_to_be_restored_where_a_pack_left_a_whole_one(garbage: Path) -> None:
    Path(f'{garbage}.old').write_bytes(garbage.read_bytes())
    os.truncate(garbage, 500)
    with pytest.raises(DatabaseRefused, match=r"\.old' holds what was stored until 20") as refused:
        open_database(f'file:{garbage}', share=True)
    assert 'restore' not in str(refused.value)


def test_what_an_earlier_pack_left_is_removed_before_room_is_checked(
    server: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = Path(f'{path}.pack')
    left.write_bytes(b'half of a pack')
    monkeypatch.setattr(disk.shutil, 'disk_usage', lambda _: SimpleNamespace(free=path.stat().st_size - left.exists()))  # type: ignore[attr-defined]  # what the module imports is replaced
    pack(server, 0.0)
    assert not left.exists()


def test_a_pack_that_cannot_take_the_place_leaves_the_file_as_it_was(
    server: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(path)
    with monkeypatch.context() as failing:
        failing.setattr(os, 'replace', lambda *_: raise_(OSError(errno.EIO, os.strerror(errno.EIO))))
        with pytest.raises(PackFailed, match=r'not packed and is as it was .*Input/output error.*: check the disk'):
            pack(server, 0.0)
    after = files(path)
    del before['hits.fs.index']  # it is written again when the file is closed
    assert after == before
    fill(server, 1)
    assert pack(server, 0.0).after < len(before['hits.fs'])


def test_a_disk_that_fails_while_the_packed_file_is_written_is_named(
    server: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(path)
    monkeypatch.setattr(os, 'fsync', lambda _: raise_(OSError(errno.EIO, os.strerror(errno.EIO))))
    with pytest.raises(PackFailed, match=rf"Input/output error: '{path}\.pack'\): check the disk"):
        pack(server, 0.0)
    assert files(path) == before


def test_when_the_folder_of_the_packed_file_cannot_be_written_it_is_only_read_until_it_is_opened_again(
    server: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as failing:
        sync = disk.sync
        error = OSError(errno.EIO, os.strerror(errno.EIO))
        failing.setattr(guarded, 'sync', lambda name: raise_(error) if name == str(path.parent) else sync(name))
        with pytest.raises(PackFailed, match=r'was packed, and can only be read since its disk failed'):
            pack(server, 0.0)
    with pytest.raises(StorageError, match='start the server again'):
        fill(server, 1)
    with server.db.transaction() as connection:
        assert connection.root()['mapping']['key'] == 'secret' * 1000


def raise_(error: Exception) -> None:
    raise error


@pytest.mark.parametrize('through', ['server', 'client'])
def test_a_reference_to_what_is_missing_is_said(server: Database, path: Path, through: str) -> None:
    with server.db.transaction() as connection:
        lost = connection.root()['mapping']
        connection.root()['holder'] = PersistentMapping({'lost': lost})
        storage, oid, serial = server.db.storage, lost._p_oid, lost._p_serial
    transaction = TransactionMetaData()
    storage.tpc_begin(transaction)
    storage.deleteObject(oid, serial, transaction)
    storage.tpc_vote(transaction)
    storage.tpc_finish(transaction)
    before = files(path)
    said = rf'as it was: an object refers to object {u64(oid):#x}, which is missing'
    with open_database(f'file:{path}') as client, pytest.raises(PackMetDamage, match=said):
        pack(server if through == 'server' else client, 0.0)
    assert files(path) == before


def test_an_object_that_cannot_be_read_is_said(server: Database, path: Path) -> None:
    content = path.read_bytes()
    place = content.rindex(b'secret')
    with open(path, 'r+b') as file:
        file.seek(content.rindex(b'persistent.mapping', 0, place))
        file.write(b'\xff' * 60)
    with pytest.raises(PackMetDamage, match=r'as it was: the object at byte \d+ cannot be read'):
        pack(server, 0.0)


def test_it_is_due_when_time_has_passed_since_the_last_one_even_if_it_was_another_process(
    server: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack_if_due(server, 3600.0, 0.0)  # the first transaction was just now
    assert PackStamp.read(str(path)) is None
    moment = time.time()
    for passed, packs in [(3599.0, False), (3601.0, True), (3602.0, False), (-60.0, True)]:
        before = PackStamp.read(str(path))
        monkeypatch.setattr(time, 'time', lambda passed=passed: moment + passed)
        pack_if_due(server, 3600.0, 0.0)
        assert (PackStamp.read(str(path)) != before) is packs, passed


def test_it_is_due_when_the_file_has_doubled(server: Database, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, 'SMALL', 1000)
    pack_if_due(server, 3600.0, 0.0)
    first = PackStamp.read(str(path))
    pack_if_due(server, 3600.0, 0.0)
    assert PackStamp.read(str(path)) == first
    fill(server, 2)
    pack_if_due(server, 3600.0, 0.0)
    assert PackStamp.read(str(path)) != first


@pytest.mark.parametrize('left', [b'', b'{', b'{"time": 5}', b'\0' * 50])
def test_a_note_that_a_power_failure_left_unwritten_is_none(path: Path, left: bytes) -> None:
    path.touch()
    Path(f'{path}{PackStamp.SUFFIX}').write_bytes(left)
    assert PackStamp.read(str(path)) is None
    PackStamp(1.0, 2, 3, 4.0).write(str(path))
    assert PackStamp.read(str(path)) == PackStamp(1.0, 2, 3, 4.0)
    assert os.stat(f'{path}{PackStamp.SUFFIX}').st_mode & 0o777 == 0o600


def test_a_note_that_cannot_be_written_does_not_undo_what_it_tells_of(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    PackStamp(1.0, 2, 3, 4.0).write(f'{path}/nosuch')
    assert 'could not be written' in caplog.text
