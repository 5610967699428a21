"""hitcounter verify, as a process of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hitcounter.commands.advice import with_restore
from tests.support.places import FROZEN

if TYPE_CHECKING:
    from tests.support.servers import Run, ServerProcess


def test_a_whole_database_is_whole_also_while_it_is_served(hitcounter: Run, server: ServerProcess) -> None:
    server.number()
    done = hitcounter('verify')
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == '18 objects checked, no damage found\n'


def test_each_finding_is_a_line_and_the_status_is_1(
    hitcounter: Run, count: Callable[..., None], tmp_path: Path
) -> None:
    count('31415')
    path = tmp_path / 'hits.fs'
    content = path.read_bytes()
    path.write_bytes(content.replace(b'_records', b'_recordz'))
    done = hitcounter('verify')
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "hits cannot be checked (AttributeError: '_Piece' object has no attribute '_records')"
    ]
    assert done.stderr == (
        f'the database ({path}, as it was when opened) is damaged: 1 finding; {with_restore("restore a backup")}\n'
    )


def test_what_cannot_be_opened_is_said_in_a_sentence(hitcounter: Run, tmp_path: Path) -> None:
    (tmp_path / 'hits.fs').write_bytes(b'a letter to somebody\n' * 9)
    done = hitcounter('verify')
    assert (done.returncode, done.stdout) == (1, '')
    assert 'is not a ZODB database file' in done.stderr


def test_missing_code_and_failing_code_each_have_their_verdict(
    hitcounter: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    shutil.copy(FROZEN / 'polls-1.fs', tmp_path / 'hits.fs')
    done = hitcounter('verify')
    assert done.returncode == 1
    assert 'needs the class ballots.Ballots, which cannot be found (ModuleNotFoundError: No module named' in done.stdout
    assert done.stderr == (
        f'the database ({tmp_path}/hits.fs, as it was when opened) needs code that is missing here: '
        f'{len(done.stdout.splitlines())} findings; install the packages that stored it, in versions that have that '
        f'code\n'
    )

    source = (FROZEN / 'polls' / '1' / 'ballots.py').read_text()
    (tmp_path / 'ballots.py').write_text(f'{source}\n    def check(self):\n        return self.nosuch\n')
    done = hitcounter('verify', env={'PYTHONPATH': f'{tmp_path}:{environment["PYTHONPATH"]}'})
    line = len(source.splitlines()) + 3
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        f"polls cannot be checked, because its code fails (AttributeError: 'Ballots' object has no attribute 'nosuch', "
        f'in {tmp_path}/ballots.py, line {line})\n',
        f'the database ({tmp_path}/hits.fs, as it was when opened) meets code that fails: 1 finding; fix that '
        f'code, in the places that they name\n',
    )


def test_zeros_in_the_middle_are_found_although_the_index_leads_past_them(
    hitcounter: Run, count: Callable[..., None], tmp_path: Path
) -> None:
    count(*['31415'] * 20)
    path = tmp_path / 'hits.fs'
    assert Path(f'{path}.index').exists()
    with path.open('r+b') as data:
        data.seek(path.stat().st_size // 2)
        data.write(bytes(2000))  # more than one transaction
    done = hitcounter('verify')
    assert done.returncode == 1
    assert 'the transactions after the one of' in done.stdout
