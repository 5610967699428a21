"""Durable updates a second: threads that each count calls on one line, in one process.

    taskset -c 0 python benchmarks/updates.py [THREADS] [SECONDS]
"""

import os
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

from hitcounter.hits import Caller, HitCounter
from hitcounter.state import State, open_database


def main(threads: int = 64, seconds: float = 5.0) -> None:
    with tempfile.TemporaryDirectory(dir='.') as folder:
        path = Path(folder, 'hits.fs')
        with (
            closing(open_database(f'file://{path.absolute()}', share=True)) as database,
            closing(State(database, [HitCounter])) as state,
        ):
            numbers = count(state, threads, seconds)
        done = len(numbers)
        exact = sorted(numbers) == list(range(1, done + 1))
        print(
            f'{threads} threads: {done / seconds:.0f} updates/s, {os.path.getsize(path) / done:.0f} bytes each; '
            f'numbers unique and dense: {exact}'
        )


def count(state: State, threads: int, seconds: float) -> list[int]:
    """Count calls in `threads` for `seconds`; returns every number that was given."""
    hits = state[HitCounter]
    caller = Caller('15551234567', 'Caller', '1795384173.311')
    end = time.monotonic() + seconds
    numbers: list[list[int]] = [[] for _ in range(threads)]

    def work(mine: list[int]) -> None:
        while time.monotonic() < end:
            mine.append(hits.hit('31415', caller))

    workers = [threading.Thread(target=work, args=(mine,)) for mine in numbers]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [number for mine in numbers for number in mine]


if __name__ == '__main__':
    main(*[kind(argument) for kind, argument in zip((int, float), sys.argv[1:], strict=False)])
