"""The launchers in bin/, as a user starts them, on a copy of the tree whose package only shows its arguments.

The copy needs click alone, so that it is built in seconds, without a network, from the wheels of this tree.
"""

from __future__ import annotations

import configparser
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

TREE = Path(__file__).parent.parent
WHEELS = TREE / '.build/wheels'
MADE_WITH = Path(sys.prefix) / 'made-with'
SETTING_UP = 'hitcounter: setting up the commands in '
SHOW_ARGUMENTS = """
import sys

def main():
    print(*sys.argv[1:], sep='|')
    sys.exit(len(sys.argv) - 1)
"""

pytestmark = pytest.mark.skipif(
    not (WHEELS.is_dir() and MADE_WITH.is_file()), reason='needs the packages that bin/test has fetched'
)


def copy_tree(target: Path) -> Path:
    shutil.copytree(TREE / 'bin', target / 'bin')
    for name in ('buildout.cfg', 'pyproject.toml'):
        shutil.copy(TREE / name, target)
    metadata = configparser.ConfigParser()
    metadata.read(TREE / 'setup.cfg')
    metadata['options']['install_requires'] = '\nclick'
    with (target / 'setup.cfg').open('w') as file:
        metadata.write(file)
    (target / 'README.md').write_text('A copy.\n')
    (target / 'LICENSE').write_text('A copy.\n')
    (target / 'hitcounter').mkdir()
    for module in ('__init__', 'main', 'process', 'serve', 'shell'):
        (target / f'hitcounter/{module}.py').write_text(SHOW_ARGUMENTS)
    return target


@pytest.fixture(scope='module')
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A new user's, but for the packages and the Python of this tree."""
    return {
        'HOME': str(tmp_path_factory.mktemp('home')),
        'PATH': '/usr/local/bin:/usr/bin:/bin',
        'PIP_NO_INDEX': '1',
        'PIP_FIND_LINKS': WHEELS.as_uri(),
        'PYTHON': shutil.which(MADE_WITH.read_text().strip()) or sys.executable,
    }


