"""How the commands log: lines on standard error."""

import collections
import json
import logging
import os
import select
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from sys import getsizeof
from typing import Any, TextIO

#: Libraries that log much about themselves, and the lowest level that is logged of each, whatever --log-level is.
_TALKATIVE = {'ZEO': logging.WARNING, 'ZODB': logging.ERROR, 'asyncio': logging.WARNING, 'txn': logging.WARNING}

#: The end of a message from ZODB that the commands replace with one of their own, which says what to do.
_SAID_BY_US = ' seconds in the future'

#: Bytes of memory for lines that wait to be written; beyond that, the oldest are dropped.
_MEMORY = 8 * 2**20

#: The most characters of one record, since what a peer sends may be long. Longer ones lose their middle.
_LONGEST = 8192

#: Seconds after which a stream counts as one that nobody reads.
_STUCK = 1.0

#: Seconds for which lines are gathered, to be written at once.
_DELAY = 0.05


def set_up(level: str, form: str = 'text') -> None:
    """Log what is `level` or worse, as `text` or as `json`; of the libraries in _TALKATIVE only what is said there."""
    # Nobody reads these, and finding them out costs more than writing the line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # the documented way not to look for the caller
    if not logging.getLogger().handlers:  # basicConfig would leave others in place, and the thread of ours unused
        logging.basicConfig(level=level.upper(), handlers=[_handler(form)])
    for name, least in _TALKATIVE.items():
        logging.getLogger(name).setLevel(least)
    if level == 'debug':
        logging.getLogger('txn').setLevel(logging.DEBUG)  # where each transaction begins and is committed
    logging.getLogger('ZODB.FileStorage').addFilter(lambda record: not record.getMessage().endswith(_SAID_BY_US))


def _handler(form: str) -> logging.Handler:
    stream = sys.stderr or open(os.devnull, 'w', encoding='utf-8')  # noqa: SIM115 -- None if it was closed before
    handler = GatheringHandler(stream)
    handler.setFormatter(_FORMATS[form])
    return handler


class JsonFormatter(logging.Formatter):
    """A record as a JSON object on one line: time, level, logger, message, the fields of a call, and an exception.

    The fields are those of `record.fields`, a dictionary. A record of more than _LONGEST characters gets shorter texts.
    """

    def format(self, record: logging.LogRecord) -> str:
        values: dict[str, object] = {
            'time': f'{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%f}'[:-3] + 'Z',
            'level': record.levelname,
            'logger': record.name,
            'message': record.getMessage(),
        }
        values = {**values, **getattr(record, 'fields', {}), **values}
        if record.exc_info:
            values['exception'] = self.formatException(record.exc_info)
        line, longest = _json(values), _LONGEST
        while len(line) > _LONGEST and longest > 1:
            longest //= 2
            line = _json({name: _shortened(value, longest) for name, value in values.items()})
        return line


_FORMATS = {'text': logging.Formatter('%(asctime)s %(levelname)s %(message)s'), 'json': JsonFormatter()}


def _json(values: dict[str, object]) -> str:
    return json.dumps(values, ensure_ascii=False, default=str)


def _shortened(value: object, longest: int) -> object:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return f'{text[:longest]}[...]' if len(text) > longest + 5 else value


def as_json(level: str, message: str) -> str:
    """The line of a record that no logger wrote, such as the error that ends a command."""
    record = logging.LogRecord(__package__, logging.getLevelNamesMapping()[level], '', 0, message, None, None)
    return _FORMATS['json'].format(record)


