"""The scripts, with simulated calls: in memory, and over a connection to the installed server, which is killed."""

from __future__ import annotations

import logging
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from accounts import Accounts, Sessions
from accounts.component import LOCKED_FOR
from accounts.pins import COST, Hashed, Salt, digest, hash_new
from accounts.scripts import log_in, log_in_and_remember, log_out
from accounts.sessions import LASTS, key_of

from hitcounter.agi import Script
from hitcounter.commands import plugins
from hitcounter.state import State, open_database
from hitcounter.testing import Channel, HangUp, HangUpTiming, Played, SimulatedCall, dial, place_call

if TYPE_CHECKING:
    from conftest import Clock

pytestmark = pytest.mark.usefixtures('checked')

RIGHT, WRONG = '1234#4711#', '1234#1111#'

Dial = Callable[..., SimulatedCall]


@pytest.fixture
def call(state: State, clock: Clock) -> Dial:
    """Call a script; returns Asterisk's side of the call when it is over."""

    def call(script: Script[..., object] = log_in, digits: str = '', **channel: Any) -> SimulatedCall:
        url = f'agi://pbx/{script.path}'
        return dial(Channel(url=url, digits=digits, **channel), script.bind(state=state, clock=clock))

    return call


def result(asterisk: SimulatedCall) -> tuple[str, str]:
    return asterisk.variables['ACCOUNT_RESULT'], asterisk.variables['ACCOUNT']


def played(asterisk: SimulatedCall) -> list[str]:
    return [event.name for event in asterisk.events if isinstance(event, Played)]


def test_the_right_pin_logs_in(call: Dial, state: State, clock: Clock) -> None:
    asterisk = call(digits=RIGHT)

    assert result(asterisk) == ('RIGHT', '1234')
    assert played(asterisk)[-1] == 'agent-loginok'
    session = state[Sessions].session(key_of(asterisk.variables['ACCOUNT_SESSION']), clock.now)
    assert session
    assert (session.account, session.caller) == ('1234', None)


def test_channels_that_this_one_makes_inherit_the_session(call: Dial) -> None:
    assert any(line.startswith(b'SET VARIABLE __ACCOUNT_SESSION ') for line in call(digits=RIGHT).lines)


def test_a_caller_may_err_twice(call: Dial) -> None:
    asterisk = call(digits=WRONG + WRONG + RIGHT)

    assert result(asterisk) == ('RIGHT', '1234')
    assert played(asterisk).count('vm-incorrect') == 2


@pytest.mark.parametrize('digits', [WRONG * 4, '999#4711#' * 4, '1234#47#' * 4, ''])
def test_whoever_gives_no_right_pin_hears_the_same(call: Dial, state: State, digits: str) -> None:
    asterisk = call(digits=digits)

    assert result(asterisk) == ('WRONG', '')
    assert [sound for sound in played(asterisk) if sound not in ('agent-user', 'agent-pass')] == [
        'vm-incorrect',
        'vm-incorrect',
        'vm-incorrect',
        'vm-goodbye',
    ]
    assert 'ACCOUNT_SESSION' not in asterisk.variables


def test_hanging_up_does_not_help(call: Dial, clock: Clock) -> None:
    for _ in range(3):  # each hangs up once the attempt is counted, before hearing that it was wrong
        call(digits=WRONG, hang_up=HangUp('STREAM FILE'))

    assert result(call(digits=RIGHT)) == ('LOCKED', '')
    clock.now += LOCKED_FOR
    assert result(call(digits=RIGHT)) == ('RIGHT', '1234')


def test_whoever_hangs_up_before_the_pin_is_complete_has_not_tried(call: Dial, state: State) -> None:
    call(digits='1234#471', hang_up=HangUp(3, HangUpTiming.DURING))

    assert state[Accounts].accounts()[0].wrong == 0


def test_a_channel_that_is_logged_in_is_not_asked_again(call: Dial, clock: Clock) -> None:
    token = call(digits=RIGHT).variables['ACCOUNT_SESSION']

    again = call(variables={'ACCOUNT_SESSION': token})

    assert result(again) == ('RIGHT', '1234')
    assert played(again) == ['agent-loginok']
    clock.now += LASTS
    assert result(call(variables={'ACCOUNT_SESSION': token})) == ('WRONG', '')


@pytest.mark.parametrize('token', ['guessed', 'x' * 2000, '\udcff'])
def test_a_token_that_was_not_given_out_is_worth_nothing(call: Dial, token: str) -> None:
    assert result(call(variables={'ACCOUNT_SESSION': token})) == ('WRONG', '')


