"""hitcounter migrate, as a process of its own, on a database that an earlier version of another package made."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hitcounter.state import open_database
from tests.support.places import FROZEN

if TYPE_CHECKING:
    from tests.support.servers import Run, Start

#: What the status says of our own components in a database that another program made.
MADE_BY_THE_NEXT_START = ''.join(f'{name}: is made by the next start of the server\n' for name in ('hits', 'lines'))


CHANGES = """\
polls: schema 1 to 3
  to 2: What was a choice is an option.
  to 3: The votes of each option are counted beside it, and merge.
polls: is a polls.Polls now
objects changed: 10 (1 BTrees.OOBTree.OOBTree, 3 persistent.list.PersistentList, \
2 persistent.mapping.PersistentMapping, 3 polls.Option, 1 polls.Polls)
objects created: 4 (3 BTrees.Length.Length, 1 BTrees.OOBTree.OOBTree)
"""


@pytest.fixture
def version(environment: dict[str, str]) -> Callable[[int], dict[str, str]]:
    """The variables of a process that has the polls of that version installed."""
    return lambda version: {
        'PYTHONPATH': os.pathsep.join([str(FROZEN / 'polls' / str(version)), environment['PYTHONPATH']])
    }


@pytest.fixture
def zeo(file: Path, storage: str) -> Iterator[str]:
    """The URI of the same database, behind a server of ZEO."""
    with open_database(storage, share=True):
        yield f'zeo://{file}.shared/socket?wait_timeout=5'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """This test's database, of the polls of version 1."""
    return Path(shutil.copy(FROZEN / 'polls-1.fs', tmp_path / 'hits.fs'))


def test_an_older_database_is_refused_by_the_server_and_served_once_migrated(
    hitcounter: Run, start: Start, shell: Run, version: Callable[[int], dict[str, str]], file: Path
) -> None:
    now, before = version(3), file.read_bytes()
    refused = hitcounter('serve', '--listen', '127.0.0.1:0', env=now)
    assert (refused.returncode, refused.stderr.splitlines()[-1]) == (
        1,
        'Error: the database holds schema 1 of \'polls\', and this program needs 3: run "hitcounter migrate" (try '
        '--status and --dry-run first)',
    )
    asked = hitcounter('migrate', '--status', env=now)
    assert (asked.returncode, asked.stdout, asked.stderr) == (
        3,
        f'{MADE_BY_THE_NEXT_START}polls: schema 1, to be migrated to 3\n',
        '',
    )
    tried = hitcounter('migrate', '--dry-run', env=now)
    assert (tried.returncode, tried.stdout, tried.stderr) == (
        0,
        CHANGES + 'nothing was stored: this was a dry run\n',
        '',
    )
    assert file.read_bytes() == before

    done = hitcounter('migrate', env=now)

    told, _, changes = done.stdout.partition('\n')
    assert (done.returncode, changes, done.stderr) == (0, CHANGES, '')
    backup = Path(told.removeprefix('backed up: '))
    assert backup.parent == Path(f'{file}.backups')
    assert backup.read_bytes() == before
    assert start(env=now).number() == 1
    asked = hitcounter('migrate', '--status', env=now)
    assert (asked.returncode, asked.stdout, asked.stderr) == (
        0,
        'hits: schema 2, as it should be\nlines: schema 1, as it should be\npolls: schema 3, as it should be\n',
        '',
    )
    shown = shell('-c', 'print(polls.result())', env=now)
    assert (shown.stdout, shown.stderr) == ("{'coffee': 34, 'maté': 33, 'tea': 33}\n", '')


def test_status_and_dry_run_work_beside_a_server_of_the_earlier_version_and_the_run_does_not(
    hitcounter: Run, start: Start, version: Callable[[int], dict[str, str]], file: Path
) -> None:
    server = start(env=version(1))
    assert hitcounter('migrate', '--status', env=version(3)).returncode == 3
    tried = hitcounter('migrate', '--dry-run', env=version(3))
    assert (tried.returncode, tried.stdout.partition('\n')[0]) == (0, 'polls: schema 1 to 3')
    refused = hitcounter('migrate', env=version(3))
    assert (refused.returncode, refused.stdout) == (1, '')
    owner = f'the process with id {server.process.pid}'
    assert refused.stderr == f"Error: '{file}' is open in {owner}: stop that one first\n"
    assert server.number() == 1


def test_a_step_that_fails_is_told_with_its_traceback_and_changes_nothing(
    hitcounter: Run, version: Callable[[int], dict[str, str]], file: Path, tmp_path: Path
) -> None:
    site = shutil.copytree(FROZEN / 'polls' / '3', tmp_path / 'site')
    code = (site / 'polls.py').read_text()
    (site / 'polls.py').write_text(code.replace('Length(option.votes)', 'Length(option.vote)'))
    before = file.read_bytes()
    failed = hitcounter(
        'migrate',
        '--backup',
        'kept',
        env={'PYTHONPATH': version(3)['PYTHONPATH'].replace(str(FROZEN / 'polls' / '3'), str(site))},
    )
    assert failed.returncode == 1
    assert [line.partition(':')[0] for line in failed.stdout.splitlines()] == ['backed up']
    assert len(list((tmp_path / 'kept').glob('*.fs'))) == 1
    assert 'self.votes[name] = Length(option.vote)' in failed.stderr
    said = failed.stderr.splitlines()[-1]
    assert said.startswith(
        "Error: component 'polls' could not be migrated to schema 3 (AttributeError: 'Option' object has no attribute "
        "'vote', in "
    )
    assert '/polls.py, line ' in said
    assert said.endswith(', and nothing was changed: correct its count_by_themselves()')
    assert file.read_bytes() == before


