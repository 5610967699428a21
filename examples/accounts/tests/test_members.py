"""Members vote once: one update over accounts, sessions and the round of a line."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from accounts import Accounts, Sessions, remove
from accounts.errors import AccountRefused
from accounts.members import enter_as_member, vote
from accounts.pins import hash_new
from accounts.scripts import log_in
from accounts.sessions import LASTS, key_of

from hitcounter.hits import Caller, HitCounter
from hitcounter.lines import Lines, Result, Rules, Visit, canonical
from hitcounter.lines.terms import At
from hitcounter.state import State, open_database
from hitcounter.testing import Channel, Played, SimulatedCall, dial

if TYPE_CHECKING:
    from conftest import Clock

CALLERS = 64


@pytest.fixture
def state(clock: Clock) -> Iterator[State]:
    """A state with two accounts, and a round of `contest` in which each caller counts once and the second wins."""
    components = [HitCounter, Lines, Accounts, Sessions]
    with open_database('memory:') as database, State(database, components) as state:
        for number in ('1', '2'):
            state[Accounts].add(number, hash_new('4711'))
        rules = Rules((At(2),), limit=1)
        state[Lines].open_round('contest', canonical(rules), 0.0, 'anna', secrets.token_bytes(32))
        yield state


def token_of(state: State, clock: Clock, account: str) -> str:
    """Log in, and return the token that is left on the channel."""
    asterisk = dial(Channel(url='agi://pbx/login', digits=f'{account}#4711#'), log_in.bind(state=state, clock=clock))
    return asterisk.variables['ACCOUNT_SESSION']


def called(state: State, clock: Clock, token: str, caller: str = '', line: str = 'contest') -> SimulatedCall:
    channel = Channel(url=f'agi://pbx/member/{line}', caller_id=caller, variables={'ACCOUNT_SESSION': token})
    return dial(channel, vote.bind(state=state, clock=clock))


def test_a_member_votes_once_whatever_the_telephone(state: State, clock: Clock) -> None:
    first, other = token_of(state, clock, '1'), token_of(state, clock, '1')  # two log-ins, one account

    heard = [called(state, clock, first, '5551'), called(state, clock, other, '5552'), called(state, clock, first)]

    assert [asterisk.variables['HITCOUNTER_RESULT'] for asterisk in heard] == ['COUNTED', 'REPEAT', 'REPEAT']
    assert [asterisk.variables['HITCOUNTER_NUMBER'] for asterisk in heard] == ['1', '', '']
    assert Played('auth-thankyou') in heard[0].events
    assert state[HitCounter].count('contest') == 1


def test_two_members_vote_from_one_telephone_and_one_of_them_wins(state: State, clock: Clock) -> None:
    heard = [called(state, clock, token_of(state, clock, account), '5551') for account in ('1', '2')]

    assert [asterisk.variables['HITCOUNTER_RESULT'] for asterisk in heard] == ['COUNTED', 'WON']
    assert [win.identity for win in state[Lines].wins('contest', 1)] == ['account 2']


@pytest.mark.parametrize('token', ['', 'guessed'])
def test_nobody_votes_without_logging_in(state: State, clock: Clock, token: str) -> None:
    asterisk = called(state, clock, token, '5551')

    assert asterisk.variables['HITCOUNTER_RESULT'] == ''
    assert asterisk.events == []
    assert state[HitCounter].count('contest') == 0


def test_nobody_votes_once_the_session_is_over_or_the_account_is_gone(state: State, clock: Clock) -> None:
    one, two = token_of(state, clock, '1'), token_of(state, clock, '2')
    state.update(remove, '2')
    assert called(state, clock, two).variables['HITCOUNTER_RESULT'] == ''
    clock.now += LASTS
    assert called(state, clock, one).variables['HITCOUNTER_RESULT'] == ''
    assert state[HitCounter].count('contest') == 0


def test_a_member_who_calls_from_many_telephones_at_once_votes_once(state: State, clock: Clock) -> None:
    key = key_of(token_of(state, clock, '1'))
    ready = Barrier(CALLERS)

    def call(number: int) -> Result:
        caller = Caller(f'555{number}', None, f'1.{number}', withheld=False)
        ready.wait()
        outcome = state.update(enter_as_member, key, Visit('contest', caller, clock.now), clock.now)
        assert outcome
        return outcome.result

    with ThreadPoolExecutor(CALLERS) as callers:
        results = Counter(callers.map(call, range(CALLERS)))

    assert results == {Result.COUNTED: 1, Result.REPEAT: CALLERS - 1}
    assert state[HitCounter].count('contest') == 1


def test_on_a_line_without_a_round_nothing_is_counted(state: State, clock: Clock) -> None:
    token = token_of(state, clock, '1')

    with pytest.raises(AccountRefused, match=r"line 'other', which has no round: open one, as in .*--once-per caller"):
        called(state, clock, token, line='other')

    assert state[HitCounter].lines() == {}
