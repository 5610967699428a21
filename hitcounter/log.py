"""How the commands log: lines on standard error."""

import collections
import logging
import sys
import threading
from typing import TextIO

#: Libraries whose own account of themselves is for those who look for a fault.
_TALKATIVE = ('ZEO', 'ZODB', 'asyncio', 'txn')

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
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)


class GatheringHandler(logging.Handler):
    """Writes the lines of many threads in a thread of its own, so that none waits for another's write.

    A line is written a twentieth of a second late, and all of them at the exit; `kill -9` takes the last ones.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: collections.deque[str] = collections.deque()
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
        with self._writing:
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            if lines:
                self._stream.write('\n'.join(lines) + '\n')
                self._stream.flush()

    def close(self) -> None:
        self._closing.set()
        self._some.set()
        self._thread.join()
        self.flush()
        super().close()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._some.wait()
            self._closing.wait(_DELAY)
            self._some.clear()
            self.flush()
