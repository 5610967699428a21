"""hitcounter-shell, given code."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hitcounter.hits import HitCounter
from tests.support.places import FROZEN

if TYPE_CHECKING:
    from tests.support.servers import Run, ServerProcess

COUNT = 'print(hits.count("31415"))'


WITH_SERVER = pytest.mark.parametrize('shared', [False, True], ids=['alone', 'beside the server'])


# Scripts.


def test_code_can_be_given_as_an_argument(counted: None, shell: Run) -> None:
    done = shell('-c', COUNT)

    assert (done.returncode, done.stdout, done.stderr) == (0, '2\n', '')


def test_code_can_come_on_standard_input(counted: None, shell: Run) -> None:
    done = shell(input=f'for number in (1, 2):\n    print(hits.call("31415", number).caller.unique_id)\n\n{COUNT}\n')

    assert (done.returncode, done.stdout, done.stderr) == (0, '1.1\n1.2\n2\n', '')


def test_code_can_be_a_file(counted: None, shell: Run, tmp_path: Path) -> None:
    (tmp_path / 'report.py').write_text(f'if __name__ == "__main__":\n    {COUNT}\n')

    done = shell('report.py')

    assert (done.returncode, done.stdout, done.stderr) == (0, '2\n', '')


def test_the_same_works_beside_the_server(server: ServerProcess, shell: Run) -> None:
    server.call()

    done = shell('-c', COUNT)

    assert (done.returncode, done.stdout, done.stderr) == (0, '1\n', '')


def test_a_script_that_fails_shows_where_and_ends_with_status_1(counted: None, shell: Run, tmp_path: Path) -> None:
    (tmp_path / 'report.py').write_text(f'{COUNT}\nhits.call("31415", 3)\n')

    done = shell('report.py')

    assert done.returncode == 1
    assert done.stdout == '2\n'
    assert 'Traceback' in done.stderr
    assert 'report.py", line 2' in done.stderr
    assert done.stderr.splitlines()[-1] == 'KeyError: 3'


@pytest.mark.parametrize('code', ['1 +', 'nothing', 'raise ValueError("no")'])
def test_any_error_is_status_1(counted: None, shell: Run, code: str) -> None:
    assert shell('-c', code).returncode == 1
    assert shell(input=code).returncode == 1


def test_a_script_can_choose_its_status(counted: None, shell: Run) -> None:
    done = shell('-c', 'raise SystemExit(3)')

    assert (done.returncode, done.stderr) == (3, '')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--bogus'], "No such option '--bogus'"),
        (['no-such-file.py'], "'no-such-file.py' does not exist"),
        (['.'], "'.' is a directory"),
        (['-c'], "Option '-c' requires an argument"),
    ],
)
def test_wrong_arguments_are_status_2(shell: Run, arguments: list[str], message: str) -> None:
    done = shell(*arguments)

    assert done.returncode == 2
    assert message in done.stderr
    assert 'Traceback' not in done.stderr


def test_a_missing_database_is_said_and_not_made(shell: Run, tmp_path: Path) -> None:
    done = shell('-c', COUNT)

    assert done.returncode == 1
    assert done.stderr == (
        f"Error: '{tmp_path}/hits.fs' is not a database yet: start hitcounter-serve, which creates it\n"
    )
    assert list(tmp_path.glob('hits.fs*')) == []


def test_a_file_of_something_else_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / 'diary').write_text('Dear diary\n')

    done = run('shell', '--storage', f'file://{tmp_path}/diary', '-c', '1')

    assert done.returncode == 1
    assert 'is not a ZODB database file, and was left as it is' in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_script_finds_its_arguments_and_what_is_in_its_folder(counted: None, shell: Run, tmp_path: Path) -> None:
    (tmp_path / 'reports').mkdir()
    (tmp_path / 'reports' / 'wording.py').write_text('TEXT = "calls"\n')
    (tmp_path / 'reports' / 'report.py').write_text(
        'import sys\nfrom wording import TEXT\nprint(sys.argv, hits.count(sys.argv[1]), TEXT)\n'
    )

    done = shell('reports/report.py', '31415', '--write')
    piped = shell('-', '31415', input='import sys; print(sys.argv)')
    given = shell('-c', 'import sys; print(sys.argv)', '31415', '--write')

    assert (done.returncode, done.stdout) == (0, "['reports/report.py', '31415', '--write'] 2 calls\n")
    assert (piped.returncode, piped.stdout) == (0, "['-', '31415']\n")
    assert (given.returncode, given.stdout) == (0, "['-c', '31415', '--write']\n")


def test_a_script_that_is_interrupted_says_so(counted: None, shell: Run) -> None:
    done = shell('-c', 'import os, signal; os.kill(os.getpid(), signal.SIGINT); signal.pause()')

    assert (done.returncode, done.stderr) == (130, 'interrupted\n')


def test_a_commit_that_is_interrupted_ends_first_and_the_message_says_what_became_of_it(
    counted: None, shell: Run, tmp_path: Path
) -> None:
    (tmp_path / 'pressing.py').write_text(
        'import os, signal\n'
        'from persistent import Persistent\n'
        'class Pressing(Persistent):\n'
        '    def __getstate__(self):\n'
        '        os.kill(os.getpid(), signal.SIGINT)\n'
        '        return super().__getstate__()\n'
    )
    (tmp_path / 'change.py').write_text(
        'from pressing import Pressing\nroot["pressed"] = Pressing()\ncommit()\nprint("never")\n'
    )

    done = shell('--write', 'change.py')

    assert (done.returncode, done.stdout, done.stderr) == (130, '', 'interrupted: the changes had been stored\n')
    assert shell('-c', 'print("pressed" in root)').stdout == 'True\n'


@WITH_SERVER
def test_an_update_that_is_interrupted_ends_first_too(shared: bool, beside: Callable[[bool], None], shell: Run) -> None:
    beside(shared)
    code = (
        'import os, signal\n'
        'def pressed(parts):\n'
        '    parts[HitCounter].forget("1", 0.0)\n'
        '    os.kill(os.getpid(), signal.SIGINT)\n'
        'state.update(pressed)'
    )

    done = shell('--write', '-c', code)

    assert (done.returncode, done.stderr) == (130, 'interrupted: pressed had been stored\n')


def test_a_script_that_loses_its_server_says_so_in_a_sentence(server: ServerProcess, shell: Run) -> None:
    code = f"""