class GatheringHandler(logging.Handler):
    """Writes the lines of many threads in a thread of its own, so that no call waits for a write.

    A line is written a twentieth of a second late, and all of them at the exit; `kill -9` loses the last ones.
    Lines that nobody reads in time, or that cannot be written, are counted, and the log says how many.
    The QueueListener of the library does not, nor does it bound its memory; it takes 19 µs of CPU a line, not 11.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._raw: Any = getattr(stream.buffer, 'raw', stream.buffer)  # it returns how much it wrote
        self._lines: collections.deque[str] = collections.deque()
        # The first two are changed under the handler's own lock, the others under _writing.
        self._put = self._dropped = 0
        self._taken = self._reported = self._unwritten = 0
        self._why = ''
        self._in_a_line = False
        self._some = threading.Event()
        self._writing = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name='log', daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 -- as every handler of logging: a line is not worth a call
            line = self.format(_instead_of(record))
        if len(line) > _LONGEST:
            line = _without_its_middle(line)
        self._lines.append(line)
        self._put += getsizeof(line)
        if self._put - self._taken > _MEMORY:
            self._drop()
        if not self._some.is_set():
            self._some.set()

    def _drop(self) -> None:
        with suppress(IndexError):  # `_take` has just taken them all
            while self._put - self._taken > _MEMORY:
                line = self._lines.popleft()
                self._put -= getsizeof(line)
                self._dropped += _lines_in(line)

    def flush(self) -> None:
        """Write what has gathered; wait no more than a second for a stream that nobody reads."""
        if not self._writing.acquire(timeout=_STUCK):
            return
        try:
            self._write(self._take())
        except BrokenPipeError:  # there is no reader any more: go on without one, also at the exit
            with open(os.devnull, 'wb') as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())
        finally:
            self._writing.release()

    def _take(self) -> list[str]:
        lines = []
        with suppress(IndexError):  # emit has just dropped some
            for _ in range(len(self._lines)):
                lines.append(self._lines.popleft())
        self._taken += sum(map(getsizeof, lines))
        return lines

    def _write(self, lines: list[str]) -> None:
        """Write these lines, after one that says how many were lost. Raises BrokenPipeError."""
        if not lines:
            return
        dropped = self._dropped
        if not self._put_out(self._losses(dropped - self._reported)):
            self._reported, self._unwritten = dropped, 0
        self._unwritten += self._put_out(lines)

    def _losses(self, dropped: int) -> list[str]:
        """Lines that say how many lines were lost since the last such report."""
        said = []
        if self._unwritten:
            said.append(f'{_count_of(self._unwritten)} lost: writing failed ({self._why})')
        if dropped:
            said.append(f'{_count_of(dropped)} lost: nobody read it in time')
        return [self.format(logging.LogRecord(__name__, logging.WARNING, '', 0, text, None, None)) for text in said]

    def _put_out(self, lines: list[str]) -> int:
        """Write these lines; returns how many could not be written, on a full disk for example."""
        if not lines:
            return 0
        start = '\n' if self._in_a_line else ''
        data = (start + '\n'.join(lines) + '\n').encode('utf-8', 'backslashreplace')
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._put_some(rest) :]
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:  # the latter: the file is closed
            self._why = getattr(error, 'strerror', None) or str(error)
        if begun := len(data) - len(rest):
            self._in_a_line = data[begun - 1 : begun] != b'\n'
        return min(sum(map(_lines_in, lines)), bytes(rest).count(b'\n')) if rest else 0

    def _put_some(self, data: memoryview) -> int:
        written: int | None = self._raw.write(data)
        if written is None:  # the pipe is full, and was set not to block
            select.select([], [self._raw], [], _STUCK)
        return written or 0

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


def _instead_of(record: logging.LogRecord) -> logging.LogRecord:
    """What is logged in place of a record that cannot be formatted, within the `except` that found it."""
    message = f'a record of {record.name} cannot be formatted'
    if isinstance(record.msg, str):
        message += f': {record.msg!r}'
    return logging.LogRecord(__name__, logging.ERROR, '', 0, message, None, sys.exc_info())


def _without_its_middle(line: str) -> str:
    left_out = len(line) - _LONGEST
    half = _LONGEST // 2
    return f'{line[:half]} [... {left_out} characters left out ...] {line[-half:]}'


def _lines_in(record: str) -> int:
    return record.count('\n') + 1


def _count_of(lines: int) -> str:
    return '1 line of the log was' if lines == 1 else f'{lines} lines of the log were'
