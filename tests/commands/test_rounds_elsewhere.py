"""Rounds in hitcounter-agi, in the shell, and in a database that is only read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hitcounter.errors import ReadOnly
from hitcounter.hits import Caller, HitCounter
from hitcounter.lines.calling import Desk, Visit
from hitcounter.lines.component import Lines
from hitcounter.simulator import Channel
from hitcounter.state import State, open_database
from tests.support.processes import ProcessCall

if TYPE_CHECKING:
    from tests.support.servers import Run, ServerProcess

Begin = Callable[..., ProcessCall]


@pytest.fixture
def begin(storage: str, environment: dict[str, str], tmp_path: Path) -> Iterator[Begin]:
    """Start a process of hitcounter-agi for a call on this channel."""
    begun: list[ProcessCall] = []

    def begin(**channel: object) -> ProcessCall:
        variables = {**environment, 'HITCOUNTER_STORAGE': storage}
        call = ProcessCall(Channel(**channel), 'hits/contest', environment=variables, folder=tmp_path)
        begun.append(call)
        return call

    yield begin
    for call in begun:
        call.close()


def result(call: ProcessCall) -> tuple[str, str, str]:
    variables = call.run().asterisk.variables
    return (variables['HITCOUNTER_RESULT'], variables['HITCOUNTER_NUMBER'], variables['HITCOUNTER_WIN'])


def test_processes_and_the_server_are_in_one_round(server: ServerProcess, begin: Begin, hitcounter: Run) -> None:
    assert hitcounter('round', 'open', 'contest', '--win', 'at 2,4').returncode == 0
    assert result(begin()) == ('COUNTED', '1', '')
    assert server.number(extension='contest') == 2
    assert result(begin()) == ('COUNTED', '3', '')
    assert result(begin()) == ('WON', '4', 'at 4')


def test_whoever_called_when_the_process_started_is_in_though_the_round_was_closed_meanwhile(
    server: ServerProcess, begin: Begin, hitcounter: Run
) -> None:
    assert hitcounter('round', 'open', 'contest', '--win', 'every 1', '--settle', '1h').returncode == 0
    before = begin()
    assert hitcounter('round', 'close', 'contest').returncode == 0
    after = begin()

    assert result(after) == ('CLOSED', '', '')
    assert result(before) == ('WON', '1', 'every 1')
    shown = hitcounter('round', 'show', 'contest').stdout
    assert 'provisional: 1 call, 1 winner' in shown


def test_the_shell_knows_the_lines(server: ServerProcess, hitcounter: Run) -> None:
    assert hitcounter('round', 'open', 'contest', '--win', 'at 2').returncode == 0
    assert server.number(extension='contest') == 1
    ask = 'print(lines.rounds("contest")[0].entries, lines.entries("contest", 1))'
    asked = hitcounter('shell', '-c', ask)
    assert asked.stdout.startswith('1 [Entry(arrived='), asked.stderr


def test_a_state_that_is_only_read_shows_rounds_and_changes_none(
    server: ServerProcess, storage: str, hitcounter: Run
) -> None:
    assert hitcounter('round', 'open', 'contest', '--win', 'at 2').returncode == 0
    with (
        open_database(storage, read_only=True) as database,
        State(database, [HitCounter, Lines], read_only=True) as state,
    ):
        assert [view.number for view in state[Lines].rounds('contest')] == [1]
        with pytest.raises(ReadOnly):
            state[Lines].close_round('contest', time.time(), 'anna')
        with pytest.raises(ReadOnly):
            Desk(state).decide(Visit('contest', Caller('1', None, '17.1'), time.time()))
    assert [line.count('open') for line in hitcounter('round', 'list').stdout.splitlines()] == [1]
