"""The calls under way: ends those that last too long, and reports a script that runs on after its call has ended."""

import logging
import math
import socket
import threading
import time

from ..call import Call
from .connection import Connection

logger = logging.getLogger(__name__)

#: The thread's name.
NAME = 'agi clock'

#: Seconds between two checks.
LOOK = 1.0

#: Seconds for which a script may run after its call ended before that is logged.
OVERSTAY = 10.0


class RunningCalls:
    """A call that a worker serves; other threads read it and end it only under the lock of `Calls`."""

    __slots__ = ('began', 'call', 'connection', 'is_cut', 'is_overdue', 'is_reported', 'over_since', 'overdue', 'path')

    def __init__(self, connection: Connection, began: float, overdue: float) -> None:
        self.connection = connection
        self.began = began
        #: The time of time.monotonic() from which on it has lasted too long.
        self.overdue = overdue
        #: The script's call; None before there is one.
        self.call: Call | None = None
        #: The path of the script. Not the path that was requested, which may say who called.
        self.path = ''
        #: Whether it was ended together with all calls.
        self.is_cut = False
        #: Whether it was ended because it lasted too long.
        self.is_overdue = False
        self.is_reported = False
        self.over_since = math.inf

    def end_now(self) -> None:
        """Let the dialplan see that the call failed, if the caller is still there."""
        if self.is_over():
            self.connection.cut()
        else:
            self.connection.fail()

    def is_over(self) -> bool:
        """Whether the caller is gone or the connection is closed, even if the script has not noticed."""
        if self.is_cut or self.is_overdue or (self.call is not None and self.call.noticed_hangup):
            return True
        try:
            coming = self.connection.socket.recv(4096, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return not coming or (b'\n' + coming).endswith(b'\nHANGUP\n')


class Calls:
    """All calls under way: workers begin and end them, `cut` ends all, and a thread checks how long each has lasted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # of the three below; while it is held, no socket of a call is closed
        self._calls: set[RunningCalls] = set()
        self._cut: set[RunningCalls] = set()
        self._is_cut = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread, if it was started."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def begin(self, connection: Connection, began: float, overdue: float) -> RunningCalls:
        """Add a call. If all calls were cut before, it is cut at once."""
        running_calls = RunningCalls(connection, began, overdue)
        with self._lock:
            self._calls.add(running_calls)
            if self._is_cut:
                self._end_now(running_calls)
        return running_calls

    def end(self, running_calls: RunningCalls) -> None:
        """Remove a call that is over; after that its connection may be closed."""
        with self._lock:
            self._calls.discard(running_calls)

    def now(self) -> set[RunningCalls]:
        """The calls that are under way at this moment."""
        with self._lock:
            return set(self._calls)

    def cut(self) -> set[RunningCalls]:
        """Let the dialplan of each call, now and later, see that it failed; returns the calls that were cut so far."""
        with self._lock:
            self._is_cut = True
            for running_calls in self._calls - self._cut:
                self._end_now(running_calls)
            return set(self._cut)

    def disconnect(self) -> None:
        """Wake every worker that still waits for the other side in a call that was cut."""
        with self._lock:
            for running_calls in self._calls & self._cut:
                running_calls.connection.cut()

    def _end_now(self, running_calls: RunningCalls) -> None:
        running_calls.end_now()
        running_calls.is_cut = True
        self._cut.add(running_calls)

    # The thread runs what follows.

    def _run(self) -> None:
        while not self._stopping.wait(LOOK):
            self._look(time.monotonic())

    def _look(self, now: float) -> None:
        with self._lock:
            overstaying = [running_calls for running_calls in self._calls if self._overstays(running_calls, now)]
        for running_calls in overstaying:
            _report(running_calls, now)

    def _overstays(self, running_calls: RunningCalls, now: float) -> bool:
        """Whether the script is to be reported; first ends the call if it has lasted too long."""
        if running_calls.overdue <= now and not running_calls.is_overdue:
            running_calls.end_now()
            running_calls.is_overdue = True
        if now - running_calls.began < OVERSTAY or running_calls.is_reported or running_calls.call is None:
            return False
        if not running_calls.is_over():
            return False
        running_calls.over_since = min(running_calls.over_since, now)
        running_calls.is_reported = now - running_calls.over_since >= OVERSTAY
        return running_calls.is_reported


def _report(running_calls: RunningCalls, now: float) -> None:
    assert running_calls.call is not None  # as it overstays
    logger.warning(
        '%s: the script %r still runs %.0f s after its call ended, and keeps a worker: have it look at call.hung_up',
        running_calls.call.environment.unique_id,
        running_calls.path,
        now - running_calls.over_since,
    )
