"""Turns: one process after the other changes the database, so that none loses to another's changes for ever.

A turn is advice. Who does not get one in time goes on without, and what two then change at once is a conflict.
"""

import fcntl
import os
import time
from typing import Protocol

#: Seconds to wait for a turn: whoever has one is taken for stopped then.
TURN_TIMEOUT = 0.25

_PAUSE = 0.0002


class Turn(Protocol):
    """What is held from the first read of what is to be changed until it is stored."""

    def __enter__(self) -> object: ...

    def __exit__(self, *error: object) -> None: ...


class FileTurn:
    """Turns among the processes of one machine, by two locks in the folder that the file descriptor is of.

    Who wants a turn holds the place at the door until the one inside has left. So nobody who has just
    left can pass the one at the door.
    """

    def __init__(self, folder: int) -> None:
        self._door = _open(folder, 'door')
        self._turn = _open(folder, 'turn')
        self._is_stuck = False

    def __enter__(self) -> None:
        deadline = time.monotonic() + (0 if self._is_stuck else TURN_TIMEOUT)
        in_time = _lock(self._door, deadline)
        if in_time:
            in_time = _lock(self._turn, deadline)
            fcntl.flock(self._door, fcntl.LOCK_UN)
        self._is_stuck = not in_time  # who is stopped is waited for once, not by each transaction again

    def __exit__(self, *error: object) -> None:
        fcntl.flock(self._turn, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._door)
        os.close(self._turn)


def _open(folder: int, name: str) -> int:
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=folder)


def _lock(file: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
        time.sleep(_PAUSE)
