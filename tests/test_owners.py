"""Another distribution that owns the package, too, as pip installs both."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE
from tests.support.places import TREE


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Where pip has installed hitcounter-agi."""
    site = tmp_path / 'site'
    shutil.copytree(TREE / 'hitcounter', site / 'hitcounter', ignore=shutil.ignore_patterns('__pycache__'))
    install(site, 'hitcounter_agi-0.1.0', 'hitcounter/__init__.py,,')
    return site


def install(site: Path, name: str, *record: str) -> None:
    about = site / f'{name}.dist-info'
    about.mkdir()
    (about / 'RECORD').write_text('\n'.join([f'{name}.dist-info/METADATA,,', *record, '']))


def said(site: Path, command: str) -> str:
    """What the command says on standard error."""
    others = [path for path in sys.path if Path(path) != TREE]
    return subprocess.run(
        [sys.executable, '-c', f'from hitcounter.commands.{command} import main; main()', '--storage', 'nosuch:'],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(site), *others])},
        cwd=site,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    ).stderr


@pytest.mark.parametrize('command', ['serve', 'shell', 'agi', 'status'])
def test_each_command_warns_of_another_owner_of_the_package(site: Path, command: str) -> None:
    install(site, 'hitcounter-0.2', 'hitcounter/__init__.py,sha256=x,1', 'hitcounter/hitcounter.py,sha256=x,1')
    warning, *_ = said(site, command).splitlines()
    assert warning == (
        'Warning: hitcounter 0.2 has installed files into the package hitcounter, too: '
        'uninstall it, then install hitcounter-agi again by "pip install --force-reinstall --no-deps"'
    )


def test_other_distributions_are_no_owners(site: Path) -> None:
    install(site, 'votes-1.0', 'votes.py,,', 'myhitcounter/__init__.py,,', 'votes/hitcounter/__init__.py,,')
    (site / 'egg-1.0.dist-info').mkdir()
    assert 'Warning' not in said(site, 'status')
