"""A primary, a synchronous standby, and servers that count on them, with callers who are judged after each fault."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from math import inf
from pathlib import Path

import pytest

from hitcounter.state import ReadConnection, open_database
from tests.support.cluster.callers import Callers
from tests.support.cluster.judge import Absence, Verdict, judge
from tests.support.patience import PATIENCE
from tests.support.postgresql import PostgreSQL
from tests.support.servers import ServerProcess

#: Seconds that a caller may wait beyond --update-timeout: the rest of the call takes time, and the machine may be busy.
SLACK = 2.0 * PATIENCE / 60

_UNKNOWN = re.compile(r'(\S+): .*may or may not')


class Servers:
    """Servers of one database."""

    def __init__(self, uri: str, environment: Mapping[str, str], folder: Path) -> None:
        self.uri = uri
        self.servers: dict[str, ServerProcess] = {}
        self.absences: list[Absence] = []
        self.timeout = inf
        self._environment, self._folder = environment, folder
        self._gone: list[ServerProcess] = []

    def start(self, *names: str, timeout: float, options: tuple[str, ...] = (), inside: tuple[str, ...] = ()) -> None:
        """Start servers of these names, which answer callers within `timeout` seconds, and wait until they listen."""
        self.timeout = timeout
        for name in names:
            self.servers[name] = ServerProcess(
                self.uri, ('--update-timeout', f'{timeout:g}s', *options), self._environment, self._folder, inside
            )
        for name in names:
            self.servers[name].wait_until_ready()

    def kill(self, name: str) -> None:
        """Kill a server, with SIGKILL."""
        self.absences.append(Absence(name, time.monotonic()))
        server = self.servers.pop(name)
        server.kill()
        self._gone.append(server)

    def stop(self, name: str) -> None:
        """Stop a server as an operator does, and wait until it has ended."""
        server = self.servers.pop(name)
        self._gone.append(server)
        assert server.stop() == os.EX_OK

    def pause(self, name: str) -> None:
        """Stop a server with SIGSTOP."""
        self.servers[name].process.send_signal(signal.SIGSTOP)
        self.absences.append(Absence(name, time.monotonic()))

    def resume(self, name: str) -> None:
        stopped = self.absences.pop()
        assert stopped.server == name
        self.servers[name].process.send_signal(signal.SIGCONT)
        # What had run out meanwhile is answered now.
        self.absences.append(Absence(name, stopped.began, time.monotonic()))

    @contextmanager
    def load(self, line: str, each: int = 6) -> Iterator[Callers]:
        """Callers of each server, from when each has said some numbers until the end of the block."""
        callers = Callers({name: server.address for name, server in self.servers.items()}, line, each)
        try:
            callers.wait_for_numbers(*self.servers, times=20)
            yield callers
        finally:
            callers.stop()

    def judge(self, callers: Callers) -> Verdict:
        """Judge the calls of one line, whose callers have stopped, by what is stored."""
        calls, count = self._stored(callers.line)
        return judge(
            callers.stop(),
            calls,
            count,
            unknown=self._unknown(),
            bound=self.timeout + SLACK,
            absences=self.absences,
        )

    @property
    def where(self) -> str:
        """The URI of what is judged."""
        return self.uri

    def _stored(self, line: str) -> tuple[list[tuple[str, int]], int]:
        with ExitStack() as opened:
            database = opened.enter_context(closing(open_database(self.where)))
            hits = opened.enter_context(ReadConnection(database.db)).root['hits']
            return [(hit.caller.unique_id, hit.number) for hit in hits.since(line, 1)], hits.count(line)

    def _unknown(self) -> set[str]:
        """The calls of which a server said that they may or may not be stored."""
        lines = [line for server in [*self.servers.values(), *self._gone] for line in server.log.lines('may or may')]
        return {found[1] for line in lines if (found := _UNKNOWN.search(line))}

    def report(self, node: pytest.Item) -> None:
        """Show the logs of a test that fails."""
        for name, server in [*self.servers.items(), *(('one that was killed', server) for server in self._gone)]:
            node.add_report_section('teardown', f'log of server {name}', str(server.log)[-20_000:])

    def kill_all(self) -> None:
        for server in self.servers.values():
            server.process.kill()

    def close(self) -> None:
        """Stop the servers, which end by themselves, and have written no traceback."""
        for server in self.servers.values():
            server.process.send_signal(signal.SIGCONT)
            server.process.terminate()
        statuses = {name: server.wait() for name, server in self.servers.items()}
        assert set(statuses.values()) <= {os.EX_OK}, statuses
        for server in [*self.servers.values(), *self._gone]:
            assert 'Traceback' not in str(server.log), server.log


class Cluster(Servers):
    """Servers of one database, which is on `primary` and, if there is one, on `standby`."""

    def __init__(
        self, primary: PostgreSQL, standby: PostgreSQL | None, environment: Mapping[str, str], folder: Path
    ) -> None:
        self.primary, self.standby = primary, standby
        self.database = primary.new_database()
        super().__init__(primary.uri(self.database, *([standby] if standby else [])), environment, folder)

    def fail_over(self) -> float:
        """Promote the standby, which changes places with the primary; when that was asked for."""
        assert self.standby
        self.primary, self.standby = self.standby, self.primary
        moment = time.monotonic()
        self.primary.promote()
        return moment

    @property
    def where(self) -> str:
        return self.primary.uri(self.database)

    def report(self, node: pytest.Item) -> None:
        super().report(node)
        for postgresql in filter(None, [self.primary, self.standby]):
            node.add_report_section('teardown', f'log of PostgreSQL {postgresql.name}', postgresql.log[-10_000:])