def test_a_second_call_within_the_hour_is_recognised(call: Dial, clock: Clock, state: State) -> None:
    call(log_in_and_remember, RIGHT, caller_id='200')
    clock.now += LASTS - 1

    second = call(log_in_and_remember, caller_id='200')

    assert result(second) == ('RIGHT', '1234')
    assert played(second) == ['agent-loginok']
    session = state[Sessions].session(key_of(second.variables['ACCOUNT_SESSION']), clock.now)
    assert session
    assert session.ends == clock.now + 1  # a second call does not make it longer
    clock.now += 1
    assert result(call(log_in_and_remember, caller_id='200')) == ('WRONG', '')


def test_a_caller_id_is_not_enough_where_it_is_not_trusted(call: Dial) -> None:
    call(log_in_and_remember, RIGHT, caller_id='200')

    assert result(call(log_in, caller_id='200')) == ('WRONG', '')


def test_another_caller_and_one_who_withholds_the_number_are_asked(call: Dial) -> None:
    call(log_in_and_remember, RIGHT, caller_id='200')
    call(log_in_and_remember, RIGHT, caller_id='201', presentation=32)  # prohibited

    assert result(call(log_in_and_remember, caller_id='202')) == ('WRONG', '')
    assert result(call(log_in_and_remember, caller_id='201')) == ('WRONG', '')


@pytest.mark.parametrize('by', ['token', 'caller'])
def test_logging_out_ends_the_session_everywhere(call: Dial, by: str) -> None:
    token = call(log_in_and_remember, RIGHT, caller_id='200').variables['ACCOUNT_SESSION']

    out = call(log_out, variables={'ACCOUNT_SESSION': token}) if by == 'token' else call(log_out, caller_id='200')

    assert played(out) == ['agent-loggedoff']
    assert out.variables['ACCOUNT_SESSION'] == ''
    assert result(call(variables={'ACCOUNT_SESSION': token})) == ('WRONG', '')
    assert result(call(log_in_and_remember, caller_id='200')) == ('WRONG', '')


def test_a_hash_of_less_cost_is_replaced_as_its_owner_logs_in(call: Dial, state: State) -> None:
    salt = Salt(b'salt', COST // 4)
    state[Accounts].add('100', Hashed(salt, digest('2806', salt)))
    call(digits='100#2807#')
    assert state[Accounts].salt('100') == salt

    for _ in range(2):
        assert result(call(digits='100#2806#')) == ('RIGHT', '100')

    assert state[Accounts].salt('100').cost == COST


def test_a_pin_that_was_changed_meanwhile_is_not_replaced(state: State) -> None:
    before = state[Accounts].salt('1234')

    state[Accounts].rehash('1234', digest('4712', before), hash_new('4712'))

    assert state[Accounts].salt('1234') == before


def test_neither_pin_nor_token_is_in_the_log(call: Dial, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    token = call(digits='1234#8852#' + RIGHT).variables['ACCOUNT_SESSION']

    assert 'GET DATA' in caplog.text
    assert not re.search(f'4711|8852|{re.escape(token)}', caplog.text)


# The installed server, as a process of its own.


@contextmanager
def served(storage: str) -> Iterator[tuple[subprocess.Popen[str], tuple[str, int]]]:
    """hitcounter-serve on a free port, with what is installed; and its address."""
    code = 'from hitcounter.commands.serve import main; main()'
    process = subprocess.Popen(
        [sys.executable, '-c', code, '--listen', '127.0.0.1:0', '--storage', storage],
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr
        try:
            said = next(filter(None, (re.search(r'listening on ([0-9.]+):(\d+)', line) for line in process.stderr)))
            yield process, (said[1], int(said[2]))
        finally:
            process.kill()


def test_a_lock_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    storage = f'file://{tmp_path}/accounts.fs'
    login = 'agi://pbx/login'
    with served(storage) as (process, address):
        with open_database(storage) as database, State(database, plugins.components()) as state:
            state[Accounts].add('1234', hash_new('4711'))
        assert result(place_call(address, Channel(url=login, digits=RIGHT))) == ('RIGHT', '1234')
        assert result(place_call(address, Channel(url=login, digits=WRONG * 3))) == ('WRONG', '')
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    with served(storage) as (_, address):
        assert result(place_call(address, Channel(url=login, digits=RIGHT))) == ('LOCKED', '')
