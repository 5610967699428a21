"""Load: a server on one core, and callers on another; shared by the benchmarks of calls.

The callers are one thread that parses nothing, so that they do not slow down the measurement.

The server is hitcounter's, or `command`: any other that serves `hits` on 127.0.0.1, port `port`.
"""

import heapq
import os
import re
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

ENVIRONMENT = (
    'agi_network: yes\nagi_network_script: hits\nagi_request: agi://127.0.0.1/hits\nagi_channel: PJSIP/trunk-{0:08x}\n'
    'agi_language: en\nagi_type: PJSIP\nagi_uniqueid: 1795384173.{0}\nagi_version: 22.10.1\n'
    'agi_callerid: 1555{0:07}\nagi_calleridname: Caller {0}\nagi_callingpres: 0\nagi_callingani2: 0\n'
    'agi_callington: 0\nagi_callingtns: 0\nagi_dnid: 5550100\nagi_rdnis: unknown\nagi_context: default\n'
    'agi_extension: 31415\nagi_priority: 1\nagi_enhanced: 0.0\nagi_accountcode: \nagi_threadid: 140712503998144\n\n'
)

_NUMBER = re.compile(rb'SAY NUMBER\W+(\d+)', re.IGNORECASE).match


@dataclass
class Results:
    """The results of the calls."""

    #: The number that each call heard, or None.
    numbers: list[int | None] = field(default_factory=list)
    #: How long each call waited for the server, in seconds.
    seconds: list[float] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        """How many calls heard no number, or the number of another call."""
        return len(self.numbers) - len(set(self.numbers) - {None})

    def percentiles(self) -> str:
        cuts = quantiles(self.seconds, n=100)
        return f'p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms'


class Load:
    """Makes calls to `port`, in each of which Asterisk takes `pause` seconds for a command."""

    def __init__(self, port: int, pause: float = 0.0) -> None:
        self.results = Results()
        self._port = port
        self._pause = pause
        self._selector = selectors.DefaultSelector()
        self._begun = 0
        self._replies: list[tuple[float, int, _Caller, bytes]] = []  # a heap: when each is due
        self._serial = 0

    def run(self, at_once: int, seconds: float) -> None:
        """Keep `at_once` calls going for `seconds`, then let them end."""
        for _ in range(at_once):
            self._call()
        self._lead(at_once, time.perf_counter() + seconds)

    def hold(self, calls: int, rate: float) -> None:
        """Begin `calls` calls, `rate` of them per second, and let them end."""
        begin = time.perf_counter()
        while self._begun < calls:
            due = begin + self._begun / rate
            while (now := time.perf_counter()) < due:
                self._turn(due - now)
            self._call()
        self._lead(0, 0.0)

    def _lead(self, at_once: int, end: float) -> None:
        while self._selector.get_map() or self._replies:
            ended = self._turn(1.0)
            if at_once and time.perf_counter() < end:
                for _ in range(ended):
                    self._call()

    def _call(self) -> None:
        self._begun += 1
        caller = _Caller(self._port, self._begun)
        self._selector.register(caller.socket, selectors.EVENT_READ, caller)

    def _turn(self, patience: float) -> int:
        """Handle what arrives within `patience` seconds and what is due; returns how many calls ended."""
        if self._replies:
            patience = min(patience, max(0.0, self._replies[0][0] - time.perf_counter()))
        ended = sum(self._take(key.data) for key, _ in self._selector.select(patience))
        while self._replies and self._replies[0][0] <= time.perf_counter():
            *_, caller, reply = heapq.heappop(self._replies)
            caller.send(reply)
        return ended

    def _take(self, caller: '_Caller') -> bool:
        """Take a command, or the end of the call; returns whether the call ended."""
        line = caller.socket.recv(4096)
        if not line:
            self._selector.unregister(caller.socket)
            caller.socket.close()
            self.results.numbers.append(caller.number)
            self.results.seconds.append(caller.waited)
            return True
        reply = caller.take(line)
        if self._pause:
            self._serial += 1
            heapq.heappush(self._replies, (time.perf_counter() + self._pause, self._serial, caller, reply))
        else:
            caller.send(reply)
        return False


class _Caller:
    """One call; `waited` is how long it has waited for the server, in seconds."""

    def __init__(self, port: int, serial: int) -> None:
        self.number: int | None = None
        self.waited = 0.0
        self._since = time.perf_counter()
        self.socket = socket.create_connection(('127.0.0.1', port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(ENVIRONMENT.format(serial).encode())

    def take(self, line: bytes) -> bytes:
        """Take a command; returns the reply."""
        self.waited += time.perf_counter() - self._since
        if said := _NUMBER(line):
            self.number = int(said[1])
        return b'200 result=0 endpos=0\n' if line.startswith(b'STREAM') else b'200 result=0\n'

    def send(self, reply: bytes) -> None:
        self._since = time.perf_counter()
        self.socket.sendall(reply)


@contextmanager
def serving(port: int, *options: str, command: Sequence[str] = ()) -> Iterator[int]:
    """Run a server on core 0 and this process on core 1; yields the server's process id."""
    with tempfile.TemporaryDirectory(dir='.') as folder:
        own = [
            sys.executable,
            '-c',
            'from hitcounter.commands.serve import main; main()',
            '--prompt',
            'hello',
            '--cpu',
            '0',
        ]
        own += ['--storage', f'file://{os.path.abspath(folder)}/hits.fs', '--listen', f'127.0.0.1:{port}', *options]
        with Path(folder, 'log').open('wb') as log:
            server = subprocess.Popen(['taskset', '-c', '0', *(command or own)], stdout=log, stderr=log)
        try:
            _wait_for(port, server)
            os.sched_setaffinity(0, {1})
            yield server.pid
        finally:
            server.terminate()
            server.wait()


def resident(process: int) -> float:
    """The memory that a process uses now, in KiB."""
    status = Path(f'/proc/{process}/status').read_text()
    found = re.search(r'VmRSS:\s+(\d+) kB', status)
    assert found
    return float(found[1])


def _wait_for(port: int, server: 'subprocess.Popen[bytes]') -> None:
    listening = f' 0100007F:{port:04X} 00000000:0000 0A '
    end = time.monotonic() + 30
    while time.monotonic() < end and server.poll() is None:
        if listening in Path('/proc/net/tcp').read_text():
            return
        time.sleep(0.05)
    sys.exit(f'nothing listens on port {port}')
