"""Modules of other packages, written again while a test runs."""

import importlib
import sys
from pathlib import Path
from typing import Any

from ZODB.broken import broken_cache


class Modules:
    """A folder that Python imports from, and the modules in it, each as it was written last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: set[str] = set()

    def write(self, name: str, source: str) -> Any:
        """Write a module, or write it again, and import it."""
        self.forget()
        self._names.add(name)
        (self._folder / f'{name}.py').write_text(source)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    def spoil(self, name: str, source: str) -> None:
        """Write a module again that cannot be imported."""
        self.forget()
        (self._folder / f'{name}.py').write_text(source)

    def remove(self, name: str) -> None:
        self.forget()
        (self._folder / f'{name}.py').unlink()

    def forget(self) -> None:
        """Let each be imported again."""
        broken_cache.clear()
        importlib.invalidate_caches()
        for name in self._names:
            sys.modules.pop(name, None)
