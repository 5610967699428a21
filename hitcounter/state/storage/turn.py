"""Turns: processes change the database one after the other, so that none of them loses every conflict.

A turn is advice. A process that cannot get its turn in time goes on without one; if two then change the same objects,
ZODB reports a conflict.
"""

import fcntl
import logging
import os
import time
from contextlib import suppress
from typing import Protocol
from uuid import uuid4

logger = logging.getLogger(__name__)

#: Seconds that one turn may take: a process that holds it longer is considered stopped.
TURN_TIMEOUT = 0.25

#: Seconds that a process waits for its turn at most, however fast others come and go.
LINE_TIMEOUT = 30.0

_PAUSE = 0.0002

_NAME_SIZE = 16


class Turn(Protocol):
    """A lock that a writer holds from its first read until its changes are stored; its owner closes it."""

    def __enter__(self) -> object: ...

    def __exit__(self, *error: object) -> None: ...

    def close(self) -> None: ...


class NoTurn:
    """The turn of a process that has the database to itself."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass

    def close(self) -> None:
        pass


class Advice:
    """A turn whose errors do no harm: a process that cannot take it goes on without it."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._is_held = False
        self._has_failed = False  # so that a folder without locks is logged once

    def __enter__(self) -> None:
        try:
            self._turn.__enter__()
            self._is_held = True
        except Exception as error:  # noqa: BLE001 -- each kind of turn has errors of its own
            self._note(error)

    def __exit__(self, *_: object) -> None:
        if not self._is_held:
            return
        self._is_held = False
        try:
            self._turn.__exit__(None, None, None)
        except Exception as error:  # noqa: BLE001 -- here, too
            self._note(error)

    def _note(self, error: Exception) -> None:
        if not self._has_failed:
            logger.warning('no turns can be taken, so changes by other processes may conflict with ours: %s', error)
        self._has_failed = True

    def close(self) -> None:
        self._turn.close()


class FileTurn:
    """Turns of the processes on one machine, by two locks in the folder with this file descriptor.

    A process that wants a turn locks the door until the process inside has left. So one that has just left
    cannot overtake the one at the door. Each turn has a name, which is in the file of its lock: as long as the name
    changes, turns are ending, and it is worth waiting.
    """

    def __init__(self, folder: int) -> None:
        self._door = _open(folder, 'door')
        self._turn = _open(folder, 'turn')
        self._stuck: bytes | None = None  # the name of a turn that took too long; the first one may have none yet

    def __enter__(self) -> None:
        if not self._lock(self._door):
            return
        try:
            if self._lock(self._turn):
                with suppress(OSError):  # on a full disk it keeps its name, and is not waited for as long
                    os.pwrite(self._turn, uuid4().bytes, 0)
        finally:
            fcntl.flock(self._door, fcntl.LOCK_UN)

    def __exit__(self, *error: object) -> None:
        fcntl.flock(self._turn, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the descriptors. Taking a turn then fails, and cannot lock a file that reuses one of their numbers."""
        files = {self._door, self._turn} - {-1}
        self._door = self._turn = -1
        for file in files:
            os.close(file)

    def _lock(self, file: int) -> bool:
        """Lock `file`, unless one turn takes too long; a stopped process is waited for once, not each time."""
        name, deadline = None, 0.0
        end = time.monotonic() + LINE_TIMEOUT
        while not _lock(file):
            seen = os.pread(self._turn, _NAME_SIZE, 0)
            if seen != name:
                name, deadline = seen, time.monotonic() + TURN_TIMEOUT
            now = time.monotonic()
            if seen == self._stuck or now > min(deadline, end):
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
