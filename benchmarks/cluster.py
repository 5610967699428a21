"""Servers that count on one line of a database on PostgreSQL: what turns give, and what they cost.

python benchmarks/cluster.py URI [ROUNDS] [SECONDS]

URI names an empty database. One, two and three processes count, with and without turns, alternately.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any, NamedTuple

from transaction.interfaces import TransientError

from hitcounter.hits import Caller, HitCounter
from hitcounter.state import State, open_database
from hitcounter.state.storage.turn import NoTurn
from hitcounter.state.transactions.writer import Writer

CALLER = Caller('15551234567', 'Caller', '1795384173.311')

#: Servers, and callers of each.
CASES = (1, 16), (2, 16), (3, 16)

#: How many times in each round an update is measured that has the servers to itself.
LONE = 100

KINDS = 'with turns', 'without'


class Run(NamedTuple):
    """What some servers did at the same time: updates per second, times in milliseconds."""

    rate: float
    p50: float
    p99: float
    conflicts: float
    is_exact: bool


Servers = dict[str, list['subprocess.Popen[str]']]

Pairs = dict[str, list[Run]]


def main(uri: str, rounds: str = '5', seconds: str = '2') -> None:
    with ExitStack() as resources:
        most = max(servers for servers, _ in CASES)
        servers = {kind: [start(resources, uri, kind) for _ in range(most)] for kind in KINDS}
        for number, callers in CASES:
            report(f'{number} x {callers}', pairs(servers, number, callers, int(rounds), float(seconds)))
    report_lone(*lone(uri, int(rounds) * LONE))


def pairs(servers: Servers, number: int, callers: int, rounds: int, seconds: float) -> Pairs:
    """What `number` servers do with `callers` each, with turns and without, alternately."""
    done: Pairs = {kind: [] for kind in KINDS}
    for index in range(rounds):
        for kind in KINDS[:: 1 if index % 2 else -1]:
            done[kind].append(count(servers[kind][:number], callers, seconds))
    return done


def start(resources: ExitStack, uri: str, kind: str) -> 'subprocess.Popen[str]':
    command = [sys.executable, __file__, '--server', uri, kind]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    resources.callback(server.communicate)  # it ends when its input does
    _line(server)
    return server


def count(servers: 'list[subprocess.Popen[str]]', callers: int, seconds: float) -> Run:
    for server in servers:
        assert server.stdin
        print(callers, seconds, file=server.stdin, flush=True)
    done = [json.loads(_line(server)) for server in servers]
    numbers = sorted(number for each in done for number in each['numbers'])
    times = sorted(waited for each in done for waited in each['times'])
    return Run(
        len(times) / seconds,
        1000 * times[len(times) // 2],
        1000 * times[len(times) * 99 // 100],
        sum(each['conflicts'] for each in done) / sum(each['attempts'] for each in done),
        numbers == list(range(numbers[0], numbers[0] + len(numbers))),
    )


def _line(server: 'subprocess.Popen[str]') -> str:
    assert server.stdout
    line = server.stdout.readline()
    assert line, 'a server has ended'
    return line


def report(name: str, pairs: Pairs) -> None:
    print(f'{name}:')
    for kind, runs in pairs.items():
        figures = [
            ('updates/s', ', '.join(f'{run.rate:.0f}' for run in runs)),
            ('p50', ', '.join(f'{run.p50:.1f}' for run in runs)),
            ('p99', ', '.join(f'{run.p99:.1f}' for run in runs)),
            ('conflicts', ', '.join(f'{run.conflicts:.0%}' for run in runs)),
        ]
        print(f'  {kind}: {"; ".join(f"{figure} {text}" for figure, text in figures)}')
        if not all(run.is_exact for run in runs):
            print('  numbers are missing or given twice')
    mine, others = (pairs[kind] for kind in KINDS)
    for figure in 'rate', 'p50', 'p99':
        ratios = sorted(getattr(run, figure) / getattr(other, figure) for run, other in zip(mine, others, strict=True))
        print(f'  ratio of {figure}: {median(ratios):.2f}, from {ratios[0]:.2f} to {ratios[-1]:.2f}')


def lone(uri: str, times: int) -> tuple[list[float], list[float]]:
    """Seconds of each of `times` updates with turns, and of as many without, one after the other.

    They count on lines of their own, so that neither reads again what the other has changed.
    """
    with ExitStack() as resources:
        states = [resources.enter_context(opened(uri, kind)) for kind in KINDS]
        taken: tuple[list[float], list[float]] = [], []
        for number in range(2 * times):
            kind = (number + number // 2) % 2  # each is the first of its pair in turn
            began = time.monotonic()
            states[kind][HitCounter].hit(KINDS[kind].partition(' ')[0], CALLER)
            taken[kind].append(time.monotonic() - began)
    return taken


def report_lone(mine: list[float], others: list[float]) -> None:
    ratio = median(one / other for one, other in zip(mine, others, strict=True))
    print(f'lone updates, {len(mine)} pairs:')
    for kind, taken in zip(KINDS, (mine, others), strict=True):
        print(f'  {kind}: p50 {1000 * median(taken):.2f} ms')
    print(f'  ratio of p50: {median(mine) / median(others):.2f}; median of the ratios of all pairs: {ratio:.2f}')


# A server's process runs what follows.


class Tries:
    """The transactions of this process, and those of them that ended in a conflict."""

    attempts = conflicts = 0


def counted(tries: Tries) -> None:
    original = Writer._try

    def counting(writer: Writer, jobs: Any) -> None:
        tries.attempts += 1
        try:
            original(writer, jobs)
        except TransientError:
            tries.conflicts += 1
            raise

    Writer._try = counting  # type: ignore[assignment, method-assign]


def serve(uri: str, kind: str) -> None:
    tries = Tries()
    counted(tries)
    with opened(uri, kind) as state:
        print('ready', flush=True)
        for line in sys.stdin:
            callers, seconds = line.split()
            print(json.dumps(served(state, tries, int(callers), float(seconds))), flush=True)


@contextmanager
def opened(uri: str, kind: str) -> Iterator[State]:
    with open_database(uri) as database:
        if kind == 'without':
            database.new_turn = NoTurn  # type: ignore[method-assign]
        with State(database, [HitCounter]) as state:
            yield state


def served(state: State, tries: Tries, callers: int, seconds: float) -> dict[str, Any]:
    tries.attempts = tries.conflicts = 0
    end = time.monotonic() + seconds
    numbers: list[int] = []
    times: list[float] = []

    def work() -> None:
        while (began := time.monotonic()) < end:
            number = state[HitCounter].hit('31415', CALLER)
            times.append(time.monotonic() - began)
            numbers.append(number)

    threads = [threading.Thread(target=work) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {'numbers': numbers, 'times': times, 'attempts': tries.attempts, 'conflicts': tries.conflicts}


if __name__ == '__main__':
    if sys.argv[1:2] == ['--server']:
        serve(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
