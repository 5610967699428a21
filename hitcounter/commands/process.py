"""The life of a server process: it lasts until a signal comes, or until a thread dies that it cannot do without."""

import faulthandler
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from ..errors import HitcounterError

logger = logging.getLogger(__name__)

#: What ends a server. A terminal that is closed sends SIGHUP, unless it was told not to: nohup.
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

#: Interrupts the main thread, whatever it is waiting for.
_WAKE = signal.SIGUSR1

#: Seconds after which a start that has not ended is interrupted again: a library may have swallowed the first error.
_AGAIN = 1.0

#: Seconds that a process has after its drain if a thread died: the others may be waiting for what that thread held.
_LAST = 15.0

#: Seconds that a process which was stopped has, beyond those for its updates, to close a storage that does not answer.
_LAST_OF_STOP = 25.0


class ServerProcess:
    """Create it in the main thread before any other thread is started, so that all of them inherit the blocked signals.

    The process cannot do without the threads whose names begin with one of `vital`. If one of them dies, the process
    ends with status 1, at the latest some seconds after `drain`.
    """

    def __init__(self, vital: tuple[str, ...], drain: float) -> None:
        self._vital = vital
        self._drain = drain
        self._main = threading.get_ident()
        self._signals = [number for number in _ENDING if not _is_ignored(number)]
        self._over = threading.Event()
        self._started = threading.Event()
        self._number = 0  # of the first signal; set before _over
        self._death = ''  # which thread died, and of what; set before _over
        self._cut: Callable[[], object] = int
        signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
        signal.signal(_WAKE, self._interrupt)
        threading.excepthook = self._note_death
        # Started now, while the system still allows more threads.
        threading.Thread(target=self._listen, name='signals', daemon=True).start()

    @contextmanager
    def starting(self) -> Iterator[None]:
        """End what the block does at once when a signal comes.

        Raises SystemExit then, with status 0, or 130 after Ctrl-C, and HitcounterError if a vital thread died.
        """
        try:
            yield
        except _Stopped as stopped:
            raise SystemExit(*stopped.args) from None
        finally:
            self._started.set()

    def wait(self, cut: Callable[[], object]) -> None:
        """Wait until the process is to end; a second signal then calls `cut`, in another thread."""
        self._cut = cut
        self._over.wait()

    def end_within(self, seconds: float) -> None:
        """End the process, with status 1, if it has not ended by itself in these seconds and some more.

        A storage that does not answer, such as a disk that hangs, can keep it from closing what it has open. Standard
        error then shows where each thread waits.
        """
        if not self._death:  # which has set a time of its own
            with suppress(RuntimeError):  # the system allows no further thread for that
                faulthandler.dump_traceback_later(seconds + _LAST_OF_STOP, exit=True)

    @contextmanager
    def reporting_death(self) -> Iterator[None]:
        """Raise HitcounterError after the block if a vital thread died, in place of what else was raised."""
        try:
            yield
        except Exception as error:
            if not self._death:
                raise
            logger.info('ending: %s: %s', type(error).__name__, error)
            raise HitcounterError(self._death) from error
        if self._death:
            raise HitcounterError(self._death)

    def _interrupt(self, _: int, __: FrameType | None) -> None:
        """The handler of _WAKE: runs in the main thread, wherever that is."""
        if self._started.is_set() or not self._over.is_set():
            return
        if self._death:
            raise HitcounterError(self._death)
        logger.info('stopped by %s before it listened', signal.Signals(self._number).name)
        raise _Stopped(128 + signal.SIGINT if self._number == signal.SIGINT else 0)

    def _listen(self) -> None:
        self._number = signal.sigwait(self._signals)
        self._over.set()
        while not self._started.is_set():
            signal.pthread_kill(self._main, _WAKE)
            signal.sigtimedwait(self._signals, _AGAIN)
        signal.sigwait(self._signals)
        self._cut()

    def _note_death(self, args: threading.ExceptHookArgs) -> None:
        """Log what ended a thread; the process lives on if it can."""
        name = args.thread.name if args.thread else ''
        if args.exc_value is None or (args.exc_type is SystemExit and not name.startswith(self._vital)):
            return
        logger.critical('the thread %r died', name, exc_info=args.exc_value)
        if name.startswith(self._vital) and not self._death:
            self._death = (
                f'the thread {name!r} died of {args.exc_type.__name__} ({args.exc_value}), and no call can be counted '
                f'without it: start the server again'
            )
            self._over.set()
            with suppress(RuntimeError):  # the system allows no further thread for that
                faulthandler.dump_traceback_later(self._drain + _LAST, exit=True)
            if not self._started.is_set():
                signal.pthread_kill(self._main, _WAKE)


class _Stopped(BaseException):
    """A signal came while the process started. Not a SystemExit, which would be taken for a component's."""


def _is_ignored(number: int) -> bool:
    """Whether the process was started with SIGHUP ignored, as by nohup. An ignored SIGINT ends it nevertheless."""
    return number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN
