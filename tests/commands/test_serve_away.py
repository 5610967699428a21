"""hitcounter-serve on a real PostgreSQL that does not answer: what callers hear, and how it stops."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from hitcounter.simulator import Played
from tests.support.patience import PATIENCE
from tests.support.postgresql import PostgreSQL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import ServerProcess, Start

TIMEOUT = 1.0


@pytest.fixture
def server(start: Start, own_postgresql: PostgreSQL) -> Iterator[ServerProcess]:
    """A server whose callers wait for a second, on a PostgreSQL that goes on after the test."""
    yield start('--update-timeout', f'{TIMEOUT}s', '--drain', '1', at=own_postgresql.uri(own_postgresql.new_database()))
    own_postgresql.resume()


def test_callers_hear_the_apology_in_time_while_postgresql_does_not_answer_and_are_counted_afterwards(
    server: ServerProcess, own_postgresql: PostgreSQL
) -> None:
    assert server.number() == 1
    own_postgresql.pause()
    for _ in range(2):
        began = time.monotonic()
        call = server.call()
        assert time.monotonic() - began < TIMEOUT + PATIENCE / 20
        assert call.status == 'FAILURE'
        assert next(event.name for event in call.events if isinstance(event, Played)) == 'im-sorry'
    own_postgresql.resume()
    deadline = time.monotonic() + PATIENCE
    while (call := server.call()).status != 'SUCCESS':
        assert time.monotonic() < deadline
    assert call.variables['HITCOUNTER_NUMBER'] == '2'
    assert not server.log.lines('psycopg2|Traceback')


def test_the_dialplan_is_told_when_nobody_knows_whether_the_call_is_counted(
    server: ServerProcess, own_postgresql: PostgreSQL
) -> None:
    assert 'HITCOUNTER_OUTCOME' not in server.call().variables
    own_postgresql.configure(synchronous_standby_names='nobody')  # commits wait for a standby that does not exist
    try:
        deadline = time.monotonic() + PATIENCE
        while (call := server.call()).status != 'FAILURE':  # PostgreSQL takes the setting up in a moment
            assert time.monotonic() < deadline
    finally:
        own_postgresql.configure(synchronous_standby_names='')
    assert call.variables['HITCOUNTER_OUTCOME'] == 'unknown'
    assert (call.variables['HITCOUNTER_RESULT'], call.variables['HITCOUNTER_NUMBER']) == ('ERROR', '')
    deadline = time.monotonic() + PATIENCE
    while server.call().status != 'SUCCESS':
        assert time.monotonic() < deadline


@pytest.mark.parametrize('signals', [1, 2])
def test_it_stops_in_time_while_postgresql_does_not_answer(
    server: ServerProcess, own_postgresql: PostgreSQL, signals: int
) -> None:
    assert server.number() == 1
    own_postgresql.pause()
    assert server.call().status == 'FAILURE'
    began = time.monotonic()
    for _ in range(signals):
        server.process.send_signal(signal.SIGTERM)
        server.log.wait('stopping')  # or two would be one
    server.process.wait(PATIENCE)
    own_postgresql.resume()
    assert time.monotonic() - began < 1 + TIMEOUT + 5 + PATIENCE / 20
    assert not server.log.lines('psycopg2|Traceback')
