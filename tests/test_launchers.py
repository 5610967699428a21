"""The launchers in bin/, as a user starts them, on a copy of the tree whose package only shows its arguments.

The copy needs click alone, so that it is built in seconds, without a network, from the wheels of this tree.
"""

from __future__ import annotations

import configparser
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pexpect
import pytest

from tests.support.patience import PATIENCE
from tests.support.places import TREE

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
    for folder in ('hitcounter', 'hitcounter/commands'):
        (target / folder).mkdir()
        (target / folder / '__init__.py').touch()
    for module in ('main', 'agi', 'serve', 'shell'):
        (target / f'hitcounter/commands/{module}.py').write_text(SHOW_ARGUMENTS)
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
    again = start(built / 'bin' / name, '--a b', '\'"$HOME', env=environment)
    assert (again.stdout, again.stderr, again.returncode) == ('--a b|\'"$HOME\n', '', 2)


def test_ctrl_c_waits_until_the_command_can_end_quietly(
    built: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / 'sitecustomize.py').write_text("import sys; print('here', flush=True); sys.stdin.read()")
    with subprocess.Popen(
        [built / 'bin/hitcounter'],
        env=environment | {'PYTHONPATH': str(tmp_path)},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as started:
        assert started.stdout
        assert started.stdout.readline() == 'here\n'
        started.send_signal(signal.SIGINT)
        shown, said = started.communicate(timeout=PATIENCE)

    assert (shown, said) == ('\n', '')


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


def test_each_step_of_the_set_up_is_said(built: Path, environment: dict[str, str]) -> None:
    shutil.rmtree(built / '.build')
    first, *steps, last = start(built / 'bin/hitcounter', env=environment).stderr.splitlines()
    assert first.startswith(SETTING_UP)
    assert [re.sub('[0-9]+', '40', step) for step in steps] == [
        'hitcounter: fetching 40 packages',
        'hitcounter: installing the tools that build',
        'hitcounter: installing the packages and the commands',
    ]
    assert re.fullmatch('hitcounter: set up in [0-9]+ seconds', last)


def test_a_terminal_shows_which_package_the_set_up_has_come_to(built: Path, environment: dict[str, str]) -> None:
    forget_packages(built)
    shown, status = at_a_terminal(built, environment)
    assert re.search('Processing .*/click-', shown)
    assert status == 0


def forget_packages(tree: Path) -> None:
    """Let the next launcher fetch all packages."""
    change(tree)
    (tree / '.build/wheels/commands.pins').unlink(missing_ok=True)


def at_a_terminal(tree: Path, env: dict[str, str]) -> tuple[str, int]:
    """What a launcher shows at a terminal at which nobody types, and its exit status."""
    command = ['-c', 'exec "$0"', str(tree / 'bin/hitcounter')]
    terminal: pexpect.spawn[str] = pexpect.spawn(
        '/bin/sh', command, env=env, encoding='utf-8', timeout=5 * PATIENCE, dimensions=(50, 400)
    )
    shown = terminal.read()
    terminal.close()
    return shown, terminal.exitstatus


def test_a_python_home_in_the_environment_is_not_ours(built: Path, environment: dict[str, str]) -> None:
    change(built)
    for _ in ('set up', 'set up already'):
        well = start(built / 'bin/hitcounter', env=environment | {'PYTHONHOME': '/nowhere'})
        assert (well.returncode, well.stdout) == (0, '\n')


@pytest.mark.parametrize('where', ['PYTHONPATH', 'site-packages'])
def test_another_package_of_the_name_does_not_come_before_the_tree(
    where: str, built: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    start(built / 'bin/hitcounter', env=environment)
    (folder,) = built.glob('.venv/lib/*/site-packages') if where == 'site-packages' else [tmp_path]
    other = folder / 'hitcounter'
    other.mkdir()
    (other / '__init__.py').write_text('raise SystemExit("another one")')
    try:
        done = start(built / 'bin/hitcounter', 'x', env=environment | {'PYTHONPATH': str(tmp_path)})
    finally:
        shutil.rmtree(other)
    assert (done.stdout, done.stderr) == ('x\n', '')


# packages.txt


PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "votes"
version = "1.0"
dependencies = ["hitcounter-agi >=0.1"]

[project.entry-points."hitcounter.scripts"]
vote = "votes:vote"

[tool.setuptools]
py-modules = ["votes"]
"""
SHOW_OFFERS = """
from importlib.metadata import entry_points

def main():
    print(*sorted(f'{offer.name}: {offer.load()}' for offer in entry_points(group='hitcounter.scripts')), sep='\\n')
"""


def test_packages_of_ones_own_are_those_that_packages_txt_lists(
    built: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    def offers() -> str:
        return start(built / 'bin/hitcounter', env=environment).stdout

    votes = tmp_path / 'votes'
    votes.mkdir()
    (votes / 'votes.py').write_text('vote = "first"')
    (votes / 'pyproject.toml').write_text(PYPROJECT)
    main = built / 'hitcounter/commands/main.py'
    main.write_text(SHOW_OFFERS)
    (built / 'packages.txt').write_text(f'--editable {votes}\n')
    try:
        assert offers() == 'vote: first\n'
        (votes / 'votes.py').write_text('vote = "changed"')
        assert offers() == 'vote: changed\n'
        (votes / 'pyproject.toml').write_text(PYPROJECT.replace('vote = ', 'poll = '))
        assert offers() == 'poll: changed\n'
        (built / 'packages.txt').unlink()
        assert offers() == '\n'
    finally:
        (built / 'packages.txt').unlink(missing_ok=True)
        main.write_text(SHOW_ARGUMENTS)


def test_a_package_of_ones_own_that_cannot_be_installed_is_said(built: Path, environment: dict[str, str]) -> None:
    (built / 'packages.txt').write_text('./nowhere\n')
    try:
        said = refusal(built, environment)
    finally:
        (built / 'packages.txt').unlink()
    assert said.startswith('hitcounter: cannot install what packages.txt lists: pip says: ')
    assert './nowhere' in said


def test_a_package_of_ones_own_that_cannot_be_built_is_said_with_its_folder_and_the_reason(
    built: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / 'pyproject.toml').write_text('[project]\nname = "votes"\nversion = "1.0"\n')
    (tmp_path / 'votes.py').touch()
    (tmp_path / 'test_votes.py').touch()
    (built / 'packages.txt').write_text(f'--editable {tmp_path}\n')
    try:
        said = refusal(built, environment)
    finally:
        (built / 'packages.txt').unlink()
    assert said.startswith(
        f'hitcounter: cannot install what packages.txt lists: {tmp_path} cannot be built (Multiple top-level modules'
    )
    assert 'correct its pyproject.toml' in said


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
    assert all(line.startswith('hitcounter: ') for line in before)
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
    refused = refusal(new, environment)
    assert refused.startswith(f'hitcounter: cannot write to {new}/.build (Not a directory): make it writable for ')


# What pip may fail at is told with its cause.


@pytest.fixture
def index() -> Iterator[str]:
    """A package index that lets in nobody without a password."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header('WWW-Authenticate', 'Basic realm="packages"')
            self.send_header('Content-Length', '0')
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(('127.0.0.1', 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f'http://127.0.0.1:{server.server_port}/simple'
        server.shutdown()
        thread.join(PATIENCE)


def with_index(environment: dict[str, str], index: str) -> dict[str, str]:
    """Those of a user who has this index and no packages beside it."""
    others = {name: value for name, value in environment.items() if not name.startswith('PIP_')}
    return others | {'PIP_INDEX_URL': index, 'PIP_RETRIES': '0', 'PIP_CONFIG_FILE': os.devnull}


def cannot_fetch(tree: Path, reason: str) -> str:
    return f'hitcounter: cannot fetch the packages: {reason}; log: {tree}/.build/set-up.log'


def test_no_network_is_said(built: Path, environment: dict[str, str]) -> None:
    forget_packages(built)
    assert refusal(built, with_index(environment, 'http://127.0.0.1:9/')) == cannot_fetch(
        built, 'the first set-up needs the network, or pip settings for it'
    )


def test_a_password_is_not_asked_for_but_said_to_be_missing(
    built: Path, environment: dict[str, str], index: str
) -> None:
    forget_packages(built)
    shown, status = at_a_terminal(built, with_index(environment, index))
    assert status == 1
    assert shown.strip().splitlines()[-1].lstrip() == cannot_fetch(
        built,
        'the package index or the proxy refused pip: give pip the right name and password, in its index URL or .netrc',
    )


@pytest.mark.parametrize(
    ('setting', 'reason'),
    [
        (
            {'PIP_REQUIRE_HASHES': '1'},
            'pip is set to require hashes, which the list of packages does not have: unset require-hashes for it',
        ),
        ({'PIP_NO_BINARY': ':all:'}, 'pip is set to take no wheels: unset no-binary for it'),
        ({'PIP_FIND_LINKS': ''}, 'pip says: No matching distribution found for '),
    ],
)
def test_settings_of_pip_that_the_packages_cannot_meet_are_said(
    built: Path, environment: dict[str, str], setting: dict[str, str], reason: str
) -> None:
    forget_packages(built)
    assert refusal(built, environment | setting).startswith(f'hitcounter: cannot fetch the packages: {reason}')


def test_such_settings_do_not_matter_once_the_packages_are_there(built: Path, environment: dict[str, str]) -> None:
    start(built / 'bin/hitcounter', env=environment)
    change(built)
    strict = environment | {'PIP_REQUIRE_HASHES': '1', 'PIP_NO_BINARY': ':all:', 'PIP_USER': '1'}
    assert start(built / 'bin/hitcounter', env=strict).returncode == 0


def test_a_full_disk_is_said(built: Path, environment: dict[str, str]) -> None:
    start(built / 'bin/hitcounter', env=environment)
    on_a_small_disk = 'mount -t tmpfs -o size=2m tmpfs "$1/.build" && exec "$1/bin/hitcounter"'
    refused = subprocess.run(
        ['unshare', '--mount', 'sh', '-c', on_a_small_disk, 'sh', built],
        env=environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=5 * PATIENCE,
    )
    if 'hitcounter' not in refused.stderr:
        pytest.skip('a file system can be mounted here by root only, and not even by root everywhere')
    temporary = environment.get('TMPDIR', '/tmp')
    assert refused.stderr.splitlines()[-1] == cannot_fetch(
        built, f'no room is left on the disk of {built} or of {temporary}'
    )
