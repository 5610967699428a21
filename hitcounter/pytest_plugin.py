"""The plugin for pytest: a fixture over `hitcounter.testing`, which is imported only for the tests that ask for it."""

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
