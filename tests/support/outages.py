"""Counting calls while the server of the database dies again and again."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
import ZEO.asyncio.client

from hitcounter.errors import UpdateFailed
from hitcounter.hits import Caller, HitCounter
from hitcounter.state import Database, ReadConnection, State, WriteConnection, open_database
from tests.support.crashing import CrashingServer
from tests.support.patience import PATIENCE

THREADS = 8


class Soon(random.Random):
    def random(self) -> float:
        return 0.03


def be_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients look for a lost server 20 times a second; ZEO would wait for up to ten seconds."""
    patient = ZEO.asyncio.client.ClientIO.__init__

    def impatient(client: Any, *arguments: Any, **options: Any) -> None:
        patient(client, *arguments, **options)
        client.connect_poll = client.register_failed_poll = 0

    monkeypatch.setattr(ZEO.asyncio.client.ClientIO, '__init__', impatient)
    monkeypatch.setattr(ZEO.asyncio.client, 'local_random', Soon())


def count_through(server: CrashingServer, uri: str) -> tuple[Counter[str], 'Counted']:
    """Count by threads and by a session until a server lives; how the servers died."""
    with open_database(uri) as database:
        counted = Counted(database)
        with closing(counted), ThreadPoolExecutor(THREADS + 1) as pool:
            workers = [pool.submit(counted.count, thread) for thread in range(THREADS)]
            workers.append(pool.submit(counted.count_in_a_session))
            try:
                fates = Counter(server.fates())
            finally:
                counted.is_over.set()
            for worker in workers:
                worker.result(PATIENCE)
        counted.check()
    return fates, counted


class Counted:
    """What each was told of the calls it counted, and whether the database holds just these."""

    def __init__(self, database: Database) -> None:
        self.is_over = threading.Event()
        self.numbers: list[int] = []
        self.in_sessions: list[int] = []
        self.stored: list[str] = []
        self.failed: list[str] = []
        self._database = database
        self._state = State(database, [HitCounter])

    def count(self, thread: int) -> None:
        number = 0
        while not self.is_over.is_set():
            number += 1
            name = f'{thread}-{number}'
            try:
                self.numbers.append(self._state[HitCounter].hit('1', Caller(None, None, name)))
                self.stored.append(name)
            except UpdateFailed:
                self.failed.append(name)

    def count_in_a_session(self) -> None:
        number = 0
        database = self._database
        with WriteConnection(database.db, turn=database.new_turn(), is_remote=database.is_remote) as session:
            while not self.is_over.wait(0.005):
                number += 1
                name = f'session-{number}'
                try:
                    self.in_sessions.append(
                        session.run(lambda root, name=name: root['hits'].hit('2', Caller(None, None, name)))
                    )
                    self.stored.append(name)
                except UpdateFailed:
                    self.failed.append(name)

    def close(self) -> None:
        self._state.close()

    def check(self) -> None:
        assert sorted(self.numbers) == list(range(1, len(self.numbers) + 1))
        assert sorted(self.in_sessions) == list(range(1, len(self.in_sessions) + 1))
        with ReadConnection(self._database.db) as session:
            lines = session.root['hits']._lines
            there = [Caller(*caller).unique_id for line in lines.values() for _, (_, *caller) in line.calls.since(1)]
            assert list(session.root['marks']) == []
        assert sorted(there) == sorted(self.stored)
        assert not {*there} & {*self.failed}