@pytest.fixture(scope='module')
def built(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """A tree in a folder with a blank in its name, started once."""
    tree = copy_tree(tmp_path_factory.mktemp('a new') / 'tree')
    first = start(tree / 'bin/hitcounter', env=environment)
    assert first.stderr.startswith(SETTING_UP), first.stderr
    assert len(first.stderr.splitlines()) == 1
    assert first.returncode == 0, (tree / '.build/set-up.log').read_text()
    return tree


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """A tree that was never started."""
    return copy_tree(tmp_path / 'tree')


def start(
    launcher: Path | str, *arguments: str, env: dict[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a launcher to its end."""
    return subprocess.run(
        [launcher, *arguments],
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=5 * PATIENCE,
    )


def begin(launcher: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    """Leave a launcher running, in a process group of its own."""
    return subprocess.Popen([launcher], env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)


def change(tree: Path) -> None:
    with (tree / 'buildout.cfg').open('a') as file:
        file.write('# changed\n')


@pytest.mark.parametrize('name', ['hitcounter', 'hitcounter-agi', 'hitcounter-serve', 'hitcounter-shell'])
def test_a_built_tree_starts_at_once_with_the_arguments_and_the_exit_status(
    name: str, built: Path, environment: dict[str, str]
) -> None:
    again = start(built / 'bin' / name, '--a b', "'\"$HOME", env=environment)
    assert (again.stdout, again.stderr, again.returncode) == ("--a b|'\"$HOME\n", '', 2)


def test_a_launcher_works_through_symbolic_links_from_anywhere(
    built: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / 'tree').symlink_to(built)
    (tmp_path / 'serve').symlink_to('tree/bin/hitcounter-serve')
    by_link = start('./serve', 'x', env=environment, cwd=tmp_path)
    assert (by_link.stdout, by_link.stderr) == ('x\n', '')


def test_bin_test_passes_its_arguments_to_pytest(environment: dict[str, str], tmp_path: Path) -> None:
    version = start(TREE / 'bin/test', '--version', env=environment | {'PYTHON': ''}, cwd=tmp_path)
    assert version.stdout + version.stderr == f'pytest {pytest.__version__}\n'


def test_a_changed_configuration_sets_up_again(built: Path, environment: dict[str, str]) -> None:
    change(built)
    assert start(built / 'bin/hitcounter', env=environment).stderr.startswith(SETTING_UP)
    assert start(built / 'bin/hitcounter', env=environment).stderr == ''


def test_a_missing_package_is_set_up_again(built: Path, environment: dict[str, str]) -> None:
    (click,) = built.glob('.build/eggs/*/click-*')
    shutil.rmtree(click)
    assert start(built / 'bin/hitcounter', env=environment).stderr.startswith(SETTING_UP)
    assert click.is_dir()


def test_an_interrupted_set_up_is_done_again(built: Path, environment: dict[str, str]) -> None:
    change(built)
    with begin(built / 'bin/hitcounter', environment) as interrupted:
        assert interrupted.stderr is not None
        assert interrupted.stderr.readline().startswith(SETTING_UP)
        os.killpg(interrupted.pid, signal.SIGKILL)
    again = start(built / 'bin/hitcounter', env=environment)
    assert again.stderr.startswith(SETTING_UP)
    assert again.returncode == 0


def test_a_second_launcher_waits_for_the_set_up_of_the_first(built: Path, environment: dict[str, str]) -> None:
    change(built)
    with (built / '.build/lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = begin(built / 'bin/hitcounter', environment)
        assert waiting.stderr is not None
        assert waiting.stderr.readline() == 'hitcounter: waiting for another set-up of this tree to end\n'
    with waiting:
        assert waiting.stderr.read().startswith(SETTING_UP)
    assert waiting.returncode == 0


def test_two_launchers_at_once_set_up_once(built: Path, environment: dict[str, str]) -> None:
    change(built)
    serve, shell = built / 'bin/hitcounter-serve', built / 'bin/hitcounter-shell'
    with begin(serve, environment) as one, begin(shell, environment) as two:
        said = one.communicate()[1] + two.communicate()[1]
    assert said.count(SETTING_UP) == 1
    assert (one.returncode, two.returncode) == (0, 0)


def test_a_copied_tree_sets_up_again_and_leaves_the_first_one_working(built: Path, environment: dict[str, str]) -> None:
    start(built / 'bin/hitcounter', env=environment)
    copy = shutil.copytree(built, built.with_name('copy'), symlinks=True)
    there = start(copy / 'bin/hitcounter', env=environment)
    assert there.stderr.startswith(f'{SETTING_UP}{copy}/')
    assert there.returncode == 0
    here = start(built / 'bin/hitcounter', env=environment)
    assert (here.stderr, here.returncode) == ('', 0)


def test_a_moved_tree_sets_up_again_in_its_new_place(built: Path, environment: dict[str, str]) -> None:
    moved = built.rename(built.with_name('moved'))
    try:
        there = start(moved / 'bin/hitcounter', env=environment)
        assert there.stderr.startswith(f'{SETTING_UP}{moved}/')
        assert there.returncode == 0
    finally:
        moved.rename(built)


# What must be there first. Without it: status 1, and a last line that says what to do.


def programs(folder: Path, *, without: str = '', python3: str = '') -> str:
    """A PATH with this machine's programs except those named, and perhaps a python3 that runs these lines."""
    folder.mkdir()
    for program in Path('/usr/bin').iterdir():
        if not program.name.startswith('python') and program.name != without:
            (folder / program.name).symlink_to(program)
    if python3:
        (folder / 'python3').write_text(f'#!/bin/sh\n{python3}\n')
        (folder / 'python3').chmod(0o755)
    return str(folder)


def refusal(tree: Path, env: dict[str, str]) -> str:
    refused = start(tree / 'bin/hitcounter', env=env)
    assert refused.returncode == 1
    assert refused.stdout == ''
    *before, last = refused.stderr.splitlines()
    assert all(line.startswith(SETTING_UP) for line in before)
    return last


@pytest.mark.parametrize('name', ['a:b', 'a[1]', 'a$b'])
def test_a_folder_whose_name_no_tool_can_take_is_said(tmp_path: Path, environment: dict[str, str], name: str) -> None:
    tree = copy_tree(tmp_path / name)

    refused = start(tree / 'bin/hitcounter', env=environment)

    assert refused.returncode == 1
    assert refused.stderr.startswith(f'hitcounter: cannot be set up in {tree}: ')
    assert refused.stderr.endswith('rename the folder\n')


def test_no_python_is_said(new: Path, environment: dict[str, str], tmp_path: Path) -> None:
    assert refusal(new, environment | {'PATH': programs(tmp_path / 'bin'), 'PYTHON': ''}) == (
        'hitcounter: needs Python 3.11 or newer, and python3 is missing: '
        'install it (apt install python3 python3-venv) or name one by PYTHON=/path/to/python3'
    )


def test_an_old_python_is_said(new: Path, environment: dict[str, str], tmp_path: Path) -> None:
    path = programs(tmp_path / 'bin', python3='[ "$1" = --version ] && exec echo Python 3.9.2; exit 1')
    assert 'and python3 is Python 3.9.2: install' in refusal(new, environment | {'PATH': path, 'PYTHON': ''})


def test_a_python_that_was_named_is_the_only_one_tried(new: Path, environment: dict[str, str]) -> None:
    assert 'and /no/python is missing: install' in refusal(new, environment | {'PYTHON': '/no/python'})


def test_a_missing_venv_module_is_said(new: Path, environment: dict[str, str], tmp_path: Path) -> None:
    path = programs(tmp_path / 'bin', python3=f'[ "$1" = -m ] && exit 1; exec "{environment["PYTHON"]}" "$@"')
    assert refusal(new, environment | {'PATH': path, 'PYTHON': 'python3'}) == (
        'hitcounter: python3 cannot make a virtual environment: install python3-venv (apt install python3-venv); '
        f'log: {new}/.build/set-up.log'
    )


def test_a_missing_flock_is_said(new: Path, environment: dict[str, str], tmp_path: Path) -> None:
    path = programs(tmp_path / 'bin', without='flock')
    needs_flock = 'hitcounter: needs flock: install util-linux (apt install util-linux)'
    assert refusal(new, environment | {'PATH': path}) == needs_flock


def test_a_tree_that_cannot_be_written_is_said(new: Path, environment: dict[str, str]) -> None:
    (new / '.build').write_text('A file, as root may write to any folder.')
    assert f'hitcounter: cannot write to {new}/.build: make it writable for ' in refusal(new, environment)


def test_no_network_is_said(new: Path, environment: dict[str, str]) -> None:
    closed = {'PIP_INDEX_URL': 'http://127.0.0.1:9/', 'PIP_RETRIES': '0', 'PIP_CONFIG_FILE': os.devnull}
    offline = {name: value for name, value in environment.items() if not name.startswith('PIP_')} | closed
    assert refusal(new, offline) == (
        'hitcounter: cannot fetch the packages: the first set-up needs the network, or pip settings for it; '
        f'log: {new}/.build/set-up.log'
    )
