"""What the tests of the commands share: packages of others, installed for one test."""

import os
from pathlib import Path

import pytest

from tests.support.plugins import VOTES, Install


@pytest.fixture
def install(tmp_path: Path, environment: dict[str, str]) -> Install:
    """Install a package of one module; gives the variables of a process that has it."""
    site = tmp_path / 'site'

    def install(name: str, source: str = VOTES, **groups: str) -> dict[str, str]:
        about = site / f'{name}-1.0.dist-info'
        about.mkdir(parents=True)
        (site / f'{name}.py').write_text(source)
        (about / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n')
        (about / 'entry_points.txt').write_text(
            ''.join(f'[hitcounter.{group}]\n{offered}\n' for group, offered in groups.items())
        )
        return {'PYTHONPATH': os.pathsep.join([str(site), environment['PYTHONPATH']])}

    return install
