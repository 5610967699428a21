"""Real Asterisk, and the dialplans of docs/shards.md: each line reaches its own server, whose count is exact."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.asterisk.counter import Server
from tests.support.asterisk.telephony import Asterisk
from tests.support.places import TREE

BLOCKS = re.findall(r'^```ini\n(.*?)^```$', (TREE / 'docs/shards.md').read_text('utf-8'), re.MULTILINE | re.DOTALL)
PORTS = [4573, 4583]


@pytest.fixture
def start(asterisk: Asterisk) -> Iterator[int]:
    """Where Asterisk's log was before it read these dialplans, which stay for this test."""
    with asterisk.with_dialplan(''.join(BLOCKS)) as start:
        yield start
    asterisk.cli('database deltree shard')


@pytest.fixture
def servers(asterisk: Asterisk, tmp_path: Path) -> Iterator[list[Server]]:
    """A server for each shard, with a database of its own."""
    with ExitStack() as ending:
        started = []
        for shard, port in enumerate(PORTS):
            server = Server(asterisk, tmp_path / f'shard{shard}.fs', ('--prompt', 'hello'), port)
            server.start()
            ending.callback(server.end)
            ending.callback(server.process.terminate)
            started.append(server)
        yield started


def call(asterisk: Asterisk, line: str, context: str) -> None:
    asterisk.cli(f'channel originate Local/{line}@{context} application Wait 10')


def test_asterisk_takes_every_line_without_a_warning(asterisk: Asterisk, start: int) -> None:
    shown = [asterisk.cli(f'dialplan show {context}') for context in ('by-hash', 'by-table')]

    lines = [line for block in BLOCKS for line in block.splitlines() if '=>' in line]
    assert len(lines) > 10
    assert sum(int(said) for text in shown for said in re.findall(r'(\d+) priorit', text)) == len(lines)
    assert not re.search('WARNING|ERROR', asterisk.log.text(start))


@pytest.mark.parametrize('context', ['by-hash', 'by-table'])
def test_each_line_is_counted_by_the_server_of_its_own(
    context: str, asterisk: Asterisk, start: int, servers: list[Server]
) -> None:
    for number in (1, 2):
        for line in ('2718', '2719', '31415', '1208'):
            shard = int(line[-2:]) % 2
            call(asterisk, line, context)
            servers[shard].log.wait(rf'line={line} .*result={number} .*agistatus=SUCCESS')

    for shard, server in enumerate(servers):
        lines = set(re.findall(r' line=(\d+) ', server.log.text()))
        assert {int(line[-2:]) % 2 for line in lines} == {shard}


def test_a_line_in_the_table_goes_to_the_server_that_it_names(
    asterisk: Asterisk, start: int, servers: list[Server]
) -> None:
    (put,) = re.findall("asterisk -rx '(database put [^']*)'", (TREE / 'docs/shards.md').read_text('utf-8'))
    call(asterisk, '2718', 'by-table')
    servers[0].log.wait(r'line=2718 .*result=1 ')

    asterisk.cli(put)

    call(asterisk, '2718', 'by-table')
    servers[1].log.wait(r'line=2718 .*result=1 ')


def test_without_the_server_of_its_shard_a_caller_hears_so_and_is_not_counted_by_another(
    asterisk: Asterisk, start: int, servers: list[Server]
) -> None:
    servers[1].process.terminate()
    servers[1].end()

    call(asterisk, '31415', 'by-hash')

    asterisk.log.wait(r"<Local/31415@by-hash-\w+;2> Playing 'im-sorry\.", start)
    assert 'line=31415' not in servers[0].log.text()
