"""The lock of a database file, `NAME.lock`: one process at a time has the file open."""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from zc.lockfile import LockError, LockFile

from ...errors import DatabaseRefused
from .disk import make_private

R = TypeVar('R')

#: Seconds for which a process that only looks may hold a lock.
_MOMENT = 0.5


def take_lock(path: str) -> LockFile:
    """Lock the database at `path` against all other processes. Raises LockError if one of them has it locked."""
    make_private(f'{path}.lock')
    try:
        return LockFile(f'{path}.lock')
    except LockError as error:
        refuse_without_locks(path, error.__context__)
        raise


def until_free(attempt: Callable[[], R], locked: type[Exception] = LockError) -> R:
    """What `attempt` returns; retried for a moment while it raises `locked`, since others lock a file just to look."""
    deadline = time.monotonic() + _MOMENT
    while True:
        try:
            return attempt()
        except locked:
            if time.monotonic() > deadline:
                raise
        time.sleep(_MOMENT / 20)


def refuse_without_locks(path: str, error: BaseException | None) -> None:
    """Raise DatabaseRefused if `error` does not say that another process has the lock."""
    if isinstance(error, OSError) and not isinstance(error, BlockingIOError | PermissionError):
        raise DatabaseRefused(
            f'{path!r} cannot be locked ({error.strerror}), as on some network file systems: put it on a local disk'
        ) from error


def is_locked(path: str) -> bool:
    """Whether a process has the database at `path` open."""
    try:
        with open(f'{path}.lock') as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # released at once, when it is closed: see until_free
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    except OSError as error:
        refuse_without_locks(path, error)
        raise
    return False


def holder(path: str) -> str:
    """The process that has the file open, according to its lock file; in a container it may have another id."""
    with suppress(OSError, ValueError), open(f'{path}.lock') as file:
        process = int(file.read())
        if _has_open(process, file.fileno()):
            return f'the process with id {process}'
        return f'another process (with id {process} where it runs, as in a container)'
    return 'another process'


def _has_open(process: int, file: int) -> bool:
    """Whether we can see that a process has the same file open."""
    wanted, folder = os.fstat(file), f'/proc/{process}/fd'
    with suppress(OSError):
        for name in os.listdir(folder):
            with suppress(OSError):
                if os.path.samestat(os.stat(f'{folder}/{name}'), wanted):
                    return True
    return False
