"""A copy of the tree, whose package only shows its arguments, and its launchers.

The copy needs click alone, so that it is built in seconds, without a network, from the wheels of this tree.
"""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

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
def new_user(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of a new user, except for the packages and the Python of this tree."""
    if not (WHEELS.is_dir() and MADE_WITH.is_file()):
        pytest.skip('needs the packages that bin/test has fetched')
    return {
        'HOME': str(tmp_path_factory.mktemp('home')),
        'PATH': '/usr/local/bin:/usr/bin:/bin',
        'PIP_NO_INDEX': '1',
        'PIP_FIND_LINKS': WHEELS.as_uri(),
        'PYTHON': shutil.which(MADE_WITH.read_text().strip()) or sys.executable,
    }


@pytest.fixture(scope='module')
def built(tmp_path_factory: pytest.TempPathFactory, new_user: dict[str, str]) -> Path:
    """A tree in a folder with a blank in its name, started once."""
    tree = copy_tree(tmp_path_factory.mktemp('a new') / 'tree')
    first = start(tree / 'bin/hitcounter', env=new_user)
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


def refusal(tree: Path, env: dict[str, str]) -> str:
    refused = start(tree / 'bin/hitcounter', env=env)
    assert refused.returncode == 1
    assert refused.stdout == ''
    *before, last = refused.stderr.splitlines()
    assert all(line.startswith('hitcounter: ') for line in before)
    return last