def test_a_newer_database_is_refused(hitcounter: Run, version: Callable[[int], dict[str, str]], file: Path) -> None:
    assert hitcounter('migrate', '--no-backup', env=version(3)).returncode == 0
    refused = hitcounter('serve', '--listen', '127.0.0.1:0', env=version(1))
    assert refused.returncode == 1
    assert "schema 3 of 'polls', newer than the 1 of this program: install the version" in refused.stderr
    for options in ('--status',), ():
        refused = hitcounter('migrate', *options, env=version(1))
        assert (refused.returncode, refused.stderr) == (
            1,
            "Error: the database holds schema 3 of 'polls', newer than the 1 of this program: install the version "
            'that wrote it\n',
        )
        assert refused.stdout == (
            f'{MADE_BY_THE_NEXT_START}polls: schema 3, newer than the 1 of this program\n'
            if options == ('--status',)
            else ''
        )
    assert not Path(f'{file}.backups').exists()


def test_a_component_whose_code_is_missing_is_given_up_only_by_its_name(
    hitcounter: Run, start: Start, version: Callable[[int], dict[str, str]], file: Path
) -> None:
    missing = (
        "Error: the database holds the component 'polls', whose code is missing here: install its package, or "
        'drop it with what it stored ("hitcounter migrate --drop polls")\n'
    )
    for command in ('migrate', '--status'), ('migrate',), ('serve', '--listen', '127.0.0.1:0'):
        refused = hitcounter(*command)
        assert (refused.returncode, refused.stderr) == (1, missing)
    wrong = hitcounter('migrate', '--drop', 'hits', '--drop', 'polls')
    assert (wrong.returncode, wrong.stdout) == (1, '')
    assert "'hits' cannot be dropped" in wrong.stderr
    done = hitcounter('migrate', '--drop', 'polls', '--no-backup')
    assert (done.returncode, done.stderr) == (0, '')
    assert (
        done.stdout == 'polls: removed\nobjects changed: 2 (2 persistent.mapping.PersistentMapping)\n'
        'objects created: none\n'
    )
    assert start().number() == 1


def test_a_database_that_fits_is_left_as_it_is(hitcounter: Run, count: Callable[..., None], tmp_path: Path) -> None:
    count('31415')
    before = (tmp_path / 'hits.fs').read_bytes()
    for options in (), ('--dry-run',):
        done = hitcounter('migrate', *options)
        assert (done.returncode, done.stdout, done.stderr) == (0, 'nothing to migrate\n', '')
    assert (tmp_path / 'hits.fs').read_bytes() == before
    assert not (tmp_path / 'hits.fs.backups').exists()


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        (('--status', '--dry-run'), '--status cannot be combined with other options'),
        (('--status', '--drop', 'polls'), '--status cannot be combined with other options'),
        (('--backup', 'kept', '--no-backup'), '--backup and --no-backup contradict each other'),
        (('--status', '--drop', 'polls', '--storage', 'not-a-uri'), '--status cannot be combined with other options'),
        (('now',), 'unexpected extra argument (now)'),
    ],
)
def test_wrong_options_are_said_and_end_with_status_2(hitcounter: Run, options: tuple[str, ...], said: str) -> None:
    done = hitcounter('migrate', *options)
    assert (done.returncode, done.stdout) == (2, '')
    assert said in done.stderr


def test_a_database_that_is_not_there_is_said(hitcounter: Run) -> None:
    for options in (), ('--status',), ('--dry-run',):
        done = hitcounter('migrate', *options)
        assert (done.returncode, done.stdout) == (1, '')
        assert 'is not a database yet' in done.stderr


def test_a_storage_that_is_no_file_must_be_backed_up_by_its_own_means(
    hitcounter: Run, version: Callable[[int], dict[str, str]], zeo: str
) -> None:
    env = {**version(3), 'HITCOUNTER_STORAGE': zeo}
    refused = hitcounter('migrate', env=env)
    assert (refused.returncode, refused.stdout) == (1, '')
    assert refused.stderr.endswith('is not a file: back it up by its own means, then give --no-backup\n')
    tried = hitcounter('migrate', '--dry-run', env=env)
    assert (tried.returncode, tried.stdout) == (0, CHANGES + 'nothing was stored: this was a dry run\n')
    done = hitcounter('migrate', '--no-backup', env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, CHANGES, '')
    assert hitcounter('migrate', '--status', env=env).returncode == 0


def test_data_that_a_migration_trips_over_is_corrected_in_the_shell_though_its_classes_have_moved(
    hitcounter: Run, shell: Run, version: Callable[[int], dict[str, str]], file: Path
) -> None:
    code = 'root["polls"].choices["tea"].votes = 99; commit("a typing error")'
    refused = shell('--write', '-c', code, env=version(3))
    assert (refused.returncode, 'or give --unmigrated as well' in refused.stderr) == (1, True)

    corrected = shell('--write', '--unmigrated', '-c', code, env=version(3))

    assert corrected.returncode == 0, corrected.stderr
    assert hitcounter('migrate', env=version(3)).returncode == 0
    done = shell('-c', 'from polls import Polls; print(state[Polls].result()["tea"])', env=version(3))
    assert (done.stdout, done.stderr) == ('99\n', '')
