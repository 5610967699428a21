"""hitcounter forget, as a process of its own, and the forgetting of hitcounter-serve."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.servers import Run, Start

CALLER = '+49 89 1234567'


def test_who_called_is_gone_from_the_disk_after_a_pack_and_the_counts_stay(
    hitcounter: Run, start: Start, tmp_path: Path
) -> None:
    server = start()
    for _ in range(3):
        server.number(caller_id=CALLER)
    done = hitcounter('forget', '--keep-calls', '0s')
    assert (done.returncode, done.stdout, done.stderr) == (0, '3 calls forgotten\n', '')
    assert 'hits.fs' in holds_the_caller(tmp_path)
    assert hitcounter('pack', '--pack-keep', '0s').returncode == 0
    assert holds_the_caller(tmp_path) == []
    assert server.number() == 4
    asked = hitcounter('shell', '-c', 'print(hits.count("31415")); hits.call("31415", 2)')
    assert asked.stdout == '4\n'
    assert "KeyError: 'record 2 is forgotten, as are all below 4'" in asked.stderr


def holds_the_caller(folder: Path) -> list[str]:
    files = (path for path in folder.rglob('*') if path.is_file())
    return [path.name for path in files if CALLER.encode() in path.read_bytes()]


def test_what_is_younger_is_kept(hitcounter: Run, count: Callable[..., None]) -> None:
    count('31415')
    assert hitcounter('forget', '--keep-calls', '90 d').stdout == '0 calls forgotten\n'


def test_the_server_forgets_by_itself(start: Start) -> None:
    server = start('--keep-calls', '0s')
    server.number()
    server.log.wait(r'forgot 1 call of more than 0 s ago')
    assert server.number() == 2


def test_how_long_must_be_said(hitcounter: Run) -> None:
    done = hitcounter('forget')
    assert done.returncode == 2
    assert "Missing option '--keep-calls'" in done.stderr
