"""Real servers for the tests: processes of their own, on databases of their own."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

from hitcounter.hits import Caller
from hitcounter.simulator import Channel, LineFromServer, SaidNumber, SimulatedCall, place_call, run_call
from tests.support.patience import PATIENCE

BOB = Caller('555', 'Bob', '17.1')

Run = Callable[..., 'subprocess.CompletedProcess[str]']
Start = Callable[..., 'ServerProcess']


_SERVE = 'from hitcounter.commands.serve import main; main()'


class Log:
    """The lines that a process writes, as they come."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._ended = False
        self._reading = True
        self._changed = threading.Condition()  # of the lines, and whether they ended
        self._thread = threading.Thread(target=self._read, name='log', daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._stream:
            for line in self._stream:
                if not self._reading:
                    break
                with self._changed:
                    self._lines.append(line.rstrip('\n'))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait(self, pattern: str, times: int = 1) -> re.Match[str]:
        """Wait until so many lines match; gives the last of these matches."""

        def matches() -> list[re.Match[str]]:
            return [match for line in self._lines if (match := re.search(pattern, line))]

        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(matches()) >= times, PATIENCE)
            found = matches()
            assert len(found) >= times, f'no {pattern!r} in:\n{self}'
            return found[times - 1]

    def stop_reading(self) -> None:
        """Close this end behind the next line: who writes more gets an error."""
        self._reading = False

    def lines(self, pattern: str = '') -> list[str]:
        """The lines until now that match."""
        with self._changed:
            return [line for line in self._lines if re.search(pattern, line)]

    def end(self) -> None:
        """Wait until there will be no more lines."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def __str__(self) -> str:
        return '\n'.join(self._lines)


class ServerProcess:
    """hitcounter-serve, listening."""

    def __init__(
        self,
        storage: str,
        options: tuple[str, ...],
        environment: Mapping[str, str],
        folder: Path,
        inside: tuple[str, ...] = (),
        code: str = _SERVE,
    ) -> None:
        self.storage = storage
        self.process = subprocess.Popen(
            [
                *inside,
                *(sys.executable, '-W', 'error', '-c', code),
                *('--listen', '127.0.0.1:0', '--storage', storage, *options),
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors='backslashreplace',
            env=environment,
            cwd=folder,
        )
        assert self.process.stderr
        self.log = Log(self.process.stderr)

    def wait_until_ready(self) -> None:
        where = self.log.wait(r'listening on (\S+):(\d+), database')
        self.address = where[1], int(where[2])

    def call(self, **channel: object) -> SimulatedCall:
        """Run a whole call."""
        return place_call(self.address, Channel(**channel), timeout=PATIENCE)

    def number(self, **channel: object) -> int:
        """Run a whole call; returns the number it heard."""
        (number,) = (heard.number for heard in self.call(**channel).events if isinstance(heard, SaidNumber))
        return number

    @contextmanager
    def hold(self, command: bytes, **channel: object) -> Iterator[Callable[[], SimulatedCall]]:
        """A call in which Asterisk has just read `command`; what this gives leads the rest of it.

        If that is not called, the connection breaks at the end of the block.
        """
        call = SimulatedCall(Channel(**channel))
        with closing(run_call(call, self.address, timeout=PATIENCE)) as events:  # type: ignore[type-var]  # a generator
            assert any(isinstance(event, LineFromServer) and event.line.startswith(command) for event in events)

            def go_on() -> SimulatedCall:
                for _ in events:
                    pass
                return call

            yield go_on

    def connect(self) -> socket.socket:
        """A connection of some other peer."""
        return socket.create_connection(self.address, PATIENCE)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; gives the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def wait(self) -> int:
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()  # nothing happens to one that has ended
            self.process.wait()
            self.log.end()
