"""A database in memory, and the state of lines on it."""

from collections.abc import Iterator

import pytest

from hitcounter.hits import HitCounter
from hitcounter.lines.component import Lines
from hitcounter.state import Database, State, open_database


@pytest.fixture
def database() -> Iterator[Database]:
    with open_database('memory:') as database:
        yield database


@pytest.fixture
def state(database: Database) -> Iterator[State]:
    with State(database, [HitCounter, Lines]) as state:
        yield state
