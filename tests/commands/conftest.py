"""What the tests of the commands share: packages of others, installed for one test, and a database with two calls."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hitcounter.hits import Caller, HitCounter
from hitcounter.lines.component import Lines
from hitcounter.state import State, open_database
from tests.support.plugins import VOTES, Install

if TYPE_CHECKING:
    from tests.support.servers import Start


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


@pytest.fixture
def counted(storage: str) -> None:
    """A database with two calls, and no server."""
    with open_database(storage, share=True) as database, State(database, [HitCounter, Lines]) as state:
        for caller in (Caller('+44123', None, '1.1'), Caller(None, None, '1.2')):
            state[HitCounter].hit('31415', caller)


@pytest.fixture
def beside(start: Start, counted: None) -> Callable[[bool], None]:
    """Have a server run, or none."""
    return lambda shared: (shared and start()) and None  # type: ignore[return-value]  # falsy
