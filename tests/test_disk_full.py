"""A full disk: who calls hears an apology and is not counted, and the server counts on once there is room."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from hitcounter.hits import APOLOGY, HitCounter
from hitcounter.lines.component import Lines
from hitcounter.simulator import Answered, Played, SaidNumber
from hitcounter.state import State, open_database

if TYPE_CHECKING:
    from tests.support.servers import Run, ServerProcess, Start

#: So much fills the pages of a file's end many times over, and stands for what callers send.
LONG_NAME = 'n' * 5000


class Disk(Protocol):
    """Where a server has its database, with little room."""

    def start(self, start: Start) -> ServerProcess: ...

    def make_room(self) -> None: ...

    def files(self) -> Path:
        """The folder of the database, once the server has ended."""


class SmallDisk:
    """A file system of its own, of 700 KB, most of them taken by a file that can be removed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # It lives as long as this process, in a mount namespace that nobody else sees.
        self._keeper = subprocess.Popen(
            [
                *('unshare', '--mount', 'sh', '-c'),
                'mount -t tmpfs -o size=700k tmpfs "$1" && head -c 400000 /dev/zero >"$1/ballast" && echo && exec cat',
                *('sh', str(folder)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._keeper.stdout
        if not self._keeper.stdout.readline():
            self.close()
            pytest.skip('a file system can be mounted here by root only, and not even by root everywhere')

    def start(self, start: Start) -> ServerProcess:
        inside = ('nsenter', f'--mount=/proc/{self._keeper.pid}/ns/mnt', '--')
        return start(at=f'file://{self._folder}/hits.fs', inside=inside)

    def make_room(self) -> None:
        (self.files() / 'ballast').unlink()

    def files(self) -> Path:
        return Path(f'/proc/{self._keeper.pid}/root{self._folder}')

    def close(self) -> None:
        with self._keeper:
            self._keeper.kill()


class Quota:
    """The limit that the system sets to the files of a process: for tests by anyone, anywhere."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self, start: Start) -> ServerProcess:
        server = start(at=f'file://{self._folder}/hits.fs')
        self._pid = server.process.pid
        resource.prlimit(
            self._pid, resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY)
        )  # the data of coverage fit
        return server

    def make_room(self) -> None:
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def files(self) -> Path:
        return self._folder

    def close(self) -> None:
        pass


@pytest.fixture(params=[SmallDisk, Quota])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / 'disk'
    folder.mkdir()
    with closing(request.param(folder)) as disk:
        yield disk


def call_until_full(server: ServerProcess) -> list[int]:
    """The numbers that were heard before the first apology."""
    heard: list[int] = []
    for _ in range(4000):
        call = server.call(caller_name=LONG_NAME)
        numbers = [event.number for event in call.events if isinstance(event, SaidNumber)]
        if not numbers:
            return heard
        heard += numbers
    raise AssertionError('the disk was never full')


def test_the_caller_hears_an_apology_and_the_server_counts_on_once_there_is_room(
    disk: Disk, start: Start, tmp_path: Path
) -> None:
    server = disk.start(start)
    heard = call_until_full(server)
    during = [server.call(caller_name=LONG_NAME) for _ in range(5)]

    disk.make_room()
    heard += [server.number() for _ in range(3)]

    assert heard == list(range(1, len(heard) + 1))
    for call in during:
        assert call.events == [Answered(), *map(Played, APOLOGY)]
        assert call.status == 'FAILURE'
        assert (call.variables['HITCOUNTER_RESULT'], call.variables['HITCOUNTER_NUMBER']) == ('ERROR', '')
    server.log.wait(' line=', len(heard) + 1 + len(during))
    errors = server.log.lines('ERROR')
    assert len(errors) == 1 + len(during)
    assert all('hits.hit could not be stored: ' in line for line in errors)
    assert len(server.log.lines(': failed after ')) == 1 + len(during)
    listening = 2  # lines: that the database is new, and where it listens
    assert len(server.log.lines()) == listening + len(heard) + 2 * len(errors)
    server.kill()
    assert count_in_a_copy(disk, tmp_path) == len(heard)


def count_in_a_copy(disk: Disk, folder: Path) -> int:
    copy = folder / 'copy'
    shutil.copytree(disk.files(), copy, ignore=shutil.ignore_patterns('*.shared'))
    with (
        open_database(f'file:{copy}/hits.fs', share=True) as database,
        State(database, [HitCounter, Lines]) as state,
    ):
        return state[HitCounter].count('31415')


def test_a_server_ends_well_on_a_full_disk_and_all_that_was_heard_is_there(
    disk: Disk, start: Start, tmp_path: Path
) -> None:
    server = disk.start(start)
    heard = call_until_full(server)

    assert server.stop() == 0
    assert count_in_a_copy(disk, tmp_path) == len(heard)


def test_queries_go_on_while_the_disk_is_full(start: Start, storage: str, shell: Run) -> None:
    server = start()
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
    heard = call_until_full(server)

    looked = shell('-c', 'print(hits.count("31415"))')
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    assert (looked.returncode, looked.stdout) == (0, f'{len(heard)}\n')


@contextmanager
def room(path: Path, more: int) -> Iterator[None]:
    """Let this process write no file that is larger than the one at `path` and `more` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize('size', [50, 5000, 50_000, 500_000])
@pytest.mark.parametrize('more', [0, 1, 22, 100, 3000, 20_000])
def test_what_did_not_fit_leaves_nothing_in_the_file(
    tmp_path: Path, size: int, more: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / 'hits.fs'
    with ExitStack() as resources:
        database = resources.enter_context(closing(open_database(f'file:{path}', share=True)))

        def put(content: bytes) -> None:
            with database.db.transaction() as connection:
                connection.root()['content'] = content

        put(b'small')
        before = path.stat().st_size
        put(b'small')
        whole = path.stat().st_size
        with room(path, more):
            refused = 0
            for _ in range(3):
                try:
                    put(os.urandom(size))
                except OSError:
                    refused += 1
                    assert path.stat().st_size - whole <= more
        if not refused:
            assert size + 150 < more
        after = path.stat().st_size
        put(b'small')

        assert path.stat().st_size - after == whole - before
        assert caplog.text == ''
