"""The plugin for pytest: fixtures, which import the rest of hitcounter only for the tests that ask for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .agi import Script

    Serve = Callable[[Iterable[Script[..., object]]], tuple[str, int]]


@pytest.fixture
def fastagi() -> Iterator[Serve]:
    """Start a FastAGI server with these scripts on a free port; gives its address, and stops it after the test."""
    from .testing import serving

    with ExitStack() as servers:
        yield lambda scripts: servers.enter_context(serving(scripts))


@pytest.fixture(name='finding_lost_changes')
def _finding_lost_changes() -> Iterator[None]:
    """Let each update and query of the test raise LostChange when it changed what would not be stored."""
    from .state import finding_lost_changes

    with finding_lost_changes():
        yield