import os, signal
sync()
os.kill({server.process.pid}, signal.SIGKILL)
while True:
    sync()
"""

    done = shell(input=code)

    assert done.returncode == 1
    assert done.stderr == (
        'Error: -, line 6: the process that serves the database is gone or not responding: try again when it is back.\n'
    )


def test_a_script_needs_no_ipython(counted: None, shell: Run) -> None:
    done = shell('-c', 'import sys; print("IPython" in sys.modules, hits.count("31415"))')

    assert done.stdout == 'False 2\n'


# The state.


def test_queries_of_the_state_can_be_asked_and_updates_not(counted: None, shell: Run) -> None:
    code = """
print(state[HitCounter].count("31415"), state.query(lambda parts: parts[HitCounter].lines()))
for update in (lambda: state[HitCounter].hit("31415", None), lambda: state.update(print)):
    try:
        update()
    except Exception as error:
        print(type(error).__name__, error)
"""

    done = shell('-c', code)

    refused = 'ReadOnly this state is read-only: open it for writing to change it\n'
    assert done.stdout == "2 {'31415': 2}\n" + 2 * refused


HIT = 'from hitcounter.hits import Caller; print(state[HitCounter].hit("31415", Caller(None, None, "x")))'


def test_an_update_of_the_state_is_stored_at_once(server: ServerProcess, shell: Run) -> None:
    server.call()

    done = shell('--write', '-c', f'{HIT}; print(hits.count("31415")); sync(); print(hits.count("31415"))')

    assert (done.returncode, done.stdout, done.stderr) == (0, '2\n1\n2\n', '')
    assert server.number() == 3


def test_no_file_of_the_database_is_for_others(server: ServerProcess, tmp_path: Path) -> None:
    server.stop()

    modes = {os.stat(file).st_mode & 0o077 for file in tmp_path.glob('hits.fs*')}

    assert modes == {0}


# A database that is to be migrated.


@pytest.fixture
def older(storage: str, tmp_path: Path) -> str:
    """A database of schema 1 of the hit counter; what is wrong with it."""
    shutil.copy(FROZEN / 'hits-1.fs', tmp_path / 'hits.fs')
    return (
        f"the database holds schema 1 of 'hits', and this program needs {HitCounter.schema}: run "
        '"hitcounter migrate" (try --status and --dry-run first)'
    )


def test_a_database_that_is_to_be_migrated_is_shown_with_a_warning(older: str, shell: Run) -> None:
    done = shell('-c', 'print(root["schemas"]["hits"])')

    assert (done.returncode, done.stdout) == (0, '1\n')
    assert done.stderr == f'Warning: {older}; until then the shell may show wrong values.\n'


def test_a_database_that_is_to_be_migrated_is_changed_only_if_that_is_said(older: str, shell: Run) -> None:
    code = 'root["note"] = "fixed"; commit()'

    refused = shell('--write', '-c', code)
    assert (refused.returncode, refused.stdout) == (1, '')
    assert refused.stderr == f'Error: {older}; or give --unmigrated as well to change it as it is\n'
    changed = shell('--write', '--unmigrated', '-c', code)
    assert (changed.returncode, changed.stdout) == (0, '')
    assert changed.stderr.startswith(f'Warning: {older}')
    assert shell('-c', 'print(root["note"])').stdout == 'fixed\n'


def test_unmigrated_goes_with_write_alone(counted: None, shell: Run) -> None:
    done = shell('--unmigrated', '-c', COUNT)
    assert (done.returncode, done.stdout) == (2, '')
    assert '--unmigrated needs --write' in done.stderr
    assert shell('--write', '--unmigrated', '-c', COUNT).stderr == ''  # it fits


def test_a_component_whose_code_is_missing_is_warned_of(shell: Run, storage: str, tmp_path: Path) -> None:
    shutil.copy(FROZEN / 'polls-1.fs', tmp_path / 'hits.fs')

    done = shell('-c', 'print(list(root["schemas"]))')

    assert (done.returncode, done.stdout) == (0, "['polls']\n")
    assert done.stderr.startswith("Warning: the database holds the component 'polls', whose code is missing here")
    assert shell('--write', '-c', 'pass').returncode == 1
