"""Lines on several servers, each with a database of its own, and components on two kinds of storage: each is exact."""

from __future__ import annotations

import csv
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hitcounter.hits import Caller, HitCounter
from hitcounter.lines.component import Lines
from hitcounter.simulator import SaidNumber
from hitcounter.state import State, open_database
from tests.support.patience import PATIENCE
from tests.support.places import TREE
from tests.support.plugins import VOTES, Install
from tests.support.postgresql import PostgreSQL
from tests.support.servers import ServerProcess

if TYPE_CHECKING:
    from tests.support.servers import Run, Start

CALLERS = 4

LINES = [f'31{line:02}' for line in range(8)]


def uri_of(postgresql: PostgreSQL) -> str:
    return postgresql.uri(postgresql.new_database()).replace('postgresql:', 'postgres:', 1)


def said(server: ServerProcess, **channel: object) -> int | None:
    """The number that a caller heard; None if there was no server, or it was killed."""
    with suppress(OSError):
        for event in server.call(**channel).events:
            if isinstance(event, SaidNumber):
                return event.number
    return None


def at_once(call: Callable[[], object], times: int) -> list[threading.Thread]:
    """So many callers, each with so many calls, which have begun."""

    def calls() -> None:
        for _ in range(times):
            call()

    threads = [threading.Thread(target=calls) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    return threads


def refuse_wrong(heard: list[int], stored: int, unheard: int) -> None:
    """The judge: the numbers of callers are unique and stored, and at most so many stored ones reached nobody."""
    assert len(set(heard)) == len(heard) > 0
    assert set(heard) <= set(range(1, stored + 1))
    assert stored - len(heard) <= unheard


def test_lines_are_exact_on_two_databases_while_one_server_is_killed(
    start: Start, postgresql: PostgreSQL, run: Run
) -> None:
    storages = [uri_of(postgresql) for _ in range(2)]
    servers = [start(at=uri) for uri in storages]
    heard: dict[str, list[int]] = defaultdict(list)

    def shard_of(line: str) -> int:
        return int(line[-2:]) % 2  # as docs/shards.md has it for the dialplan

    def call() -> None:
        line = random.choice(LINES)
        if number := said(servers[shard_of(line)], extension=line):
            heard[line].append(number)

    callers = at_once(call, 30)
    servers[0].log.wait('agistatus=SUCCESS', 10)
    os.kill(servers[0].process.pid, signal.SIGKILL)
    servers[0].wait()
    servers[0] = start(at=storages[0])
    for caller in callers:
        caller.join(PATIENCE)
    for server in servers:
        said(server, extension='3199' if server is servers[1] else '3198')
        server.stop()

    for shard, uri in enumerate(storages):
        counted = run('main', 'export', '--storage', uri, '--format', 'csv', '-')
        assert counted.returncode == 0, counted.stderr
        numbers: dict[str, list[int]] = defaultdict(list)
        for row in csv.DictReader(counted.stdout.splitlines()):
            numbers[row['line']].append(int(row['number']))
        assert {shard_of(line) for line in numbers} == {shard}
        for line in set(numbers) & set(LINES):
            assert sorted(numbers[line]) == list(range(1, len(numbers[line]) + 1))
            if heard[line]:
                refuse_wrong(heard[line], len(numbers[line]), CALLERS if shard == 0 else 0)


def test_a_component_on_postgresql_and_the_calls_in_a_file_are_each_exact_after_a_kill(
    start: Start, postgresql: PostgreSQL, run: Run, install: Install, storage: str
) -> None:
    votes = install('votes', VOTES, scripts='vote = votes:vote', components='votes = votes:Votes')
    env = {**votes, 'HITCOUNTER_STORAGE_OF': f'votes={uri_of(postgresql)}', 'HITCOUNTER_STORAGE': storage}
    heard: dict[str, list[int]] = {'hits': [], 'vote/1': []}
    servers = [start(env=env)]

    def call() -> None:
        path = random.choice([*heard])
        if number := said(servers[-1], url=f'agi://127.0.0.1/{path}'):
            heard[path].append(number)

    for _ in range(2):
        callers = at_once(call, 10)
        servers[-1].log.wait('agistatus=SUCCESS', 5)
        os.kill(servers[-1].process.pid, signal.SIGKILL)
        for caller in callers:
            caller.join(PATIENCE)
        servers[-1].wait()
        servers.append(start(env=env))
    callers = at_once(call, 5)
    for caller in callers:
        caller.join(PATIENCE)

    counted = run('shell', '-c', 'print(votes.votes, hits.count("31415"))', env=env)
    assert counted.returncode == 0, counted.stderr
    of_votes, of_hits = map(int, counted.stdout.split())
    refuse_wrong(heard['vote/1'], of_votes, 2 * CALLERS)
    refuse_wrong(heard['hits'], of_hits, 2 * CALLERS)


def test_a_line_moves_to_another_database_by_the_commands_of_the_documentation(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    for shard, lines in enumerate((['2718', '2718', '27180'], ['31415'])):
        uri = f'file://{tmp_path}/shard{shard}.fs'
        with open_database(uri, share=True) as database, State(database, [HitCounter, Lines]) as state:
            for line in lines:
                state[HitCounter].hit(line, Caller('555', 'Bob, "the builder"', '17.1'))
    _, _, section = (TREE / 'docs/shards.md').read_text('utf-8').partition('### Moving a line\n')
    commands = re.findall(r'^ {7}(\S.*)$', section, re.MULTILINE)
    assert len(commands) == 3
    python = shlex.join([sys.executable, '-c', 'from hitcounter.commands.main import main; main()'])
    script = f'hitcounter() {{ {python} "$@"; }}\n' + '\n'.join(commands).replace('/srv/', f'{tmp_path}/')

    moved = subprocess.run(
        ['sh', '-ec', script],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        timeout=PATIENCE,
        check=False,
    )

    assert moved.returncode == 0, moved.stderr
    uri = f'file://{tmp_path}/shard1.fs'
    with open_database(uri, share=True) as database, State(database, [HitCounter, Lines]) as state:
        assert state[HitCounter].hit('2718', Caller('555', 'Bob', '17.2')) == 3
        assert [state[HitCounter].count(line) for line in ('2718', '27180', '31415')] == [3, 0, 1]
