"""The running calls: calls that last too long are ended, and scripts that outlive their calls are reported."""

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

#: Seconds for which a script may outlive its call before that is logged.
OVERSTAY = 10.0


class RunningCall:
    """A call that a worker serves; other threads read and end it only under the lock of `RunningCalls`."""

    __slots__ = ('began', 'call', 'connection', 'is_cut', 'is_overdue', 'is_reported', 'over_since', 'overdue', 'path')

    def __init__(self, connection: Connection, began: float, overdue: float) -> None:
        self.connection = connection
        self.began = began
        #: When it has lasted too long, on the clock of time.monotonic().
        self.overdue = overdue
        #: The script's call; None until there is one.
        self.call: Call | None = None
        #: The path of the script, not the requested path, which may identify the caller.
        self.path = ''
        #: Whether it was cut together with all calls.
        self.is_cut = False
        #: Whether it was ended because it lasted too long.
        self.is_overdue = False
        self.is_reported = False
        self.over_since = math.inf

    def end_now(self) -> None:
        """Let the dialplan see that the call failed if the caller is still there."""
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


class RunningCalls:
    """All running calls: workers begin and end them, `cut` ends all, and a thread checks how long each has lasted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the three below; while it is held, no call's socket is closed
        self._calls: set[RunningCall] = set()
        self._cut: set[RunningCall] = set()
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

    def begin(self, connection: Connection, began: float, overdue: float) -> RunningCall:
        """Add a call. If all calls were cut before, it is cut at once."""
        running_call = RunningCall(connection, began, overdue)
        with self._lock:
            self._calls.add(running_call)
            if self._is_cut:
                self._end_now(running_call)
        return running_call

    def end(self, running_call: RunningCall) -> None:
        """Remove a call that is over; after that its connection may be closed."""
        with self._lock:
            self._calls.discard(running_call)

    def now(self) -> set[RunningCall]:
        """The calls that are running at this moment."""
        with self._lock:
            return set(self._calls)

    def cut(self) -> set[RunningCall]:
        """Let the dialplan of each call, present and future, see that it failed; returns all calls cut so far."""
        with self._lock:
            self._is_cut = True
            for running_call in self._calls - self._cut:
                self._end_now(running_call)
            return set(self._cut)

    def disconnect(self) -> None:
        """Wake every worker that still waits for the other side of a call that was cut."""
        with self._lock:
            for running_call in self._calls & self._cut:
                running_call.connection.cut()

    def _end_now(self, running_call: RunningCall) -> None:
        running_call.end_now()
        running_call.is_cut = True
        self._cut.add(running_call)

    # The thread runs what follows.

    def _run(self) -> None:
        while not self._stopping.wait(LOOK):
            self._look(time.monotonic())

    def _look(self, now: float) -> None:
        with self._lock:
            overstaying = [running_call for running_call in self._calls if self._overstays(running_call, now)]
        for running_call in overstaying:
            _report(running_call, now)

    def _overstays(self, running_call: RunningCall, now: float) -> bool:
        """Whether to report the script; first ends the call if it has lasted too long."""
        if running_call.overdue <= now and not running_call.is_overdue:
            running_call.end_now()
            running_call.is_overdue = True
        if now - running_call.began < OVERSTAY or running_call.is_reported or running_call.call is None:
            return False
        if not running_call.is_over():
            return False
        running_call.over_since = min(running_call.over_since, now)
        running_call.is_reported = now - running_call.over_since >= OVERSTAY
        return running_call.is_reported


def _report(running_call: RunningCall, now: float) -> None:
    assert running_call.call is not None  # as it overstays
    logger.warning(
        '%s: the script %r still runs %.0f s after its call ended, and keeps a worker busy: let it check call.hung_up',
        running_call.call.environment.unique_id,
        running_call.path,
        now - running_call.over_since,
    )
