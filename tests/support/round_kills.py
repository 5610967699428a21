"""Callers of a round, whose server is killed again and again, and what they were told beside what is on file."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from hitcounter.hits import HitCounter
from hitcounter.lines.component import Lines
from hitcounter.lines.rules import canonical
from hitcounter.lines.rules_table import parse_rules
from hitcounter.lines.settings import DEFAULT
from hitcounter.simulator import Channel, SimulatedCall, place_call
from hitcounter.state import State, open_database
from tests.support.patience import PATIENCE
from tests.support.servers import ServerProcess, Start

WIN = 'at 9,99 and every 50'
CALLERS = 8


def milestones(entries: int) -> list[int]:
    """Who wins by WIN, of so many."""
    return [number for number in range(1, entries + 1) if number in (9, 99) or number % 50 == 0]


def open_round(storage: str) -> None:
    with open_database(storage, share=True) as database, State(database, [HitCounter, Lines]) as state:
        now = time.time()
        state[Lines].open_round('contest', canonical(parse_rules({'win': WIN}, DEFAULT, now)), now, 'anna')


class Told:
    """What callers were told, who call all the time."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.is_over = threading.Event()
        self._changed = threading.Condition()
        self._told: list[tuple[int, str]] = []

    def call(self) -> None:
        while not self.is_over.is_set():
            try:
                call = place_call(self.server.address, Channel(url='agi://127.0.0.1/hits/contest'), timeout=PATIENCE)
            except ConnectionError:
                continue  # the next server is about to listen
            self.note(call)

    def note(self, call: SimulatedCall) -> None:
        if number := call.variables.get('HITCOUNTER_NUMBER'):
            with self._changed:
                self._told.append((int(number), call.variables['HITCOUNTER_RESULT']))
                self._changed.notify_all()

    def wait_for(self, more: int) -> None:
        """Return when so many more were told a number."""
        with self._changed:
            enough = len(self._told) + more
            assert self._changed.wait_for(lambda: len(self._told) >= enough, PATIENCE)

    def check(self, storage: str) -> None:
        """Each number was told once, at most; who heard that they won is on file, and each milestone has one winner."""
        with open_database(storage, share=True) as database, State(database, [HitCounter, Lines]) as state:
            entries = state[Lines].entries('contest', 1)
            wins = state[Lines].wins('contest', 1)
            problems = state.query(lambda parts: [*parts[HitCounter].check(), *parts[Lines].check()])
            assert state[HitCounter].count('contest') == len(entries)
        assert problems == []
        assert [entry.line_number for entry in entries] == list(range(1, len(entries) + 1))
        assert [win.number for win in wins] == milestones(len(entries))
        numbers = [number for number, _ in self._told]
        assert len(numbers) == len(set(numbers))
        assert max(numbers) <= len(entries)
        assert {number for number, result in self._told if result == 'WON'} == {*numbers} & {win.number for win in wins}


def survive(start: Start, storage: str, kills: int) -> None:
    """Have callers, and kill the server so often."""
    chance = random.Random()
    open_round(storage)
    told = Told(start())
    with ThreadPoolExecutor(CALLERS) as pool:
        try:
            calling = [pool.submit(told.call) for _ in range(CALLERS)]
            for _ in range(kills):
                told.wait_for(chance.randint(5, 60))
                told.server.kill()
                told.server = start()
            told.wait_for(20)
        finally:
            told.is_over.set()
        for one in calling:
            one.result(PATIENCE)
    told.server.stop()
    told.check(storage)
