"""The keys that the caller presses."""

import pytest

from hitcounter.simulator import Channel, Played, Pressed, SimulatedCall, Waited
from hitcounter.simulator.leg import KEYPAD


def test_the_patient_caller_presses_each_digit_when_it_is_asked_for():
    call = SimulatedCall(Channel(digits='512#'))

    assert call.receive(b'STREAM FILE hello ""\n') == b'200 result=0 endpos=8000\n'
    assert call.receive(b'STREAM FILE hello 123\n') == b'200 result=0 endpos=8000\n'
    assert call.receive(b'WAIT FOR DIGIT 1000\n') == b'200 result=53\n'
    assert call.receive(b'GET DATA hello 1000 4\n') == b'200 result=12\n'
    assert call.receive(b'WAIT FOR DIGIT 1000\n') == b'200 result=0\n'
    assert [event.digit for event in call.events if isinstance(event, Pressed)] == ['5', '1', '2', '#']


def test_keys_are_pressed_during_the_command_that_was_planned_for_them():
    call = SimulatedCall(Channel(keys={'WAIT FOR DIGIT': '9', 3: '87'}))

    assert call.receive(b'NOOP\n') == b'200 result=0\n'
    assert call.receive(b'WAIT FOR DIGIT 1000\n') == b'200 result=57\n'
    assert call.receive(b'STREAM FILE hello 7\n') == b'200 result=55 endpos=4000\n'
    assert call.receive(b'WAIT FOR DIGIT 1000\n') == b'200 result=0\n'


def test_keys_that_nobody_waits_for_are_lost():
    call = SimulatedCall(Channel(keys={1: KEYPAD}))

    assert call.receive(b'SAY NUMBER 42 ""\n') == b'200 result=0\n'
    assert call.receive(b'WAIT FOR DIGIT 1000\n') == b'200 result=0\n'


@pytest.mark.parametrize(
    ('command', 'reply'),
    [
        ('SAY DIGITS 123 "5"', '200 result=53'),
        ('GET OPTION hello "5"', '200 result=53 endpos=4000'),
        ('CONTROL STREAM FILE hello "5"', '200 result=53 endpos=500'),
        ('RECORD FILE mine wav "5" 1000', '200 result=53 (dtmf) endpos=0'),
        ('EXEC Background hello', '200 result=53'),
        ('GET DATA hello 100 2', '200 result=5 (timeout)'),
        ('GET DATA "" 100 1', '200 result=5'),
    ],
)
def test_a_digit_ends_what_listens_for_it(command, reply):
    call = SimulatedCall(Channel(digits='5'))

    assert call.receive(command.encode() + b'\n').decode() == reply + '\n'


def test_a_slow_caller_presses_the_key_when_there_is_time_for_it():
    call = SimulatedCall(Channel(digits='12', seconds_per_key=2.0))

    assert call.receive(b'WAIT FOR DIGIT 1500\n') == b'200 result=0\n'
    assert call.receive(b'WAIT FOR DIGIT 3000\n') == b'200 result=49\n'
    assert call.receive(b'GET DATA hello 1500 1\n') == b'200 result=2\n'
    assert call.events == [Waited(1.5), Pressed('1'), Played('hello'), Pressed('2')]


def test_a_planned_key_that_comes_too_late_is_lost():
    call = SimulatedCall(Channel(keys={1: '12'}, seconds_per_key=0.6))

    assert call.receive(b'STREAM FILE hello 2\n') == b'200 result=0 endpos=8000\n'
    assert call.receive(b'WAIT FOR DIGIT 1000\n') == b'200 result=0\n'


@pytest.mark.parametrize(
    ('keys', 'options', 'reply'),
    [
        ('9', '1000 # * 0', '200 result=57 endpos=1000'),
        ('#9', '3000 # * 0', '200 result=57 endpos=5000'),
        ('##9', '5000 # * 0', '200 result=0 endpos=-1'),
        ('#*9', '1500 # * 0', '200 result=57 endpos=3000'),
        ('*9', '3000 # * 0', '200 result=57 endpos=1000'),
        ('09', '3000 # * 0', '200 result=57 endpos=1000'),
        ('009', '3000 # * 0', '200 result=57 endpos=2000'),
        ('9', '3000 # * 0 4000', '200 result=57 endpos=5000'),
        ('8', '', '200 result=0 endpos=-1'),
    ],
)
def test_a_prompt_can_be_wound_and_paused(keys, options, reply):
    call = SimulatedCall(Channel(samples={'long': 80000}, keys={1: keys}, seconds_per_key=1.0))

    assert call.receive(f'CONTROL STREAM FILE long 9 {options}\n'.encode()).decode() == reply + '\n'


def test_a_prompt_that_is_paused_for_ever_ends_by_a_hangup():
    call = SimulatedCall(Channel(keys={1: '0'}))

    assert call.receive(b'CONTROL STREAM FILE hello 9 1000 # * 0\n').endswith(b'\nHANGUP\n')
