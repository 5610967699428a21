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
from hitcounter.state import Components, State, open_database
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
        self.is_over = threading.Event()
        self._changed = threading.Condition()  # of the two below
        self._server: ServerProcess | None = server
        self._told: list[tuple[int, str, str]] = []

    def call(self) -> None:
        while not self.is_over.is_set():
            with self._changed:
                assert self._changed.wait_for(lambda: self._server, PATIENCE)
                assert self._server
                address = self._server.address
            try:
                call = place_call(address, Channel(url='agi://127.0.0.1/hits/contest'), timeout=PATIENCE)
            except ConnectionError:
                continue  # it was just killed
            self.note(call)

    def note(self, call: SimulatedCall) -> None:
        if number := call.variables.get('HITCOUNTER_NUMBER'):
            with self._changed:
                self._told.append((int(number), call.variables['HITCOUNTER_RESULT'], call.channel.unique_id))
                self._changed.notify_all()

    def replace(self, start: Start) -> None:
        """Kill the server, and start the next; nobody calls meanwhile, since another's server may get the port."""
        with self._changed:
            assert self._server
            killed, self._server = self._server, None
        killed.kill()
        server = start()
        with self._changed:
            self._server = server
            self._changed.notify_all()

    def stop(self) -> None:
        assert self._server
        self._server.stop()

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
            callers = state.query(_callers)
        assert problems == []
        assert [entry.line_number for entry in entries] == list(range(1, len(entries) + 1))
        assert [win.number for win in wins] == milestones(len(entries))
        assert len(callers) == len(entries)
        assert [one for one in self._told if callers[one[0] - 1 : one[0]] != [one[2]]] == []  # who is not on file
        won = {number for number, result, _ in self._told if result == 'WON'}
        assert won == {number for number, _, _ in self._told} & {win.number for win in wins}


def _callers(components: Components) -> list[str]:
    return [hit.caller.unique_id for hit in components[HitCounter].since('contest', 1)]


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
                told.replace(start)
            told.wait_for(20)
        finally:
            told.is_over.set()
        for one in calling:
            one.result(PATIENCE)
    told.stop()
    told.check(storage)
