"""Ctrl-C while something is stored: it waits until that has ended, so that what became of it can be said."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds for which one Ctrl-C waits; a second one does not wait.
GRACE = 5.0


class Late:
    """Whether a Ctrl-C waits for the end of the block."""

    def __init__(self) -> None:
        self.came = False
        self._timer: threading.Timer | None = None

    def note(self, *_: object) -> None:
        """For the signal: wait, but raise KeyboardInterrupt from the second one on."""
        self.close()
        # A further signal of our own, to this very thread: it must wake up from whatever it waits for, and again from
        # what the error then makes it do.
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
    """Let Ctrl-C wait until the block has ended, which then asks whether one `came`.

    A second Ctrl-C, and one that has waited for GRACE seconds, raise KeyboardInterrupt in the block. Signals reach the
    main thread alone, and a handler that is not Python's own is left in place: otherwise this changes nothing.
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
