"""Real Asterisk, callers who hang up: each is counted once at most, and the next caller is served."""

import signal

from tests.support.asterisk.counter import Serve, Server
from tests.support.asterisk.telephony import SIP, Asterisk

HALF_A_MINUTE = 'demo-congrats'


def test_who_hangs_up_while_the_prompt_plays_is_counted(asterisk: Asterisk, serve: Serve) -> None:
    serve('--prompt', HALF_A_MINUTE)
    caller = asterisk.dial()
    caller.hears(HALF_A_MINUTE)

    caller.hang_up()

    call = caller.ends()
    assert call.status == 'HANGUP'
    assert call.number == '1'
    assert call.played == (HALF_A_MINUTE,)
    assert not call.went_on


def test_who_comes_after_a_hangup_gets_the_next_number(asterisk: Asterisk, serve: Serve) -> None:
    serve('--prompt', HALF_A_MINUTE)
    callers = [asterisk.dial() for _ in range(3)]
    for caller in callers:
        caller.hears(HALF_A_MINUTE)
        caller.hang_up()
    assert sorted(caller.ends().number for caller in callers) == ['1', '2', '3']

    follower = asterisk.dial()
    follower.hears(HALF_A_MINUTE)
    follower.hang_up()

    assert follower.ends().number == '4'


def test_who_hangs_up_while_the_number_is_spoken_is_counted(asterisk: Asterisk, serve: Serve) -> None:
    serve('--prompt', 'hello')
    caller = asterisk.dial()
    caller.hears('digits/1')

    caller.hang_up()

    call = caller.ends()
    assert call.status == 'HANGUP'
    assert call.number == '1'
    assert asterisk.call().played == ('hello', 'digits/2')


def test_who_hangs_up_before_the_answer_hears_nothing_and_leaves_no_gap(asterisk: Asterisk, server: Server) -> None:
    server.send(signal.SIGSTOP)
    caller = asterisk.dial()
    caller.reaches_agi()
    caller.hang_up()
    server.send(signal.SIGCONT)

    call = caller.ends()

    assert call.status == 'HANGUP'
    assert call.played == ()
    counted = int(call.number or 0)
    assert asterisk.call().number == str(counted + 1)


def test_a_sip_telephone_may_hang_up(asterisk: Asterisk, serve: Serve) -> None:
    serve('--prompt', HALF_A_MINUTE)

    call = asterisk.dial(by=SIP, then='leaves-after-1').ends()

    assert call.status == 'HANGUP'
    assert call.number == '1'
    assert call.played == (HALF_A_MINUTE,)


def test_thirty_who_hang_up_at_once_leave_no_gap(asterisk: Asterisk, serve: Serve) -> None:
    serve('--prompt', HALF_A_MINUTE)

    calls = [caller.ends() for caller in [asterisk.dial(then='leaves-after-1') for _ in range(30)]]

    assert sorted(int(call.number) for call in calls) == list(range(1, 31))
    assert {call.status for call in calls} == {'HANGUP'}
