"""Turns: one process after the other changes the database, so that none loses to another's changes for ever.

A turn is advice. Who does not get one, for another keeps it, goes on without, and what two then change at once is a
conflict.
"""

import fcntl
import os
import time
from contextlib import suppress
from typing import Protocol
from uuid import uuid4

#: Seconds that one turn may take: whoever has it longer is taken for stopped.
TURN_TIMEOUT = 0.25

_PAUSE = 0.0002

_NAME_SIZE = 16


class Turn(Protocol):
    """What is held from the first read of what is to be changed until it is stored."""

    def __enter__(self) -> object: ...

    def __exit__(self, *error: object) -> None: ...


class FileTurn:
    """Turns among the processes of one machine, by two locks in the folder that the file descriptor is of.

    Who wants a turn holds the place at the door until the one inside has left. So nobody who has just
    left can pass the one at the door. Each turn has a name, which stands in the file of its lock: as long as
    it changes, others come and go, and the wait is worth it.
    """

    def __init__(self, folder: int) -> None:
        self._door = _open(folder, 'door')
        self._turn = _open(folder, 'turn')
        self._stuck = b''  # the name of a turn that took too long

    def __enter__(self) -> None:
        if self._lock(self._door):
            if self._lock(self._turn):
                with suppress(OSError):  # on a full disk it keeps its name, and is not waited for as long
                    os.pwrite(self._turn, uuid4().bytes, 0)
            fcntl.flock(self._door, fcntl.LOCK_UN)

    def __exit__(self, *error: object) -> None:
        fcntl.flock(self._turn, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._door)
        os.close(self._turn)

    def _lock(self, file: int) -> bool:
        """Lock `file`, unless one turn takes too long; who is stopped is waited for once, not by each transaction."""
        name, deadline = None, 0.0
        while not _lock(file):
            seen = os.pread(self._turn, _NAME_SIZE, 0)
            if seen != name:
                name, deadline = seen, time.monotonic() + TURN_TIMEOUT
            if seen == self._stuck or time.monotonic() > deadline:
                self._stuck = seen
                return False
            time.sleep(_PAUSE)
        return True


def _open(folder: int, name: str) -> int:
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=folder)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
