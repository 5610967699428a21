"""Ctrl-C while something is being stored: it waits for the end of that, so that the outcome can be reported."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds that a first Ctrl-C waits; a second one does not wait.
GRACE = 5.0


class Late:
    """Whether a Ctrl-C waits for the end of the block."""

    def __init__(self) -> None:
        self.came = False
        self._timer: threading.Timer | None = None

    def note(self, *_: object) -> None:
        """For the signal: wait, but raise KeyboardInterrupt from the second one on."""
        self.close()
        # The timer signals this very thread: that wakes it from whatever it is waiting for, and again if it waits once
        # more while it handles the KeyboardInterrupt.
        again = (threading.get_ident(), signal.SIGINT)
        self._timer = threading.Timer(GRACE, signal.pthread_kill, again)
        self._timer.daemon = True
        self._timer.start()
        if self.came:
            raise KeyboardInterrupt
        self.came = True

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


@contextmanager
def put_off() -> Iterator[Late]:
    """Put Ctrl-C off until the block has ended; `came` of what this yields then says whether there was one.

    A second Ctrl-C, or one that has waited for GRACE seconds, raises KeyboardInterrupt in the block. Only the main
    thread receives signals: in any other thread, or if a handler other than Python's own is set, this changes nothing.
    """
    late = Late()
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield late
        return
    signal.signal(signal.SIGINT, late.note)
    try:
        yield late
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        late.close()
