"""hitcounter-agi on a real PostgreSQL, over pipes to a simulator of Asterisk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from hitcounter.hits import HitCounter
from hitcounter.simulator import Answered, Channel, Played, SaidNumber
from hitcounter.state import State, open_database
from tests.support.patience import PATIENCE
from tests.support.postgresql import PostgreSQL
from tests.support.processes import ProcessCall

TIMEOUT = 3

#: Seconds that a process may take until it has imported what it needs, on a busy machine too.
START = PATIENCE / 6

APOLOGY = [Answered(), Played('im-sorry'), Played('please-try-call-later')]

#: Warnings that a trigger raises, and messages that every session of the database asks for.
_NOISE = """
create function shout() returns trigger language plpgsql as
$$ begin raise warning 'HANGUP'; raise notice 'HANGUP'; return new; end $$;
create trigger shout after insert or update on object_state for each row execute function shout();
"""


@pytest.fixture
def database(own_postgresql: PostgreSQL) -> Iterator[str]:
    """The name of a database that a server has made."""
    name = own_postgresql.new_database()
    with open_database(own_postgresql.uri(name)) as opened, closing(State(opened, [HitCounter])):
        pass
    yield name
    own_postgresql.resume()


@pytest.fixture
def begin(
    own_postgresql: PostgreSQL, database: str, environment: Mapping[str, str], tmp_path: Path
) -> Iterator[Callable[..., ProcessCall]]:
    begun: list[ProcessCall] = []

    def begin(*arguments: str) -> ProcessCall:
        options = ('--storage', own_postgresql.uri(database), '--update-timeout', f'{TIMEOUT}s', *arguments)
        begun.append(ProcessCall(Channel(), *options, environment=environment, folder=tmp_path))
        return begun[-1]

    yield begin
    for call in begun:
        call.close()


def test_the_notices_of_postgresql_are_no_commands(
    own_postgresql: PostgreSQL, database: str, begin: Callable[..., ProcessCall]
) -> None:
    own_postgresql.sql(_NOISE, database=database)
    own_postgresql.sql(f'alter database {database} set client_min_messages = debug1')
    for number in (1, 2):
        call = begin().run()
        assert call.asterisk.events == [Answered(), Played('hello'), Played('number'), SaidNumber(number)]
        assert b'HANGUP' not in b''.join(call.asterisk.lines)
        assert call.status == 0


def test_the_caller_hears_the_apology_in_time_while_postgresql_does_not_answer(
    own_postgresql: PostgreSQL, begin: Callable[..., ProcessCall]
) -> None:
    own_postgresql.pause()
    began = time.monotonic()
    call = begin().run()
    assert time.monotonic() - began < TIMEOUT + START
    assert call.asterisk.events == APOLOGY
    assert (call.asterisk.status, call.status) == ('FAILURE', 1)
    assert 'psycopg2' not in call.said
    assert 'Traceback' not in call.said


def test_the_caller_hears_the_apology_if_postgresql_stops_answering_during_the_call(
    own_postgresql: PostgreSQL, begin: Callable[..., ProcessCall]
) -> None:
    began = time.monotonic()
    call = begin('hits?once=yes').run({b'GET FULL VARIABLE': own_postgresql.pause})
    assert time.monotonic() - began < TIMEOUT + START
    assert call.asterisk.events == APOLOGY
    assert (call.asterisk.status, call.status) == ('FAILURE', 1)
    assert 'Traceback' not in call.said


def test_the_caller_hears_the_apology_while_postgresql_is_stopped(
    own_postgresql: PostgreSQL, begin: Callable[..., ProcessCall]
) -> None:
    own_postgresql.stop()
    try:
        call = begin().run()
    finally:
        own_postgresql.start()
    assert call.asterisk.events == APOLOGY
    assert (call.asterisk.status, call.status) == ('FAILURE', 1)
    assert 'Connection refused' in call.said
