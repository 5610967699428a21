"""Attempts: whether the updates of a batch are tried again after an error, and how long that goes on."""

import random
import time
from typing import Any

from transaction.interfaces import TransientError

from ..storage.away import is_away
from .commit import NotBegun, Retries, TakenBack, is_of_storage
from .job import Culprit, Job

#: The longest pause between two attempts to reach a storage that is away.
AWAY_PAUSE = 0.1


class Attempts:
    """The attempts to store `jobs`, which are a whole batch.

    A storage that is away is waited for as long as a caller waits. Conflicts with other processes are retried for
    RETRY_TIMEOUT seconds, and updates that themselves raise the errors of a storage for GUEST_TIMEOUT seconds.
    """

    def __init__(self, jobs: list[Job[Any]]) -> None:
        self._jobs = jobs
        self._conflicts = Retries()
        self._guests: Retries | None = None  # from their first error on, which may come after a long wait

    def go_on(self, error: BaseException, share: list[Job[Any]]) -> bool:
        """Whether to try `share` again, unchanged, after `error`; waits a moment before it returns True."""
        if isinstance(error, TakenBack):
            return True
        if isinstance(error, Culprit):  # one of several is tried alone, so that it does not hold up the others
            is_left = len(share) == 1 or is_away(error.error)
            if not (is_left and is_of_storage(error.error)):
                return False
            self._guests = self._guests or Retries.of_guests()
            return self._guests.pause()
        if says_away(error):
            self._guests = None
            return self._wait()
        return isinstance(error, TransientError) and self._conflicts.pause()

    def _wait(self) -> bool:
        waiting = [job.deadline for job in self._jobs if not job.is_done and job.late is None]
        left = max(waiting, default=0.0) - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(left, random.uniform(AWAY_PAUSE / 2, AWAY_PAUSE)))
        return True


def says_away(error: BaseException) -> bool:
    """Whether `error`, which ended a transaction, says that its storage is away."""
    return is_away(error.__cause__ if isinstance(error, NotBegun) else error)
