"""The pytest plugin: fixtures that import the rest of hitcounter only when a test uses them."""

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
    """Start a FastAGI server with these scripts on a free port; returns its address, and stops it after the test."""
    from .testing import serving

    with ExitStack() as servers:
        yield lambda scripts: servers.enter_context(serving(scripts))


@pytest.fixture(name='finding_lost_changes')
def _finding_lost_changes() -> Iterator[None]:
    """Let each update and query of the test raise LostChange if it changed something that would not be stored."""
    from .state import finding_lost_changes

    with finding_lost_changes():
        yield
