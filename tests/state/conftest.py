"""A database, and a state of the components of the tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hitcounter.state import Database, State, open_database
from tests.support.notes import Notes, Total


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(f'file://{tmp_path}/test.fs', share=True) as database:
        yield database


@pytest.fixture
def state(database: Database) -> Iterator[State]:
    with State(database, [Notes, Total]) as state:
        yield state
