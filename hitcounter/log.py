"""How the commands log: lines on standard error."""

import collections
import logging
import os
import sys
import threading
from typing import TextIO

#: Libraries whose own account of themselves is for those who look for a fault, and what is heard of them else.
_TALKATIVE = {'ZEO': logging.WARNING, 'ZODB': logging.ERROR, 'asyncio': logging.WARNING, 'txn': logging.WARNING}

#: Lines that wait to be written, at most; older ones are lost when nobody reads them.
_LINES = 100_000

#: Seconds after which a stream counts as one that nobody reads.
_STUCK = 1.0

#: Seconds for which lines are gathered, to be written at once.
_DELAY = 0.05


def set_up(level: str) -> None:
    """Log what is `level` or worse."""
    # Nobody reads these, and to find them out costs more than to write the line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # the documented way not to look for the caller
    handler = GatheringHandler(sys.stderr)
    logging.basicConfig(level=level.upper(), format='%(asctime)s %(levelname)s %(message)s', handlers=[handler])
    if level != 'debug':
        for name, least in _TALKATIVE.items():
            logging.getLogger(name).setLevel(least)


class GatheringHandler(logging.Handler):
    """Writes the lines of many threads in a thread of its own, so that no call waits for a write.

    A line is written a twentieth of a second late, and all of them at the exit; `kill -9` takes the last ones.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: collections.deque[str] = collections.deque(maxlen=_LINES)
        self._some = threading.Event()
        self._writing = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name='log', daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.append(self.format(record))
        except Exception:  # noqa: BLE001 -- as every handler of logging: a line is not worth a call
            self.handleError(record)
        if not self._some.is_set():
            self._some.set()

    def flush(self) -> None:
        """Write what has gathered; wait no more than a second for a stream that nobody reads."""
        if not self._writing.acquire(timeout=_STUCK):
            return
        try:
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            if lines:
                self._stream.write('\n'.join(lines) + '\n')
                self._stream.flush()
        except BrokenPipeError:  # there is no reader any more: go on without one, also at the exit
            with open(os.devnull, 'wb') as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())
        except OSError:  # a full disk, say: these lines are lost, later ones perhaps not
            pass
        finally:
            self._writing.release()

    def close(self) -> None:
        self._closing.set()
        self._some.set()
        self._thread.join(_STUCK)
        self.flush()
        super().close()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._some.wait()
            self._closing.wait(_DELAY)
            self._some.clear()
            self.flush()
