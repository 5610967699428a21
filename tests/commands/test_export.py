"""hitcounter export and import, as processes of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hitcounter.commands.output import new_file
from hitcounter.errors import HitcounterError
from hitcounter.hits import Caller, HitCounter
from hitcounter.hits.records import AT_ONCE
from hitcounter.state import State, open_database
from tests.support.patience import PATIENCE
from tests.support.places import FROZEN

if TYPE_CHECKING:
    from tests.support.servers import Run, ServerProcess

#: What was started in the background would ignore Ctrl-C.
_IMPORT = (
    'import signal; signal.signal(signal.SIGINT, signal.default_int_handler); '
    'from hitcounter.commands.main import main; main()'
)

ODD = Caller(None, b'Zo\xeb "x",\r\n=1+1'.decode('utf-8', 'surrogateescape'), '')


def test_what_is_exported_is_imported_elsewhere_and_exported_the_same(
    hitcounter: Run, count: Callable[..., None], tmp_path: Path
) -> None:
    count('27182', '31415')
    count('31415', '31415', caller=ODD)
    done = hitcounter('export', 'calls.csv')
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '4 calls written\n')
    assert (tmp_path / 'calls.csv').stat().st_mode & 0o777 == 0o600
    os.remove(tmp_path / 'hits.fs')
    os.remove(tmp_path / 'hits.fs.guard')
    count()
    done = hitcounter('import', 'calls.csv')
    assert (done.returncode, done.stdout, done.stderr) == (0, '4 calls imported, 0 already there\n', '4 calls read\n')
    hitcounter('export', 'again.csv')
    assert (tmp_path / 'again.csv').read_bytes() == (tmp_path / 'calls.csv').read_bytes()


def test_an_import_that_is_interrupted_says_how_many_calls_it_took_and_goes_on_the_next_time(
    hitcounter: Run, server: ServerProcess, environment: dict[str, str], storage: str
) -> None:
    rows = ''.join(
        f'{{"line": "1", "number": {number}, "time": "2026-01-31T12:00:00.000000Z", "caller_id": null, "name": null, '
        f'"unique_id": "{number}"}}\n'
        for number in range(1, AT_ONCE + 11)
    )
    with subprocess.Popen(
        [sys.executable, '-c', _IMPORT, 'import', '--format', 'jsonl', '-'],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, 'HITCOUNTER_STORAGE': storage},
    ) as importing:
        assert importing.stdin
        importing.stdin.write(rows)
        importing.stdin.flush()  # and more could follow
        with open_database(storage, read_only=True) as database:
            deadline = time.monotonic() + PATIENCE
            while (
                not State(database, [HitCounter], read_only=True)[HitCounter].count('1') and time.monotonic() < deadline
            ):
                pass
        importing.send_signal(signal.SIGINT)
        assert importing.stderr
        said = importing.stderr.read()
        importing.stdin.close()
    assert said.endswith(
        f'interrupted: {AT_ONCE} calls imported, 0 already there; import the whole file again to go on\n'
    )
    assert importing.returncode == 130
    again = hitcounter('import', '--format', 'jsonl', '-', input=rows)
    assert again.stdout == f'10 calls imported, {AT_ONCE} already there\n'


def test_standard_output_and_input_will_do_beside_the_server(hitcounter: Run, server: ServerProcess) -> None:
    server.number()
    calls = hitcounter('export', '-', '--format', 'jsonl').stdout
    following = calls.replace('"number": 1,', '"number": 2,')
    done = hitcounter('import', '--format', 'jsonl', '-', input=calls + following)
    assert done.stdout == '1 call imported, 1 already there\n'
    assert server.number() == 3
    refused = hitcounter('import', '--format', 'jsonl', '-', input=calls.replace('"number": 1,', '"number": 9,'))
    assert (refused.returncode, refused.stdout) == (1, '')
    assert "row 1: call 9 does not continue line '31415', whose next one is 4" in refused.stderr


def test_an_export_follows_no_link_and_leaves_no_part(
    hitcounter: Run, count: Callable[..., None], tmp_path: Path
) -> None:
    count('31415')
    (tmp_path / 'precious').write_text('precious')
    for name in 'calls.csv.part', 'dangling.csv':
        (tmp_path / name).symlink_to('precious' if name.endswith('part') else 'nowhere')

    assert hitcounter('export', 'calls.csv').returncode == 0
    refused = hitcounter('export', 'dangling.csv')

    assert (tmp_path / 'precious').read_text() == 'precious'
    assert not (tmp_path / 'calls.csv').is_symlink()
    assert (tmp_path / 'calls.csv').read_text().startswith('line,number')
    assert (refused.returncode, refused.stderr) == (1, "Error: 'dangling.csv' already exists: choose another name\n")
    assert not (tmp_path / 'nowhere').exists()
    assert [name.name for name in tmp_path.glob('*.part')] == ['calls.csv.part']


def test_an_export_never_replaces_what_came_meanwhile(tmp_path: Path) -> None:
    file = tmp_path / 'calls.csv'

    export = ExitStack()
    export.enter_context(new_file(str(file))).write(b'ours')
    file.write_bytes(b'theirs')
    with pytest.raises(HitcounterError, match=r"calls.csv' already exists: choose another name"):
        export.close()

    assert file.read_bytes() == b'theirs'
    assert list(tmp_path.iterdir()) == [file]


def test_a_full_disk_behind_standard_output_is_said(
    environment: dict[str, str], storage: str, count: Callable[..., None]
) -> None:
    count('31415')
    with open('/dev/full', 'w') as full:
        done = subprocess.run(
            [
                sys.executable,
                '-c',
                'from hitcounter.commands.main import main; main()',
                'export',
                '-',
                '--format',
                'csv',
            ],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment, 'HITCOUNTER_STORAGE': storage},
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == ('Error: standard output cannot be written (No space left on device): choose another place\n')


def test_an_existing_file_is_not_replaced(hitcounter: Run, count: Callable[..., None], tmp_path: Path) -> None:
    count('31415')
    (tmp_path / 'calls.csv').write_text('precious')
    done = hitcounter('export', 'calls.csv')
    assert done.returncode == 1
    assert "'calls.csv' already exists: choose another name" in done.stderr
    assert (tmp_path / 'calls.csv').read_text() == 'precious'


def test_wrong_arguments_are_said(hitcounter: Run, count: Callable[..., None]) -> None:
    count('31415')
    for arguments, status, said in [
        (
            ('export', 'calls.txt'),
            2,
            'give --format csv or --format jsonl, or a file whose name ends in .csv or .jsonl',
        ),
        (('import', 'nosuch.csv'), 1, "'nosuch.csv' cannot be read (No such file or directory): name another file"),
    ]:
        done = hitcounter(*arguments)
        assert (done.returncode, done.stdout) == (status, '')
        assert said in done.stderr


def test_calls_are_written_as_the_program_of_the_earlier_schema_imports_them(
    hitcounter: Run, count: Callable[..., None]
) -> None:
    count('31415', caller=Caller(None, None, '17.1', withheld=True))
    earlier = hitcounter('export', '--schema', '1', '--format', 'csv', '-').stdout
    assert earlier.splitlines()[0] == 'line,number,time,caller_id,name,unique_id'
    assert earlier.splitlines()[1].endswith(',,,"17.1"')
    assert hitcounter('import', '--format', 'csv', '-', input=earlier).stdout == '0 calls imported, 1 already there\n'


def test_a_database_of_an_earlier_schema_is_exported_as_that_schema_did(hitcounter: Run, tmp_path: Path) -> None:
    shutil.copy(FROZEN / 'hits-1.fs', tmp_path / 'hits.fs')
    before = hitcounter('export', '--schema', '1', '--format', 'csv', '-').stdout
    assert (before.count('\n'), 'withheld' in before) == (322, False)
    assert hitcounter('migrate').returncode == 0
    assert hitcounter('export', '--schema', '1', '--format', 'csv', '-').stdout == before


def test_a_database_with_forgotten_calls_is_moved_with_its_numbers_and_hours(
    hitcounter: Run, shell: Run, count: Callable[..., None], tmp_path: Path
) -> None:
    shutil.copy(FROZEN / 'hits-2.fs', tmp_path / 'hits.fs')
    ask = 'print(hits.lines(), {line: hits.hours(line) for line in hits.lines()})'
    before = shell('-c', ask).stdout
    assert hitcounter('export', '--forgotten', 'calls.csv').stderr == '330 calls written\n'
    os.remove(tmp_path / 'hits.fs')
    count()
    assert hitcounter('import', 'calls.csv').stdout == '330 calls imported, 0 already there\n'
    assert shell('-c', ask).stdout == before
    assert hitcounter('verify').returncode == 0
