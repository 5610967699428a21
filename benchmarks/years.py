"""A database of many years: its size, the time of a restart, and the longest wait of a call during a pack.

    python benchmarks/years.py [CALLS]

Each call is counted in a transaction of its own, so the file is as large as it can get.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from unittest.mock import patch

from updates import CALLER

from hitcounter.hits import HitCounter
from hitcounter.state import State, open_database

_OPEN = """
import sys, time
from hitcounter.hits import HitCounter
from hitcounter.state import State, open_database
begun = time.perf_counter()
with open_database(sys.argv[1], share=True) as database, State(database, [HitCounter]) as state:
    calls = state[HitCounter].count('31415')
    print(f'{time.perf_counter() - begun:.3f} s, {calls} calls')
"""


def main(calls: str = '1000000') -> None:
    with tempfile.TemporaryDirectory(dir='.') as folder:
        path = Path(folder, 'hits.fs').absolute()
        uri = f'file://{path}'
        with open_database(uri, share=True) as database, State(database, [HitCounter]) as state:
            _fill(state, int(calls))
            print(f'{os.path.getsize(path) / int(calls):.0f} bytes per call')
        print('restart with its index:', _restart(uri))
        os.remove(f'{path}.index')
        print('restart without it:', _restart(uri))
        with open_database(uri, share=True) as database, State(database, [HitCounter]) as state:
            before = os.path.getsize(path)
            waits = _Waits(state)
            time.sleep(2.0)
            quiet = waits.take()
            begun = time.perf_counter()
            database.db.pack()
            took = time.perf_counter() - begun
            packing = waits.take()
            waits.close()
            print(
                f'pack of {before / 1e6:.0f} MB to {os.path.getsize(path) / 1e6:.0f} MB in {took:.1f} s; a call waited '
                f'{_milliseconds(packing)}, before the pack {_milliseconds(quiet)}'
            )
            print(f'{os.path.getsize(path) / state[HitCounter].count("31415"):.0f} bytes per call after the pack')


def _fill(state: State, calls: int) -> None:
    """Count `calls` calls, without waiting for the disk, whose speed is not measured here."""
    with patch('os.fsync'):
        for _ in range(calls):
            state[HitCounter].hit('31415', CALLER)


def _restart(uri: str) -> str:
    done = subprocess.run([sys.executable, '-c', _OPEN, uri], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


class _Waits:
    """A caller every hundredth of a second; measures how long each waits for its number."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._seconds: list[float] = []
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name='callers')
        self._thread.start()

    def take(self) -> list[float]:
        """The waits since the last call of `take`, shortest first."""
        seconds, self._seconds = self._seconds, []
        return sorted(seconds)

    def close(self) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._enough.wait(0.01):
            begun = time.perf_counter()
            self._state[HitCounter].hit('31415', CALLER)
            self._seconds.append(time.perf_counter() - begun)


def _milliseconds(seconds: list[float]) -> str:
    return f'{seconds[len(seconds) // 2] * 1000:.1f} ms at the median, {seconds[-1] * 1000:.0f} ms at most'


if __name__ == '__main__':
    main(*sys.argv[1:])
