"""The guard: a small file beside a database file, with the id of its last transaction.

FileStorage takes an empty file for a new database, and cuts off everything after damage. The guard shows what was lost.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .disk import make_private

logger = logging.getLogger(__name__)

#: Earlier than every transaction.
BEFORE_ALL = bytes(8)

_DIGITS = 16


class Guard:
    """The id of a database's last transaction: 16 hexadecimal digits in a small file beside it.

    While a packed file replaces the database, the id of the packed file's last transaction follows.
    """

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()  # owns _tid and _file, and keeps the writes in order
        self._tid = BEFORE_ALL
        make_private(guard_of(path))
        self._file = os.open(guard_of(path), os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def remember(self, tid: bytes) -> None:
        """Note a transaction that is on disk.

        Not synced itself: after a power failure it may be older than the file, which does no harm,
        but never newer.
        """
        with self._lock:
            if tid > self._tid:
                try:
                    self._write(tid)
                except OSError as error:
                    # The transaction is stored all the same, and its callers must not get an error.
                    logger.warning('the guard could not note a transaction: %s', error)

    def begin(self, tid: bytes) -> None:
        """Note the last transaction of a file that was just opened and found intact."""
        with self._lock:
            if tid != BEFORE_ALL:
                self._write(tid)
                os.ftruncate(self._file, _DIGITS)

    @contextmanager
    def passing_to(self, tid: bytes) -> Iterator[None]:
        """While the file is replaced by a packed one, whose last transaction is `tid`, accept either of them.

        The ids differ if a pack removes the last transaction because all that it stored was garbage.
        """
        with self._lock:
            os.pwrite(self._file, (self._tid + tid).hex().encode(), 0)
            os.fsync(self._file)
            try:
                yield
                self._write(tid)
            finally:
                os.ftruncate(self._file, _DIGITS)

    def _write(self, tid: bytes) -> None:
        os.pwrite(self._file, tid.hex().encode(), 0)
        self._tid = tid

    def close(self) -> None:
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1


def guard_of(path: str) -> str:
    """The name of the guard's own file."""
    return f'{path}.guard'


def remembered(path: str) -> bytes | None:
    """The id in the guard's file; None if there is no such file, or a power failure left it unwritten."""
    return next(iter(accepted(path)), None)


def accepted(path: str) -> list[bytes]:
    """The ids in the guard's file: of the last transaction, and of that of a packed file that was replacing it."""
    with suppress(FileNotFoundError, ValueError), open(guard_of(path), 'rb') as file:
        ids = bytes.fromhex(file.read(2 * _DIGITS).decode())
        return [tid for tid in (ids[:8], ids[8:]) if len(tid) == 8]
    return []
