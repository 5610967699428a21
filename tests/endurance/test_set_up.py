"""The set-up by the launchers: whatever has changed, is missing or goes wrong."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pexpect
import pytest

from tests.support.launchers import SETTING_UP, SHOW_ARGUMENTS, begin, change, refusal, start
from tests.support.patience import PATIENCE


def test_each_step_of_the_set_up_is_said(built: Path, new_user: dict[str, str]) -> None:
    shutil.rmtree(built / '.build')
    first, *steps, last = start(built / 'bin/hitcounter', env=new_user).stderr.splitlines()
    assert first.startswith(SETTING_UP)
    assert [re.sub('[0-9]+', '40', step) for step in steps] == [
        'hitcounter: fetching 40 packages',
        'hitcounter: installing the tools that build',
        'hitcounter: installing the packages and the commands',
    ]
    assert re.fullmatch('hitcounter: set up in [0-9]+ seconds', last)


def test_a_terminal_shows_which_package_the_set_up_has_come_to(built: Path, new_user: dict[str, str]) -> None:
    forget_packages(built)
    shown, status = at_a_terminal(built, new_user)
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


def test_a_python_home_in_the_environment_is_not_ours(built: Path, new_user: dict[str, str]) -> None:
    change(built)
    for _ in ('set up', 'set up already'):
        well = start(built / 'bin/hitcounter', env=new_user | {'PYTHONHOME': '/nowhere'})
        assert (well.returncode, well.stdout) == (0, '\n')


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
    built: Path, new_user: dict[str, str], tmp_path: Path
) -> None:
    def offers() -> str:
        return start(built / 'bin/hitcounter', env=new_user).stdout

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


def test_a_package_of_ones_own_that_cannot_be_installed_is_said(built: Path, new_user: dict[str, str]) -> None:
    (built / 'packages.txt').write_text('./nowhere\n')
    try:
        said = refusal(built, new_user)
    finally:
        (built / 'packages.txt').unlink()
    assert said.startswith('hitcounter: cannot install what packages.txt lists: pip says: ')
    assert './nowhere' in said


def test_a_package_of_ones_own_that_cannot_be_built_is_said_with_its_folder_and_the_reason(
    built: Path, new_user: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / 'pyproject.toml').write_text('[project]\nname = "votes"\nversion = "1.0"\n')
    (tmp_path / 'votes.py').touch()
    (tmp_path / 'test_votes.py').touch()
    (built / 'packages.txt').write_text(f'--editable {tmp_path}\n')
    try:
        said = refusal(built, new_user)
    finally:
        (built / 'packages.txt').unlink()
    assert said.startswith(
        f'hitcounter: cannot install what packages.txt lists: {tmp_path} cannot be built (Multiple top-level modules'
    )
    assert 'correct its pyproject.toml' in said


def test_a_missing_package_is_set_up_again(built: Path, new_user: dict[str, str]) -> None:
    (click,) = built.glob('.build/eggs/*/click-*')
    shutil.rmtree(click)
    assert start(built / 'bin/hitcounter', env=new_user).stderr.startswith(SETTING_UP)
    assert click.is_dir()


def test_an_interrupted_set_up_is_done_again(built: Path, new_user: dict[str, str]) -> None:
    change(built)
    with begin(built / 'bin/hitcounter', new_user) as interrupted:
        assert interrupted.stderr is not None
        assert interrupted.stderr.readline().startswith(SETTING_UP)
        os.killpg(interrupted.pid, signal.SIGKILL)
    again = start(built / 'bin/hitcounter', env=new_user)
    assert again.stderr.startswith(SETTING_UP)
    assert again.returncode == 0


def test_two_launchers_at_once_set_up_once(built: Path, new_user: dict[str, str]) -> None:
    change(built)
    serve, shell = built / 'bin/hitcounter-serve', built / 'bin/hitcounter-shell'
    with begin(serve, new_user) as one, begin(shell, new_user) as two:
        said = one.communicate()[1] + two.communicate()[1]
    assert said.count(SETTING_UP) == 1
    assert (one.returncode, two.returncode) == (0, 0)


def test_a_copied_tree_sets_up_again_and_leaves_the_first_one_working(built: Path, new_user: dict[str, str]) -> None:
    start(built / 'bin/hitcounter', env=new_user)
    copy = shutil.copytree(built, built.with_name('copy'), symlinks=True)
    there = start(copy / 'bin/hitcounter', env=new_user)
    assert there.stderr.startswith(f'{SETTING_UP}{copy}/')
    assert there.returncode == 0
    here = start(built / 'bin/hitcounter', env=new_user)
    assert (here.stderr, here.returncode) == ('', 0)


def test_a_moved_tree_sets_up_again_in_its_new_place(built: Path, new_user: dict[str, str]) -> None:
    moved = built.rename(built.with_name('moved'))
    try:
        there = start(moved / 'bin/hitcounter', env=new_user)
        assert there.stderr.startswith(f'{SETTING_UP}{moved}/')
        assert there.returncode == 0
    finally:
        moved.rename(built)


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


def with_index(new_user: dict[str, str], index: str) -> dict[str, str]:
    """Those of a user who has this index and no packages beside it."""
    others = {name: value for name, value in new_user.items() if not name.startswith('PIP_')}
    return others | {'PIP_INDEX_URL': index, 'PIP_RETRIES': '0', 'PIP_CONFIG_FILE': os.devnull}


def cannot_fetch(tree: Path, reason: str) -> str:
    return f'hitcounter: cannot fetch the packages: {reason}; log: {tree}/.build/set-up.log'


def test_no_network_is_said(built: Path, new_user: dict[str, str]) -> None:
    forget_packages(built)
    assert refusal(built, with_index(new_user, 'http://127.0.0.1:9/')) == cannot_fetch(
        built, 'the first set-up needs the network, or pip settings for it'
    )


def test_a_password_is_not_asked_for_but_said_to_be_missing(built: Path, new_user: dict[str, str], index: str) -> None:
    forget_packages(built)
    shown, status = at_a_terminal(built, with_index(new_user, index))
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
    built: Path, new_user: dict[str, str], setting: dict[str, str], reason: str
) -> None:
    forget_packages(built)
    assert refusal(built, new_user | setting).startswith(f'hitcounter: cannot fetch the packages: {reason}')


def test_such_settings_do_not_matter_once_the_packages_are_there(built: Path, new_user: dict[str, str]) -> None:
    start(built / 'bin/hitcounter', env=new_user)
    change(built)
    strict = new_user | {'PIP_REQUIRE_HASHES': '1', 'PIP_NO_BINARY': ':all:', 'PIP_USER': '1'}
    assert start(built / 'bin/hitcounter', env=strict).returncode == 0


def test_a_full_disk_is_said(built: Path, new_user: dict[str, str]) -> None:
    start(built / 'bin/hitcounter', env=new_user)
    on_a_small_disk = 'mount -t tmpfs -o size=2m tmpfs "$1/.build" && exec "$1/bin/hitcounter"'
    refused = subprocess.run(
        ['unshare', '--mount', 'sh', '-c', on_a_small_disk, 'sh', built],
        env=new_user,
        capture_output=True,
        check=False,
        text=True,
        timeout=5 * PATIENCE,
    )
    if 'hitcounter' not in refused.stderr:
        pytest.skip('a file system can be mounted here by root only, and not even by root everywhere')
    temporary = new_user.get('TMPDIR', '/tmp')
    assert refused.stderr.splitlines()[-1] == cannot_fetch(
        built, f'no room is left on the disk of {built} or of {temporary}'
    )
