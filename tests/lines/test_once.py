"""A second script on one channel, with once=yes: the number of the first one, as it was."""

import time
from typing import Any

import pytest

from hitcounter.hits import HitCounter
from hitcounter.lines.calling import Desk
from hitcounter.lines.component import Lines
from hitcounter.lines.rules import canonical
from hitcounter.lines.rules_table import parse_rules
from hitcounter.lines.script import serve_line
from hitcounter.lines.settings import DEFAULT
from hitcounter.state import State
from hitcounter.testing import Channel, SimulatedCall, dial


def called(state: State, line: str, variables: dict[str, str], caller_id: str | None = '+4989123401') -> SimulatedCall:
    channel = Channel(url=f'agi://127.0.0.1/hits/{line}?once=yes', caller_id=caller_id, variables=variables)
    return dial(channel, serve_line.bind(desk=Desk(state)))


def told(call: SimulatedCall) -> dict[str, Any]:
    return {name: value for name, value in call.variables.items() if name.startswith('HITCOUNTER_')}


@pytest.mark.parametrize('caller_id', ['+4989123401', None])
def test_a_winner_hears_and_is_told_the_same_again(state: State, caller_id: str | None) -> None:
    rules = parse_rules({'win': 'at 1 and every 10'}, DEFAULT, time.time())
    state[Lines].open_round('a,b', canonical(rules), time.time(), 'anna')

    first = called(state, 'a,b', {}, caller_id)
    second = called(state, 'a,b', told(first), caller_id)

    assert told(first)['HITCOUNTER_WIN'] == 'at 1'
    assert told(second) == {**told(first), 'HITCOUNTER_AGAIN': '1'}
    assert second.events == first.events
    assert state[HitCounter].lines() == {'a,b': 1}


def test_a_call_without_a_round_hears_its_number_again(state: State) -> None:
    first = called(state, 'shop', {})
    second = called(state, 'shop', told(first))

    assert second.events == first.events
    assert told(second) == {**told(first), 'HITCOUNTER_AGAIN': '1'}


def test_another_line_counts_the_same_channel(state: State) -> None:
    first = called(state, 'shop', {})
    second = called(state, 'desk', told(first))

    assert told(second)['HITCOUNTER_AGAIN'] == '0'
    assert state[HitCounter].lines() == {'shop': 1, 'desk': 1}
