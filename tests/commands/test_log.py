"""The log of the commands."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest

from hitcounter.commands import log as log_module
from hitcounter.commands.log import GatheringHandler
from tests.support.patience import PATIENCE


def log(handler: GatheringHandler, *messages: str) -> None:
    for message in messages:
        handler.handle(logging.LogRecord('test', logging.INFO, __file__, 1, message, None, None))


class Stream(io.TextIOWrapper):
    """A stream in memory, which fails while `full`, if it is told to after some bytes."""

    class Raw(io.RawIOBase):
        def __init__(self) -> None:
            self.written = b''
            self.room = sys.maxsize

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]  # of all that may be written
            taken = bytes(data)[: self.room]
            if not taken:
                raise OSError(28, 'No space left on device')
            self.room -= len(taken)
            self.written += taken
            return len(taken)

    def __init__(self) -> None:
        self.disk = self.Raw()
        super().__init__(io.BufferedWriter(self.disk))  # type: ignore[type-var]  # what it needs

    @property
    def lines(self) -> list[str]:
        return self.disk.written.decode().splitlines()


def test_lines_are_written_in_order_and_all_of_them_at_the_close() -> None:
    stream = Stream()
    handler = GatheringHandler(stream)
    log(handler, 'one', 'two', 'three')
    handler.close()
    assert stream.lines == ['one', 'two', 'three']
    assert not handler._thread.is_alive()


def test_lines_that_a_full_disk_does_not_take_are_counted_and_the_log_says_so_once_it_takes_more() -> None:
    stream = Stream()
    with closing(GatheringHandler(stream)) as handler:
        stream.disk.room = len('written\nhalf of')
        log(handler, 'written', 'half of this line', 'none of\nthese two')
        handler.flush()
        stream.disk.room = 5
        log(handler, 'nor this one')
        handler.flush()
        stream.disk.room = sys.maxsize
        log(handler, 'written again')
        handler.flush()
        log(handler, 'and again')
    written, half, begun, said, *after = stream.lines
    assert (written, half) == ('written', 'half of')
    assert begun == '3 li'
    assert said == '4 lines of the log were lost: writing failed (No space left on device)'
    assert after == ['written again', 'and again']


def test_a_disk_that_is_full_is_no_end_of_the_log() -> None:
    with open('/dev/full', 'w') as full, closing(GatheringHandler(full)) as handler:
        log(handler, 'lost')
        handler.flush()
        log(handler, 'lost')
        handler.flush()
        assert handler._unwritten == 2
        assert handler._thread.is_alive()


def test_a_record_that_cannot_be_formatted_is_logged_as_such_and_stops_no_other() -> None:
    stream = Stream()
    handler = GatheringHandler(stream)
    handler.handle(logging.LogRecord('test', logging.INFO, __file__, 1, '%d', ('no number',), None))
    log(handler, 'next')
    handler.close()
    assert stream.lines[0] == "a record of test cannot be formatted: '%d'"
    assert stream.lines[-2:] == ['TypeError: %d format: a real number is required, not str', 'next']


class Unread:
    """A handler whose stream is a pipe that nobody reads yet, so that its thread cannot write the first line."""

    def __init__(self) -> None:
        self._read, write = os.pipe()
        os.set_blocking(write, False)
        with suppress(BlockingIOError):
            while True:
                os.write(write, b' ')
        os.set_blocking(write, True)
        self._stream = os.fdopen(write, 'w')
        self._text = ''
        self._reading = threading.Thread(target=self._read_all, daemon=True)
        self.handler = GatheringHandler(self._stream)
        self._raw, self.handler._raw = self.handler._raw, self
        self._stuck = threading.Event()
        log(self.handler, 'the first')
        assert self._stuck.wait(PATIENCE)

    def write(self, data: memoryview) -> int:
        """Write as the handler's own stream does."""
        self._stuck.set()
        return int(self._raw.write(data))

    def begin_to_read(self) -> None:
        self._reading.start()

    def _read_all(self) -> None:
        with os.fdopen(self._read) as reader:
            self._text = reader.read()

    def lines(self) -> list[str]:
        """Close the log; all that was read of it."""
        self.handler.close()
        self._stream.close()
        self._reading.join(PATIENCE)
        return self._text.lstrip(' ').splitlines()


@pytest.fixture
def unread() -> Unread:
    return Unread()


def test_lines_that_nobody_reads_in_time_are_counted_and_the_newest_are_kept(
    unread: Unread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, '_MEMORY', 100 * sys.getsizeof('line 0000'))
    log(unread.handler, *(f'line {number:04}' for number in range(1000)))

    unread.begin_to_read()
    first, said, *kept = unread.lines()

    assert first == 'the first'
    assert said == '900 lines of the log were lost: nobody read it in time'
    assert kept == [f'line {number:04}' for number in range(900, 1000)]


def test_no_line_is_lost_uncounted_when_many_threads_log_and_somebody_reads_late(
    unread: Unread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, '_MEMORY', 50 * sys.getsizeof('line 0000'))
    threads = [
        threading.Thread(target=log, args=(unread.handler, *(f'line {number:04}' for number in range(500))))
        for _ in range(8)
    ]
    log(unread.handler, *['line early'] * 100)
    for thread in threads:
        thread.start()
    unread.begin_to_read()
    for thread in threads:
        thread.join(PATIENCE)
    lines = unread.lines()

    lost = sum(int(found[1]) for line in lines if (found := re.match(r'(\d+) lines? of the log', line)))
    kept = [line for line in lines if line.startswith('line ')]
    assert lost
    assert len(kept) + lost == 100 + 8 * 500


def test_what_waits_to_be_read_takes_a_bounded_memory_however_long_its_lines_are(unread: Unread) -> None:
    for _ in range(2000):
        log(unread.handler, 'x' * 30_000)

    assert sum(map(sys.getsizeof, unread.handler._lines)) <= log_module._MEMORY
    unread.begin_to_read()
    assert unread.lines()[1].endswith('lines of the log were lost: nobody read it in time')


def test_a_long_record_keeps_its_beginning_and_its_end() -> None:
    stream = Stream()
    with closing(GatheringHandler(stream)) as handler:
        log(handler, 'begin ' + 'x' * 30_000 + ' end')
    (line,) = stream.lines
    assert line.startswith('begin xx')
    assert ' [... 21818 characters left out ...] ' in line
    assert line.endswith('xx end')
    assert len(line) < 8300


def test_a_command_whose_standard_error_was_closed_before_logs_nothing_and_goes_on(tmp_path: Path) -> None:
    code = 'import logging; from hitcounter.commands import log; log.set_up("info"); logging.info("x"); print("well")'
    done = subprocess.run(
        ['sh', '-c', 'exec "$@" 2>&-', 'sh', sys.executable, '-c', code],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, 'well\n')


def test_where_others_have_set_up_a_log_it_is_kept_and_no_thread_is_started() -> None:
    before = threading.enumerate()
    handlers = [*logging.getLogger().handlers]
    assert handlers  # pytest's

    log_module.set_up('error')

    assert logging.getLogger().handlers == handlers
    assert threading.enumerate() == before
