"""The times that commands take, and how long the reply to each is waited for."""

import inspect
import math
from datetime import timedelta
from time import monotonic

import pytest

from hitcounter.agi import Call, Environment
from tests.support.fake_stream import Scripted
from tests.support.scripted_call import scripted


@pytest.mark.parametrize(
    'ask',
    [
        lambda call: call.exec('Wait', 1, timeout=30),
        lambda call: call.get_variable('X', timeout=30),
        lambda call: call.evaluate('${X}', timeout=30),
        lambda call: call.set_variable('X', 'y', timeout=30),
        lambda call: call.set_variables({'X': 'y'}, timeout=30),
    ],
)
def test_what_may_take_long_has_as_long_as_it_is_given(ask):
    call, stream = scripted(b'200 result=1 (x)\n')
    ask(call)
    assert 0 < stream.deadlines[0] - monotonic() <= 30


# Times.
TIMED = {
    'command': lambda call, time: call.command('NOOP', timeout=time),
    'evaluate': lambda call, time: call.evaluate('${X}', timeout=time),
    'exec': lambda call, time: call.exec('Wait', 1, timeout=time),
    'get_full_variable': lambda call, time: call.get_full_variable('X', timeout=time),
    'get_variable': lambda call, time: call.get_variable('X', timeout=time),
    'set_variable': lambda call, time: call.set_variable('X', 'y', timeout=time),
    'set_variables': lambda call, time: call.set_variables({'X': 'y'}, timeout=time),
    'control_stream_file': lambda call, time: call.control_stream_file('beep', skip=time, offset=time),
    'get_data': lambda call, time: call.get_data('beep', timeout=time),
    'get_option': lambda call, time: call.get_option('beep', '1', timeout=time),
    'receive_char': lambda call, time: call.receive_char(time),
    'receive_text': lambda call, time: call.receive_text(time),
    'record_file': lambda call, time: call.record_file('x', 'wav', timeout=time, silence=time),
    'set_autohangup': lambda call, time: call.set_autohangup(time),
    'speech_recognize': lambda call, time: call.speech_recognize('beep', timeout=time),
    'wait_for_digit': lambda call, time: call.wait_for_digit(time),
}

TIMED_ELSEWHERE = {'gosub', 'wait_for_hangup'}


@pytest.mark.parametrize('name', TIMED)
def test_a_time_may_be_seconds_or_a_timedelta(name):
    sent = []
    for time in (2.5, timedelta(seconds=2.5)):
        call, stream = scripted(b'200 result=1 (timeout) endpos=0\n')
        TIMED[name](call, time)
        sent += stream.sent
    assert sent[0] == sent[1]


def test_no_method_takes_a_time_in_another_way():
    methods = inspect.getmembers(Call, inspect.isfunction)
    public = {name: str(inspect.signature(method)) for name, method in methods if not name.startswith('_')}
    assert {name for name, signature in public.items() if 'timedelta' in signature} == {*TIMED, *TIMED_ELSEWHERE}
    without = {name for name, signature in public.items() if 'timeout' in signature and 'timedelta' not in signature}
    assert not without


# How long each is waited for.


class Timed(Scripted):
    """A stream that keeps how long each reply would have been waited for."""

    def __init__(self, clock: float, reply: bytes) -> None:
        super().__init__([reply])
        self.clock, self.waits = clock, []

    def receive(self, deadline: float) -> bytes:
        self.waits.append(deadline - self.clock)
        return super().receive(deadline)


@pytest.mark.parametrize(
    ('wait', 'command', 'reply'),
    [
        (30, lambda call: call.answer(), b'200 result=0\n'),
        (30, lambda call: call.speech_set('a', 'b'), b'200 result=1\n'),
        (35, lambda call: call.wait_for_digit(5), b'200 result=0\n'),
        (math.inf, lambda call: call.wait_for_digit(), b'200 result=0\n'),
        (35, lambda call: call.receive_text(5), b'200 result=-1\n'),
        (math.inf, lambda call: call.receive_char(), b'200 result=-1\n'),
        (35, lambda call: call.record_file('x', 'wav', timeout=5), b'200 result=0 (timeout) endpos=0\n'),
        (math.inf, lambda call: call.record_file('x', 'wav'), b'200 result=0 (timeout) endpos=0\n'),
        (50, lambda call: call.get_data('', timeout=5, max_digits=4), b'200 result=\n'),
        (math.inf, lambda call: call.get_data('beep', timeout=5, max_digits=4), b'200 result=\n'),
        (math.inf, lambda call: call.get_option('beep', '1', timeout=5), b'200 result=0 endpos=0\n'),
        (math.inf, lambda call: call.speech_recognize('beep', timeout=5), b'200 result=1 (timeout) endpos=0\n'),
        (math.inf, lambda call: call.stream_file('beep'), b'200 result=0 endpos=0\n'),
        (math.inf, lambda call: call.say_number(1), b'200 result=0\n'),
        (math.inf, lambda call: call.exec('NoOp'), b'200 result=0\n'),
        (math.inf, lambda call: call.gosub('a', 'b', 1), b'200 result=0 Gosub complete\n'),
    ],
)
def test_a_reply_is_waited_for_as_long_as_its_command_takes(monkeypatch, wait, command, reply):
    monkeypatch.setattr('time.monotonic', lambda: 1000.0)
    stream = Timed(1000.0, reply)
    command(Call(Environment({}), stream))
    assert stream.waits == [wait]


@pytest.mark.parametrize(
    'command',
    [
        lambda call: call.asyncagi_break(),
        lambda call: call.channel_status(),
        lambda call: call.database_del('a', 'b'),
        lambda call: call.database_deltree('a'),
        lambda call: call.database_get('a', 'b'),
        lambda call: call.database_put('a', 'b', 'c'),
        lambda call: call.get_full_variable('a'),
        lambda call: call.get_variable('a'),
        lambda call: call.hangup(),
        lambda call: call.noop(),
        lambda call: call.send_image('a'),
        lambda call: call.send_text('a'),
        lambda call: call.set_autohangup(5),
        lambda call: call.set_callerid('5'),
        lambda call: call.set_context('a'),
        lambda call: call.set_extension('a'),
        lambda call: call.set_music(True),
        lambda call: call.set_priority(1),
        lambda call: call.set_variable('a', 'b'),
        lambda call: call.speech_create('a'),
        lambda call: call.tdd_mode('on'),
        lambda call: call.verbose('a'),
    ],
)
def test_what_asterisk_does_at_once_is_waited_for_half_a_minute(monkeypatch, command):
    monkeypatch.setattr('time.monotonic', lambda: 1000.0)
    stream = Timed(1000.0, b'200 result=1\n')
    command(Call(Environment({}), stream))
    assert stream.waits == [30]
