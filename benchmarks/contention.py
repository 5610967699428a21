"""Calls and a shell that count on the same line at the same time: how long a call waits, and how much the shell does.

python benchmarks/contention.py [THREADS] [SECONDS]
"""

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from hitcounter.hits import Caller, HitCounter
from hitcounter.state import State, open_database

CALLER = Caller('15551234567', 'Caller', '1795384173.311')

#: The other process: it counts without a pause until it is killed, and prints a line for each call.
SHELL = """
import sys
from hitcounter.hits import Caller, HitCounter
from hitcounter.state import State, open_database
with open_database(sys.argv[1]) as database, State(database, [HitCounter]) as state:
    while True:
        state[HitCounter].hit('31415', Caller(None, None, 'shell'))
        print(flush=True)
"""


def main(threads: int = 64, seconds: float = 5.0) -> None:
    with tempfile.TemporaryDirectory(dir='.') as folder:
        uri = f'file://{Path(folder, "hits.fs").absolute()}'
        with open_database(uri, share=True) as database, State(database, [HitCounter]) as state:
            report('calls alone', *count(state, threads, seconds), 0, seconds)
            shell = subprocess.Popen([sys.executable, '-c', SHELL, uri], stdout=subprocess.PIPE)
            assert shell.stdout
            shell.stdout.readline()
            times, done = count(state, threads, seconds)
            shell.kill()
            lines = len(shell.communicate()[0].splitlines())
            report('beside a shell', times, done, lines, seconds)


def report(name: str, times: list[float], done: int, shell: int, seconds: float) -> None:
    times.sort()
    print(
        f'{name}: {done / seconds:.0f} calls/s, p50 {times[done // 2] * 1000:.1f} ms, '
        f'p99 {times[done * 99 // 100] * 1000:.1f} ms, worst {times[-1] * 1000:.1f} ms; shell {shell / seconds:.0f}/s'
    )


def count(state: State, threads: int, seconds: float) -> tuple[list[float], int]:
    """Count calls in `threads` threads for `seconds`; returns the time of each call, and how many there were."""
    end = time.monotonic() + seconds
    times: list[float] = []

    def work() -> None:
        while (started := time.monotonic()) < end:
            state[HitCounter].hit('31415', CALLER)
            times.append(time.monotonic() - started)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return times, len(times)


if __name__ == '__main__':
    main(*[kind(argument) for kind, argument in zip((int, float), sys.argv[1:], strict=False)])
