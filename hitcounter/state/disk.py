"""The disk: whether there is room for a file, who may read it, and that it holds what was written."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import NoRoom


def check_room(folder: str, size: int, purpose: str) -> None:
    """Raise NoRoom unless `folder` can take `size` bytes more."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise NoRoom(
            f'{purpose} may need {size:,} bytes in {folder!r}, and {free:,} are free: make room there')


def sync(path: str) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def private_files() -> Iterator[None]:
    """Whatever is created meanwhile is for its owner alone: a database holds caller IDs."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
