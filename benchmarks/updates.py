"""Durable updates per second: several threads of one process count calls on one line.

    taskset -c 0 python benchmarks/updates.py [--bare] [THREADS] [SECONDS]

With --bare, an update stores only a counter, without the record of the call and its hour. acid.hs does the same.
"""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from hitcounter.hits import Caller, HitCounter
from hitcounter.state import Component, State, open_database, update

CALLER = Caller('15551234567', 'Caller', '1795384173.311')


class Bare(Component):
    """A counter."""

    name = 'bare'

    def __init__(self) -> None:
        self._calls = 0

    @update
    def hit(self) -> int:
        self._calls += 1
        return self._calls


def main(*arguments: str) -> None:
    bare = '--bare' in arguments
    numbers = [argument for argument in arguments if argument != '--bare']
    threads, seconds = int(numbers[0]) if numbers else 64, float(numbers[1]) if numbers[1:] else 5.0
    component: type[Component] = _importable(Bare) if bare else HitCounter
    with tempfile.TemporaryDirectory(dir='.') as folder:
        path = Path(folder, 'hits.fs')
        with (
            open_database(f'file://{path.absolute()}', share=True) as database,
            State(database, [component]) as state,
        ):
            hit = state[Bare].hit if bare else lambda: state[HitCounter].hit('31415', CALLER)
            counted = count(hit, threads, seconds)
        done = len(counted)
        exact = sorted(counted) == list(range(1, done + 1))
        print(
            f'{threads} threads: {done / seconds:.0f} updates/s, {os.path.getsize(path) / done:.0f} bytes each; '
            f'numbers unique and dense: {exact}'
        )


def _importable(component: type[Component]) -> type[Component]:
    """Make `component` importable by its module: a database refuses a class that no other process could load."""
    component.__module__ = Path(__file__).stem
    sys.modules[component.__module__] = sys.modules['__main__']
    return component


def count(hit: Callable[[], int], threads: int, seconds: float) -> list[int]:
    """Call `hit` in `threads` threads for `seconds`; returns every number that it returned."""
    end = time.monotonic() + seconds
    numbers: list[list[int]] = [[] for _ in range(threads)]

    def work(mine: list[int]) -> None:
        while time.monotonic() < end:
            mine.append(hit())

    workers = [threading.Thread(target=work, args=(mine,)) for mine in numbers]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [number for mine in numbers for number in mine]


if __name__ == '__main__':
    main(*sys.argv[1:])
