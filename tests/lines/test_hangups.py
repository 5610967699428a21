"""Callers of a line who hang up at each command that the script gives, whatever was decided about them."""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import pytest

from hitcounter.errors import ConnectionLost, Hangup, LineRefused
from hitcounter.hits import PROMPTS, Caller, HitCounter
from hitcounter.lines.announcements import files_of, items_for
from hitcounter.lines.calling import Desk
from hitcounter.lines.component import Lines
from hitcounter.lines.rules import Rules, canonical
from hitcounter.lines.script import serve_line
from hitcounter.lines.terms import At
from hitcounter.state import State, open_database
from hitcounter.testing import CallerHungUp, Channel, HangUp, HangUpTiming, Played, SimulatedCall, connect

PROHIBITED = 35


class Case(NamedTuple):
    """A line on which a call has the outcome of this name."""

    #: None if the line has no round.
    rules: Rules | None = None
    #: Calls of the same caller before.
    earlier: int = 0
    is_closed: bool = False
    is_withheld: bool = False
    max_lines: int = 0


HOUR = 3600.0
CASES = {
    'COUNTED': Case(Rules(win=(At(100),))),
    'COUNTED without a round': Case(),
    'WON': Case(Rules(win=(At(1),))),
    'REPEAT': Case(Rules(limit=1), earlier=1),
    'FULL': Case(Rules(most_calls=1), earlier=1),
    'BARRED': Case(Rules(win=(At(1),), cooldown=HOUR), earlier=1),
    'WITHHELD': Case(Rules(withheld='refuse'), is_withheld=True),
    'CLOSED': Case(Rules(opens=time.time() + HOUR)),
    'CLOSED too late': Case(Rules(), is_closed=True),
    'ERROR': Case(max_lines=1),
}


@pytest.fixture
def state() -> Iterator[State]:
    with open_database('memory:') as database, State(database, [HitCounter, Lines]) as state:
        state[HitCounter].hit('another', Caller('5551', None, '1.1'))
        yield state


def call(state: State, line: str, case: Case, hang_up: HangUp | None = None) -> SimulatedCall:
    """The call on a `line` of its own, after those before."""
    if case.rules is not None:
        state[Lines].open_round(line, canonical(case.rules), time.time() - 10, 'anna')
    if case.is_closed:
        state[Lines].close_round(line, time.time() - 5, 'anna')
    for hung_up in [*[None] * case.earlier, hang_up]:
        channel = Channel(
            caller_id='+4989123401', presentation=PROHIBITED if case.is_withheld else None, hang_up=hung_up
        )
        call, asterisk = connect(channel, parameters={'line': line})
        with suppress(Hangup, ConnectionLost, LineRefused):
            serve_line(call, Desk(state), max_lines=case.max_lines)
        asterisk.close()
    return asterisk


def stored(state: State, line: str) -> dict[str, int]:
    """How many calls of a line are counted, and how many have each other result."""
    others = {result: sum(tally.values()) for result, tally in state[Lines].tallies(line).items()}
    return {'counted': state[HitCounter].count(line), **others}


@pytest.mark.parametrize('name', CASES)
def test_a_caller_who_stays_hears_the_set_of_the_result(state: State, name: str) -> None:
    asterisk = call(state, 'line', CASES[name])

    assert asterisk.variables['HITCOUNTER_RESULT'] == name.split()[0]
    set_name = {'CLOSED too late': 'too-late', 'ERROR': 'failed'}.get(name, name.split()[0].lower())
    items = items_for(set_name, CASES[name].rules is not None, {}, PROMPTS)
    assert [event.name for event in asterisk.events if isinstance(event, Played)] == list(files_of(items))


@pytest.mark.parametrize('timing', HangUpTiming)
@pytest.mark.parametrize('name', CASES)
def test_whenever_the_caller_hangs_up_what_was_decided_is_stored_and_the_dialplan_knows(
    state: State, name: str, timing: HangUpTiming
) -> None:
    whole = call(state, 'whole', CASES[name])
    commands = len(whole.lines)
    assert commands > 3

    for place in range(1, commands + 1):
        asterisk = call(state, f'line {place}', CASES[name], HangUp(place, timing))

        assert len(asterisk.lines) < commands or place >= commands - 1
        assert stored(state, f'line {place}') == stored(state, 'whole')
        if timing is not HangUpTiming.VANISHING:
            assert CallerHungUp() in asterisk.events
            assert asterisk.variables['HITCOUNTER_RESULT'] == name.split()[0]
