"""A state with accounts in memory, and a clock that the tests set."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from accounts import Accounts, Sessions
from accounts.pins import hash_new

from hitcounter.state import State, open_database


@dataclass
class Clock:
    """The time, which only the test moves."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state() -> Iterator[State]:
    """A state with the account 1234, whose PIN is 4711."""
    with open_database('memory:') as database, State(database, [Accounts, Sessions]) as state:
        state[Accounts].add('1234', hash_new('4711'))
        yield state


@pytest.fixture
def checked(state: State) -> Iterator[Callable[[], list[str]]]:
    """What the components say is inconsistent; it is asserted after the test, too, that they say nothing."""

    def checked() -> list[str]:
        return state.query(lambda parts: [*parts[Accounts].check(), *parts[Sessions].check()])

    yield checked
    assert checked() == []
