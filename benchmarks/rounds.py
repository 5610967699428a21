"""Rounds: processor time of an entry beside that of a plain hit, as a round grows, and the bytes that are stored.

    taskset -c 0 python benchmarks/rounds.py [ENTRIES]

Three databases grow side by side: one has a plain line, one a round, one a round with --once-per caller, in which each
call is of another caller. In a batch, 128 calls are one transaction, as when 128 callers wait at the same time. Nothing
waits for the disk, whose speed is not measured here.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from unittest.mock import patch

from updates import CALLER

from hitcounter.hits import Caller, HitCounter
from hitcounter.lines.calling import Desk, Visit
from hitcounter.lines.component import Lines
from hitcounter.lines.identity import normal_form
from hitcounter.lines.round import Entrant
from hitcounter.lines.rules import canonical
from hitcounter.lines.rules_table import parse_rules
from hitcounter.lines.settings import DEFAULT
from hitcounter.state import Components, State, open_database
from hitcounter.state.upkeep.packing import pack

BATCH = 128

#: Numbers of different callers, in no order: multiples of this, modulo 10^9.
_SCATTER = 618_033_989

_WIN = {'win': 'at 9,99 and every 50'}
_RULES = {'hit': None, 'entry': _WIN, 'entry, once per caller': {**_WIN, 'once-per': 'caller'}}


class Line:
    """A line in a database of its own."""

    def __init__(self, path: Path, rules: dict[str, str] | None, resources: ExitStack) -> None:
        self._path = path
        self._database = resources.enter_context(open_database(f'file://{path.absolute()}', share=True))
        self.state = resources.enter_context(State(self._database, [HitCounter, Lines]))
        self.desk = Desk(self.state)
        self.calls = 0
        self._has_round = rules is not None
        if rules:
            text = canonical(parse_rules(rules, DEFAULT, time.time()))
            self.state[Lines].open_round('contest', text, time.time(), 'benchmark')
            self._plan = self.state[Lines].plans().lines['contest']

    def call(self) -> None:
        """One call in a transaction of its own, the way of the script; of a plain line, a hit alone."""
        if self._has_round:
            self.desk.decide(Visit('contest', self._caller(), time.time()))
        else:
            self.state[HitCounter].hit('contest', self._caller())

    def batch(self, calls: int = BATCH) -> None:
        """So many calls in one transaction."""
        callers = [self._caller() for _ in range(calls)]
        if self._has_round:
            self.state.update(_enter, list(map(self._entrant, callers)))
        else:
            self.state.update(_hit, callers)

    def _caller(self) -> Caller:
        self.calls += 1
        return CALLER._replace(caller_id=f'+49{self.calls * _SCATTER % 10**9:09}')

    def _entrant(self, caller: Caller) -> Entrant:
        """What the desk makes of a call, outside of the update."""
        now = time.time()
        assert self._plan.slot_at(now)
        return Entrant(caller, now, normal_form(caller.caller_id, ''))

    def fill(self, calls: int) -> None:
        """Have so many calls."""
        while self.calls < calls:
            self.batch(min(1000, calls - self.calls))

    def packed(self) -> int:
        """The size of the file after a pack."""
        pack(self._database, 0)
        return os.path.getsize(self._path)


def _enter(components: Components, entrants: list[Entrant]) -> None:
    for entrant in entrants:
        components[Lines].enter(components[HitCounter], 'contest', 1, entrant)


def _hit(components: Components, callers: list[Caller]) -> None:
    for caller in callers:
        components[HitCounter].hit('contest', caller)


def cost(work: Callable[[], object], times: int, calls: int = 1) -> float:
    """Microseconds of processor time per call, in all threads."""
    begun = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begun) / times / calls * 1e6


def spread(values: list[float]) -> str:
    return f'{median(values):.1f} ({min(values):.1f} to {max(values):.1f})'


def compare(costs: dict[str, list[float]], title: str) -> None:
    """Print what each costs, how much dearer that is than the first, and how many times as much."""
    first, *_ = costs.values()
    for name, values in costs.items():
        dearer = [one - plain for one, plain in zip(values, first, strict=True)]
        ratios = [one / plain for one, plain in zip(values, first, strict=True)]
        print(f'{title}, {name}: {spread(values)} us; dearer by {spread(dearer)} us, {median(ratios):.2f} times')


def measure(lines: dict[str, Line], size: int) -> None:
    batches: dict[str, list[float]] = {name: [] for name in lines}
    alone: dict[str, list[float]] = {name: [] for name in lines}
    for line in lines.values():
        line.fill(size)
    for _ in range(9):
        for name, line in lines.items():
            batches[name].append(cost(line.batch, 8, BATCH))
            alone[name].append(cost(line.call, 100))
    compare(batches, f'{size} entries, in batches')
    compare(alone, f'{size} entries, alone')


def measure_plain() -> None:
    """A plain call by the desk, which knows all lines, and one by the counter."""
    costs: dict[str, list[float]] = {'HitCounter.hit': [], 'Desk.decide': []}
    with open_database('memory:') as database, State(database, [HitCounter, Lines]) as state:
        desk, counter = Desk(state), state[HitCounter]
        for _ in range(60):
            costs['HitCounter.hit'].append(cost(lambda: counter.hit('plain', CALLER), 300))
            costs['Desk.decide'].append(cost(lambda: desk.decide(Visit('plain', CALLER, 0.0)), 300))
    compare(costs, 'a plain call')


def main(entries: str = '1000000') -> None:
    measure_plain()
    with tempfile.TemporaryDirectory(dir='.') as folder, ExitStack() as resources, patch('os.fsync'):
        lines = {
            name: Line(Path(folder, f'{number}.fs'), rules, resources)
            for number, (name, rules) in enumerate(_RULES.items())
        }
        size = 1000
        while size <= int(entries):
            measure(lines, size)
            size *= 10
        for name, line in lines.items():
            print(f'after a pack, {name}: {line.packed() / line.calls:.1f} bytes each')


if __name__ == '__main__':
    main(*sys.argv[1:])
