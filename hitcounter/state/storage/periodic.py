"""Periodic tasks: work that is repeated while a program runs."""

import logging
import threading
import time
from collections.abc import Callable

from ...errors import HitcounterError

logger = logging.getLogger(__name__)

#: Seconds after which it is retried when it failed, unless its period is longer; they double with each further failure,
#: up to MOST_AFTER_FAILURE.
AFTER_FAILURE = 3600.0
MOST_AFTER_FAILURE = 24 * 3600.0

#: Seconds that closing waits for a task that is at work.
CLOSE_TIMEOUT = 10.0

#: It pauses at least this many times as long as it ran, so that it takes only a small part of the processor.
_PAUSES = 10


class PeriodicTask:
    """Calls `function` every so many seconds, in a thread of its own called `name`, until it is closed.

    A function that takes long is called less often. One that failed is called again `after_failure` seconds later.
    """

    def __init__(
        self, name: str, seconds: float, function: Callable[[], object], after_failure: float = AFTER_FAILURE
    ) -> None:
        self._name = name
        self._seconds = seconds
        self._function = function
        self._after_failure = after_failure
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; if it is at work, wait until that is done, but not for ever: a storage may not answer."""
        self._closing.set()
        self._thread.join(CLOSE_TIMEOUT)
        if self._thread.is_alive():
            logger.warning('%s has not ended for %g s, and is not waited for', self._name, CLOSE_TIMEOUT)

    def _run(self) -> None:
        pause, after_failure = self._seconds, self._after_failure
        while not self._closing.wait(pause):
            began = time.monotonic()
            if self._succeeds():
                pause = max(self._seconds, _PAUSES * (time.monotonic() - began))
                after_failure = self._after_failure
            else:
                pause = max(self._seconds, after_failure)
                after_failure = min(2 * after_failure, MOST_AFTER_FAILURE)

    def _succeeds(self) -> bool:
        try:
            self._function()
        except (HitcounterError, OSError) as error:
            logger.warning('%s failed, and is tried again later: %s', self._name, error)
            return False
        except (Exception, SystemExit):  # the latter would end the thread silently
            logger.exception('%s failed, and is tried again later', self._name)
            return False
        return True
