"""Calls a second: a server on one core, and callers that answer each command at once on the other.

    python benchmarks/calls.py [CALLS_AT_ONCE] [SECONDS]
    python benchmarks/calls.py 128 5 4600 python other_server.py 4600      # another server, and its port

The callers are one thread without any parsing, so that they are no measure of the server. A call is four commands
and the server's close.
"""

import os
import re
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from statistics import quantiles

ENVIRONMENT = (
    'agi_network: yes\nagi_network_script: hits\nagi_request: agi://127.0.0.1/hits\nagi_channel: PJSIP/trunk-{0:08x}\n'
    'agi_language: en\nagi_type: PJSIP\nagi_uniqueid: 1795384173.{0}\nagi_version: 22.10.1\n'
    'agi_callerid: 1555{0:07}\nagi_calleridname: Caller {0}\nagi_callingpres: 0\nagi_callingani2: 0\n'
    'agi_callington: 0\nagi_callingtns: 0\nagi_dnid: 5550100\nagi_rdnis: unknown\nagi_context: default\n'
    'agi_extension: 31415\nagi_priority: 1\nagi_enhanced: 0.0\nagi_accountcode: \nagi_threadid: 140712503998144\n\n'
)


class Caller:
    """One call after the other on one selector."""

    def __init__(self, selector: selectors.BaseSelector, port: int, results: 'Results') -> None:
        self._selector = selector
        self._port = port
        self._results = results

    def call(self) -> None:
        self._socket = socket.create_connection(('127.0.0.1', self._port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._number = None
        self._begun = time.perf_counter()
        self._socket.sendall(ENVIRONMENT.format(self._results.serial()).encode())
        self._selector.register(self._socket, selectors.EVENT_READ, self)

    def answer(self) -> bool:
        """Answer a command; False when the server has closed."""
        line = self._socket.recv(4096)
        if not line:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._results.add(self._number, time.perf_counter() - self._begun)
            return False
        if said := re.match(rb'SAY NUMBER\W+(\d+)', line, re.IGNORECASE):
            self._number = int(said[1])
        self._socket.sendall(b'200 result=0 endpos=0\n' if line.startswith(b'STREAM') else b'200 result=0\n')
        return True


class Results:
    def __init__(self) -> None:
        self.numbers: list[int | None] = []
        self.seconds: list[float] = []
        self._serial = 0

    def serial(self) -> int:
        self._serial += 1
        return self._serial

    def add(self, number: int | None, seconds: float) -> None:
        self.numbers.append(number)
        self.seconds.append(seconds)


def load(port: int, at_once: int, seconds: float) -> Results:
    selector, results = selectors.DefaultSelector(), Results()
    for _ in range(at_once):
        Caller(selector, port, results).call()
    end = time.perf_counter() + seconds
    while selector.get_map():
        for key, _ in selector.select():
            if not key.data.answer() and time.perf_counter() < end:
                key.data.call()
    return results


def wait_for(port: int) -> None:
    listening = f' 0100007F:{port:04X} 00000000:0000 0A '
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with open('/proc/net/tcp') as sockets:
            if listening in sockets.read():
                return
        time.sleep(0.05)
    sys.exit(f'nothing listens on port {port}')


def main(at_once: str = '128', seconds: str = '5', port: str = '4599', *command: str) -> None:
    with tempfile.TemporaryDirectory(dir='.') as folder:
        own = [sys.executable, '-c', 'from hitcounter.serve import main; main()', '--prompt', 'hello', '--cpu', '0']
        own += ['--storage', f'file://{os.path.abspath(folder)}/hits.fs', '--listen', f'127.0.0.1:{port}']
        with open(os.path.join(folder, 'log'), 'wb') as log:
            server = subprocess.Popen(['taskset', '-c', '0', *(command or own)], stdout=log, stderr=log)
        try:
            wait_for(int(port))
            os.sched_setaffinity(0, {1})
            load(int(port), 16, 0.5)
            begun = time.perf_counter()
            results = load(int(port), int(at_once), float(seconds))
            took = time.perf_counter() - begun
        finally:
            server.terminate()
            server.wait()
    done, different = len(results.numbers), len(set(results.numbers))
    cuts = quantiles(results.seconds, n=100)
    print(
        f'{done / took:.0f} calls/s, p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms, '
        f'{done - different + results.numbers.count(None)} numbers missing or twice'
    )


if __name__ == '__main__':
    main(*sys.argv[1:])
