"""The hangup of a simulated call: when it comes, and what the server sees."""

import pytest

from hitcounter.simulator import Answered, CallerHungUp, Channel, HangUp, HangUpTiming, HungUp, Played, SimulatedCall


def test_autohangup_ends_the_command_that_lasts_longer():
    call = SimulatedCall(Channel(samples={'long': 80000}))

    assert call.receive(b'SET AUTOHANGUP 2.5\n') == b'200 result=0\n'
    assert call.receive(b'STREAM FILE short ""\n') == b'200 result=0 endpos=8000\n'
    assert call.receive(b'STREAM FILE long ""\n') == b'200 result=-1 endpos=12000\nHANGUP\n'
    assert call.events == [Played('short'), Played('long'), HungUp()]


def test_autohangup_comes_right_after_a_command_that_lasts_as_long():
    call = SimulatedCall(Channel())

    call.receive(b'SET AUTOHANGUP 1\n')
    assert call.receive(b'STREAM FILE hello ""\n') == b'200 result=0 endpos=8000\nHANGUP\n'


def test_a_caller_leaves_after_as_much_of_a_command_as_was_planned():
    call = SimulatedCall(Channel(hang_up=HangUp(1, after=0.25)))

    assert call.receive(b'STREAM FILE hello ""\n') == b'200 result=-1 endpos=2000\nHANGUP\n'


def test_no_plan_outlasts_the_command():
    call = SimulatedCall(Channel(hang_up=HangUp(1, after=99)))

    assert call.receive(b'GET OPTION hello 1 500\n') == b'200 result=-1 endpos=8000\nHANGUP\n'


# The caller goes.


@pytest.mark.parametrize(
    ('command', 'reply'),
    [
        ('ANSWER', '200 result=-1'),
        ('STREAM FILE hello ""', '200 result=-1 endpos=4000'),
        ('CONTROL STREAM FILE hello ""', '200 result=-1 endpos=500'),
        ('SAY NUMBER 1 ""', '200 result=-1'),
        ('GET DATA hello', '200 result=-1'),
        ('WAIT FOR DIGIT 100', '200 result=-1'),
        ('RECORD FILE mine wav # 1000', '200 result=-1 (hangup) endpos=4000'),
        ('EXEC Wait 5', '200 result=-1'),
        ('EXEC Answer', '200 result=-1'),
        ('SET VARIABLE a b', '200 result=1'),
        ('NOSUCH', '510 Invalid or unknown command'),
    ],
)
def test_a_hangup_while_a_command_runs_makes_it_fail_and_is_told_after_its_reply(command, reply):
    call = SimulatedCall(Channel(hang_up=HangUp(1)))

    assert call.receive(command.encode() + b'\n').decode() == reply + '\nHANGUP\n'
    assert call.events[-1] == CallerHungUp()
    assert call.close() == b'HANGUP\n'
    assert call.status == 'HANGUP'


def test_a_hangup_may_cross_a_command_on_its_way():
    call = SimulatedCall(Channel(hang_up=HangUp('SAY NUMBER', HangUpTiming.CROSSING)))

    assert call.receive(b'ANSWER\n') == b'200 result=0\n'
    assert call.receive(b'SAY NUMBER 1 ""\n').startswith(b'HANGUP\n511 ')


def test_a_hangup_may_come_after_a_reply():
    call = SimulatedCall(Channel(hang_up=HangUp(1, HangUpTiming.AFTER)))

    assert call.receive(b'ANSWER\n') == b'200 result=0\nHANGUP\n'
    assert call.events == [Answered(), CallerHungUp()]


def test_a_hangup_may_come_before_any_command():
    assert SimulatedCall(Channel(hang_up=HangUp(0, HangUpTiming.AFTER))).opening().endswith(b'\n\nHANGUP\n')


def test_a_caller_who_vanishes_takes_asterisk_along():
    call = SimulatedCall(Channel(hang_up=HangUp('SAY NUMBER', HangUpTiming.VANISHING)))

    assert call.receive(b'SAY NUMBER 1 ""\n') == b''
    assert call.ended
    assert call.status is None
    assert call.close() == b''


def test_whoever_waits_for_ever_for_a_digit_gets_a_hangup():
    assert SimulatedCall(Channel()).receive(b'WAIT FOR DIGIT -1\n') == b'200 result=-1\nHANGUP\n'


def test_a_caller_hangs_up_once():
    call = SimulatedCall(Channel(hang_up=HangUp(1)))

    assert call.hang_up() == b'HANGUP\n'
    assert call.hang_up() == b''
    assert call.receive(b'NOOP\n') == b'200 result=0\n'
    assert call.events == [CallerHungUp()]


def test_without_agisighup_no_hangup_is_told():
    call = SimulatedCall(Channel(variables={'AGISIGHUP': 'no'}))

    assert call.hang_up() == b''
    assert call.receive(b'ANSWER\n').startswith(b'511 ')
    assert call.close() == b''


def test_an_application_on_a_dead_channel_fails_and_is_not_heard():
    call = SimulatedCall(Channel())
    call.hang_up()

    assert call.receive(b'EXEC Playback hello\n') == b'200 result=-1\n'
    assert call.receive(b'EXEC Hangup\n') == b'200 result=-1\n'
    assert call.events == [CallerHungUp()]
