"""Turns among writers on one PostgreSQL, and the members that hold them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hitcounter.errors import DatabaseInUse
from hitcounter.state.storage.database import open_alone, open_database
from tests.support.patience import PATIENCE
from tests.support.postgresql import PostgreSQL, until

pytest.importorskip('relstorage', reason='needs RelStorage: pip install hitcounter-agi[postgresql]')

from hitcounter.state.storage.postgresql import members

HOLDER = """
import sys
from hitcounter.state.storage.database import open_database
with open_database(sys.argv[1]) as database:
    with database.new_turn():
        print('taken', flush=True)
        sys.stdin.readline()
"""

_SESSIONS = "select pid from pg_stat_activity where application_name like '%@%' and datname = current_database()"

_TURNS = f"{_SESSIONS} and application_name like 'turn of%'"


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('STATE_DIRECTORY', str(tmp_path / 'notes'))


@pytest.fixture
def database(postgresql_uri: str) -> Iterator[Any]:
    with open_database(postgresql_uri) as opened:
        yield opened


@pytest.fixture
def turn(database: Any) -> Iterator[Any]:
    with closing(database.new_turn()) as opened:
        yield opened


def end_sessions(postgresql: PostgreSQL, name: str) -> None:
    assert postgresql.sql(f'select pg_terminate_backend(pid) from ({_SESSIONS}) members', database=name)


def test_one_after_the_other(database: Any) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(mine: Any) -> None:
        for _ in range(20):
            with mine:
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    turns = [database.new_turn() for _ in range(3)]
    threads = [threading.Thread(target=work, args=(mine,)) for mine in turns]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for mine in turns:
        mine.close()
    assert most == [1] * 60


@pytest.fixture
def holder(postgresql_uri: str) -> Iterator[subprocess.Popen[str]]:
    """Another process, which has its turn."""
    command = [sys.executable, '-c', HOLDER, postgresql_uri]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == 'taken\n'
        yield process
        process.kill()


def test_a_process_that_is_stopped_in_its_turn_loses_it(holder: Any, turn: Any, caplog: Any) -> None:
    os.kill(holder.pid, signal.SIGSTOP)
    with turn:
        pass
    assert not caplog.records  # it did not go on without
    with turn:
        pass


def test_a_process_that_is_killed_in_its_turn_leaves_it_at_once(holder: Any, turn: Any, caplog: Any) -> None:
    holder.kill()
    with turn:
        pass
    assert not caplog.records


def test_a_lost_session_is_replaced(
    turn: Any, database: Any, postgresql: PostgreSQL, postgresql_database: str, caplog: Any
) -> None:
    end_sessions(postgresql, postgresql_database)
    with turn:
        pass
    assert 'the session that takes turns was lost' in caplog.text
    until(lambda: postgresql.sql(_TURNS, database=postgresql_database), 'turns have a session again')
    assert len(database.members()) == 1
    caplog.clear()
    with turn:
        pass
    assert not caplog.records


def test_a_turn_that_is_lost_while_it_is_held_raises_nothing(
    turn: Any, postgresql: PostgreSQL, postgresql_database: str
) -> None:
    with turn:
        end_sessions(postgresql, postgresql_database)
    with turn:
        pass


def test_a_turn_can_be_closed_while_postgresql_hangs(turn: Any, postgresql: PostgreSQL) -> None:
    postgresql.pause()
    try:
        began = time.monotonic()
        with turn:
            pass
        turn.close()
        assert time.monotonic() - began < PATIENCE / 2
    finally:
        postgresql.resume()


def test_each_writer_is_a_member(database: Any, turn: Any) -> None:
    (member,) = database.members()
    assert str(os.getpid()) in member['name']
    assert abs(member['since'] - time.time()) < PATIENCE


def test_a_reader_is_no_member(postgresql_uri: str, database: Any) -> None:
    with open_database(postgresql_uri, read_only=True):
        assert database.members() == []


def test_whoever_changes_all_of_it_is_told_who_uses_it(holder: Any, postgresql_uri: str) -> None:
    with pytest.raises(DatabaseInUse, match=rf'used by other processes \(.*@.* {holder.pid} since 20'):
        open_alone(postgresql_uri)


def test_nobody_joins_while_one_changes_all_of_it(postgresql_uri: str, database: Any) -> None:
    with open_alone(postgresql_uri), pytest.raises(DatabaseInUse, match='used by other processes'):
        database.new_turn()
    database.new_turn().close()


def test_whoever_changes_all_of_it_needs_no_turn(postgresql_uri: str) -> None:
    with open_alone(postgresql_uri) as alone, closing(alone.new_turn()) as turn, turn:
        pass


def test_a_writer_whose_membership_alone_is_lost_becomes_a_member_again(
    postgresql: PostgreSQL, postgresql_uri: str, postgresql_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, '_LOOK', 0.05)
    with open_database(postgresql_uri) as database, closing(database.new_turn()):
        membership = f"{_SESSIONS} and application_name not like 'turn of%'"
        ((lost,),) = postgresql.sql(membership, database=postgresql_database)
        postgresql.sql('select pg_terminate_backend(%s)', lost)
        found = partial(postgresql.sql, membership, database=postgresql_database)
        until(lambda: found() not in ([], [(lost,)]), 'it is a member again')
        until(database.members, 'it is a member again')
        with pytest.raises(DatabaseInUse):
            open_alone(postgresql_uri)
    until(lambda: 'hitcounter-membership' not in [thread.name for thread in threading.enumerate()], 'the thread ends')
