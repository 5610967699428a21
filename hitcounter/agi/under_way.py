"""The calls under way: those that last too long are ended, and a script that runs on after its call is reported."""

import logging
import math
import socket
import threading
import time

from .call import Call
from .connection import Connection

logger = logging.getLogger(__name__)

#: The thread's name.
NAME = 'agi clock'

#: Seconds between two looks.
LOOK = 1.0

#: Seconds for which a script may run after its call ended before that is logged.
OVERSTAY = 10.0


class UnderWay:
    """One call of a worker, from its begin to its end; others read and end it only under the lock of `Calls`."""

    __slots__ = ('began', 'call', 'connection', 'is_cut', 'is_overdue', 'is_reported', 'over_since', 'overdue', 'path')

    def __init__(self, connection: Connection, began: float, overdue: float) -> None:
        self.connection = connection
        self.began = began
        #: From when on, on the clock of time.monotonic(), it has lasted too long.
        self.overdue = overdue
        #: What the script has; None before there is a script.
        self.call: Call | None = None
        #: The script's own; the one that was asked for may say who called.
        self.path = ''
        #: Whether it was ended because all calls were.
        self.is_cut = False
        #: Whether it was ended because it lasted too long.
        self.is_overdue = False
        self.is_reported = False
        self.over_since = math.inf

    def end_now(self) -> None:
        """Tell the dialplan that the call failed, if the caller is still there."""
        if self.is_over():
            self.connection.cut()
        else:
            self.connection.fail()

    def is_over(self) -> bool:
        """Whether the caller is gone or the connection is closed, the script perhaps not having noticed."""
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
    """All calls under way. A worker begins and ends its own; `cut` ends all. Looks at their clocks from `start` on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # of all below; no socket in it is closed meanwhile
        self._calls: set[UnderWay] = set()
        self._cut: set[UnderWay] = set()
        self._is_cut = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; also one that was never started."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def begin(self, connection: Connection, began: float, overdue: float) -> UnderWay:
        """Take up a call. It is cut at once if all were cut before."""
        under_way = UnderWay(connection, began, overdue)
        with self._lock:
            self._calls.add(under_way)
            if self._is_cut:
                self._end_now(under_way)
        return under_way

    def end(self, under_way: UnderWay) -> None:
        """The call is over, and its connection may be closed from now on."""
        with self._lock:
            self._calls.discard(under_way)

    def now(self) -> set[UnderWay]:
        """Those under way at this moment."""
        with self._lock:
            return set(self._calls)

    def cut(self) -> set[UnderWay]:
        """Tell the other side of every call that it failed, once and for all; returns those that were cut until now."""
        with self._lock:
            self._is_cut = True
            for under_way in self._calls - self._cut:
                self._end_now(under_way)
            return set(self._cut)

    def disconnect(self) -> None:
        """Wake every worker that still waits for the other side of a call that was cut."""
        with self._lock:
            for under_way in self._calls & self._cut:
                under_way.connection.cut()

    def _end_now(self, under_way: UnderWay) -> None:
        under_way.end_now()
        under_way.is_cut = True
        self._cut.add(under_way)

    # The thread runs what follows.

    def _run(self) -> None:
        while not self._stopping.wait(LOOK):
            self._look(time.monotonic())

    def _look(self, now: float) -> None:
        with self._lock:
            overstaying = [under_way for under_way in self._calls if self._overstays(under_way, now)]
        for under_way in overstaying:
            _report(under_way, now)

    def _overstays(self, under_way: UnderWay, now: float) -> bool:
        """Whether that is to be reported; ends the call if it lasts too long."""
        if under_way.overdue <= now and not under_way.is_overdue:
            under_way.end_now()
            under_way.is_overdue = True
        if now - under_way.began < OVERSTAY or under_way.is_reported or under_way.call is None:
            return False
        if not under_way.is_over():
            return False
        under_way.over_since = min(under_way.over_since, now)
        under_way.is_reported = now - under_way.over_since >= OVERSTAY
        return under_way.is_reported


def _report(under_way: UnderWay, now: float) -> None:
    assert under_way.call is not None  # as it overstays
    logger.warning(
        '%s: the script %r still runs %.0f s after its call ended, and keeps a worker: have it look at call.hung_up',
        under_way.call.environment.unique_id,
        under_way.path,
        now - under_way.over_since,
    )
