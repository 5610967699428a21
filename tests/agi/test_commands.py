"""The 47 commands: the bytes that go out, and what the replies of a real Asterisk come to."""

import inspect
import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from time import monotonic, process_time

import pytest

from hitcounter.agi import (
    Call,
    ChannelState,
    ControlledPlayback,
    Digits,
    Environment,
    Playback,
    Recognition,
    RecognitionEnd,
    Recording,
    RecordingEnd,
    Utterance,
)
from hitcounter.agi.commands import ChannelCommands, DialplanCommands, SoundCommands, SpeechCommands
from hitcounter.agi.ivr import ask, menu
from hitcounter.errors import CommandFailed, CommandRefused, Hangup, ProtocolError
from hitcounter.simulator.commands import COMMANDS
from hitcounter.testing import Channel, connect
from tests.support.fake_stream import Scripted
from tests.support.recordings import replay


def scripted(*pieces: bytes) -> tuple[Call, Scripted]:
    stream = Scripted(pieces)
    return Call(Environment({}), stream), stream


FAMILIES = (ChannelCommands, DialplanCommands, SoundCommands, SpeechCommands)

# What a command is about may be left out, and is no option for that.
SUBJECTS = {
    'channel_status': {'channel'},
    'continue_at': {'priority'},
    'database_deltree': {'keytree'},
    'hangup': {'channel'},
    'receive_char': {'timeout'},
    'receive_text': {'timeout'},
    'set_music': {'on'},
    'speech_create': {'engine'},
    'wait_for_digit': {'timeout'},
}


def test_there_is_a_method_for_each_of_the_47_commands():
    methods = {name for family in FAMILIES for name in vars(family) if not name.startswith('_')}
    assert len(COMMANDS) == 47
    assert methods == {name.lower().replace(' ', '_') for name in COMMANDS} | {'evaluate', 'continue_at'}


def test_options_are_given_by_name():
    for family in FAMILIES:
        for name, method in inspect.getmembers(family, inspect.isfunction):
            parameters = inspect.signature(method).parameters.values()
            optional = [p for p in parameters if p.default is not p.empty and p.kind is not p.KEYWORD_ONLY]
            names = {p.name for p in optional}
            assert name in ('__init__', 'command') or names <= SUBJECTS.get(name, set()), name


# The channel.


def test_answer():
    call, stream = replay('cmd-answer')
    assert call.channel_status() is ChannelState.RING
    call.answer()
    assert call.channel_status() is ChannelState.UP
    call.answer()
    assert stream.sent == [b'CHANNEL STATUS\n', b'ANSWER\n', b'CHANNEL STATUS\n', b'ANSWER\n']


def test_channel_status_of_another_channel_and_of_none():
    call, stream = replay('cmd-channel-status')
    assert call.channel_status('Local/31415@default-000000a6;1') is ChannelState.UP
    assert call.channel_status('No/such') is None
    assert stream.sent == [b'CHANNEL STATUS Local/31415@default-000000a6;1\n', b'CHANNEL STATUS No/such\n']


def test_a_state_that_no_channel_has_is_an_error():
    call, _ = scripted(b'200 result=77\n', b'200 result=x\n')
    with pytest.raises(ProtocolError, match='not the state'):
        call.channel_status()
    with pytest.raises(ProtocolError):
        call.channel_status()


def test_hangup():
    call, stream = replay('cmd-hangup')
    assert call.hangup()
    assert call.hung_up
    call.noop()
    assert call.get_variable('CHANNEL') == 'Local/31415@default-00000096;2'
    assert call.hangup()
    assert stream.sent == [b'HANGUP\n', b'NOOP\n', b'GET VARIABLE CHANNEL\n']


def test_hangup_of_another_channel_may_be_the_end_of_this_one():
    call, stream = replay('cmd-hangup-other')
    assert not call.hangup('No/such')
    with pytest.raises(Hangup):
        call.hangup('Local/31415@default-00000097;1')
    assert stream.sent == [b'HANGUP No/such\n', b'HANGUP Local/31415@default-00000097;1\n']


def test_noop_and_verbose():
    call, stream = replay('cmd-verbose-noop')
    call.verbose('CHECK hello world')
    call.noop()
    assert stream.sent == [b'VERBOSE "CHECK hello world" 1\n', b'NOOP\n']


def test_asyncagi_break_changes_nothing():
    call, stream = replay('cmd-asyncagi-break')
    call.asyncagi_break()
    call.noop()
    assert stream.sent == [b'ASYNCAGI BREAK\n', b'NOOP\n']


def test_set_autohangup():
    call, stream = replay('cmd-autohangup')
    call.set_autohangup(1)
    with pytest.raises(Hangup):
        call.noop()
    assert stream.sent == [b'SET AUTOHANGUP 1\n', b'NOOP\n']


@pytest.mark.parametrize(('time', 'word'), [(0, b'0'), (2.5, b'2.5'), (timedelta(days=20), b'1728000')])
def test_set_autohangup_takes_parts_of_seconds(time, word):
    call, stream = scripted(b'200 result=0\n')
    call.set_autohangup(time)
    assert stream.sent == [b'SET AUTOHANGUP ' + word + b'\n']


def test_set_callerid():
    call, stream = replay('cmd-callerid')
    call.set_callerid('12345', name='Joe Bloggs')
    assert call.get_variable('CALLERID(all)') == '"Joe Bloggs" <12345>'
    call.set_callerid('777')
    assert call.get_variable('CALLERID(all)') == '"" <777>'
    call.set_callerid('')
    assert call.get_variable('CALLERID(all)') == '"" <>'
    assert stream.sent[::2] == [
        b'SET CALLERID "\\"Joe Bloggs\\" <12345>"\n',
        b'SET CALLERID 777\n',
        b'SET CALLERID ""\n',
    ]


@pytest.mark.parametrize(
    ('number', 'name'), [('1', 'a" <2>'), ('1>', ''), ('1', 'back\\slash'), ('1' * 256, ''), ('1', 'ë' * 127)]
)
def test_a_caller_id_that_would_be_read_as_another_is_refused(number, name):
    call, stream = scripted()
    with pytest.raises(CommandRefused):
        call.set_callerid(number, name=name)
    assert stream.sent == []


def test_a_number_that_is_none_stays_a_number():
    call, stream = scripted(b'200 result=1\n')
    call.set_callerid('anonymous')
    assert stream.sent == [b'SET CALLERID "\\"\\" <anonymous>"\n']


def test_set_music():
    call, stream = replay('cmd-music')
    call.set_music()
    call.set_music(False)
    call.set_music(music_class='default')
    call.set_music(False, music_class='default')
    assert stream.sent == [b'SET MUSIC ON\n', b'SET MUSIC OFF\n', b'SET MUSIC ON default\n', b'SET MUSIC OFF\n']


def test_texts_images_and_the_telephone_for_the_deaf():
    call, stream = replay('cmd-text')
    assert call.send_text('hello there')
    assert call.receive_char(0.3) is None
    assert call.receive_text(0.3) is None
    assert call.send_image('nosuch')
    assert not call.tdd_mode('on')
    assert not call.tdd_mode('off')
    assert not call.tdd_mode('mate')
    assert not call.hung_up
    assert stream.sent == [
        b'SEND TEXT "hello there"\n',
        b'RECEIVE CHAR 300\n',
        b'RECEIVE TEXT 300\n',
        b'SEND IMAGE nosuch\n',
        b'TDD MODE ON\n',
        b'TDD MODE OFF\n',
        b'TDD MODE MATE\n',
    ]


def test_what_cannot_be_sent_to_the_caller_is_told():
    call, _ = scripted(b'200 result=-1\n', b'200 result=-1\n', b'200 result=1\n')
    assert not call.send_text('x')
    assert not call.send_image('x')
    assert call.tdd_mode('on')


def test_texts_of_the_caller():
    call, stream = replay('cmd-receive-text')
    assert call.receive_text(timedelta(seconds=3)) == 'hi (you) there'
    assert call.receive_char(3) == 'Q'
    assert stream.sent == [b'RECEIVE TEXT 3000\n', b'RECEIVE CHAR 3000\n']


def test_a_wait_for_text_is_for_ever_only_if_no_time_is_given():
    call, stream = scripted(b'200 result=-1\n', b'200 result=0 (timeout)\n', b'200 result=-61 (hangup)\n')
    call.receive_text()
    assert call.receive_char(0) is None
    assert call.receive_char(0) is None
    assert stream.sent == [b'RECEIVE TEXT 0\n', b'RECEIVE CHAR 1\n', b'RECEIVE CHAR 1\n']


# Sounds and keys.


def test_stream_file():
    call, stream = replay('cmd-stream-file')
    assert call.stream_file('beep') == Playback(None, 3520, True)
    assert call.stream_file('beep', offset=4000) == Playback(None, 3520, True)
    assert call.stream_file('no-such-file') == Playback(None, 0, False)
    assert call.stream_file('no-such-file', offset=77) == Playback(None, 77, False)
    assert not call.hung_up
    assert stream.sent[1:3] == [b'STREAM FILE beep "" 4000\n', b'STREAM FILE no-such-file ""\n']


def test_stream_file_is_ended_by_a_digit():
    call, stream = replay('dtmf-stream-file')
    assert call.stream_file('demo-congrats', escape_digits='12') == Playback('2', 7360, True)
    assert call.stream_file('demo-congrats', escape_digits='*#') == Playback('*', 7360, True)
    assert call.stream_file('beep', escape_digits='9') == Playback(None, 3520, True)
    assert stream.sent[0] == b'STREAM FILE demo-congrats 12\n'


def test_control_stream_file():
    call, stream = replay('cmd-control-stream')
    assert call.control_stream_file('beep') == ControlledPlayback(None, None, True)
    assert call.control_stream_file('beep', escape_digits='9', skip=1.0, pause='0', offset=1.0) == ControlledPlayback(
        None, None, True
    )
    assert call.control_stream_file('no-such-file') == ControlledPlayback(None, None, False)
    assert stream.sent == [
        b'CONTROL STREAM FILE beep ""\n',
        b'CONTROL STREAM FILE beep 9 1000 # * 0 1000\n',
        b'CONTROL STREAM FILE no-such-file ""\n',
    ]


def test_control_stream_file_is_ended_by_a_digit():
    call, stream = replay('dtmf-control-stream')
    playback = call.control_stream_file('demo-congrats', escape_digits='9', skip=1.0, pause='0')
    assert playback == ControlledPlayback('9', 2.08, True)
    assert stream.sent == [b'CONTROL STREAM FILE demo-congrats 9 1000 # * 0\n']


def test_wait_for_digit():
    call, stream = replay('dtmf-wait-for-digit')
    assert [call.wait_for_digit(3), call.wait_for_digit(3.0), call.wait_for_digit()] == ['5', '*', '#']
    assert [call.wait_for_digit(timedelta(seconds=3)), call.wait_for_digit(3)] == ['A', '0']
    assert call.wait_for_digit(0.3) is None
    assert call.wait_for_digit(0) is None
    assert stream.sent[2:4] == [b'WAIT FOR DIGIT -1\n', b'WAIT FOR DIGIT 3000\n']
    assert stream.sent[-1] == b'WAIT FOR DIGIT 0\n'


def test_a_hangup_during_wait_for_digit():
    call, _ = replay('hangup-during-digit')
    with pytest.raises(Hangup):
        call.wait_for_digit(5)
    call.noop()


def test_get_option():
    call, stream = replay('cmd-get-option')
    assert call.get_option('beep', '12', timeout=0.5) == Playback(None, 3520, True)
    assert call.get_option('no-such-file', '12', timeout=0.5) == Playback(None, 0, False)
    assert stream.sent == [b'GET OPTION beep 12 500\n', b'GET OPTION no-such-file 12 500\n']


def test_get_option_takes_the_first_digit():
    call, _ = replay('dtmf-get-option')
    assert call.get_option('demo-congrats', '12', timeout=1) == Playback('2', 7360, True)
    assert call.get_option('beep', '12', timeout=2) == Playback('1', 3520, True)
    assert call.get_option('beep', '12', timeout=2) == Playback(None, 3520, True)


def test_get_option_without_a_time():
    call, stream = scripted(b'200 result=0 endpos=3520\n')
    call.get_option('beep', '1')
    assert stream.sent == [b'GET OPTION beep 1\n']


def test_get_data():
    call, stream = replay('dtmf-get-data')
    entered = [call.get_data('beep', timeout=3, max_digits=4) for _ in range(2)]
    entered.append(call.get_data('beep', timeout=1, max_digits=4))
    entered.extend(call.get_data('beep', timeout=3, max_digits=4) for _ in range(2))
    assert entered == [
        Digits('1234', timed_out=False, played=True),
        Digits('12', timed_out=False, played=True),
        Digits('12', timed_out=True, played=True),
        Digits('', timed_out=False, played=True),
        Digits('1*2A', timed_out=False, played=True),
    ]
    assert call.get_data('demo-congrats', timeout=1.5).digits == '31415926'
    assert stream.sent[0] == b'GET DATA beep 3000 4\n'
    assert stream.sent[-1] == b'GET DATA demo-congrats 1500\n'


def test_get_data_without_a_digit_or_without_a_prompt():
    call, stream = replay('cmd-get-data-timeout')
    assert call.get_data('beep', timeout=0.5) == Digits('', timed_out=True, played=True)
    assert call.get_data('no-such-file', timeout=0.5, max_digits=3) == Digits('', timed_out=False, played=False)
    assert call.get_data('', timeout=0.5, max_digits=3) == Digits('', timed_out=True, played=True)
    assert stream.sent[-1] == b'GET DATA "" 500 3\n'


def test_get_data_without_a_time_leaves_it_to_asterisk():
    call, stream = scripted(b'200 result=7\n', b'200 result=7\n', b'200 result= (timeout)\n')
    call.get_data('beep')
    call.get_data('beep', max_digits=1)
    call.get_data('beep', timeout=0)
    assert stream.sent == [b'GET DATA beep\n', b'GET DATA beep 0 1\n', b'GET DATA beep 1\n']


@pytest.mark.parametrize('count', [0, -1, 1024])
def test_more_digits_than_asterisk_has_room_for_are_refused(count):
    call, stream = scripted()
    with pytest.raises(CommandRefused, match='1 to 1023'):
        call.get_data('beep', max_digits=count)
    assert stream.sent == []


def test_digits_are_shown_nowhere(caplog):
    caplog.set_level('DEBUG')
    call, _ = scripted(b'200 result=4711\n', b'520 Invalid command syntax.  Proper usage not available.\n')
    digits = call.get_data('enter-pin')
    with pytest.raises(CommandFailed) as failed:
        call.say_digits('x' + digits.digits)
    assert '4711' not in caplog.text + repr(digits) + str(failed.value)


@pytest.mark.parametrize(
    'command',
    [
        lambda call, digits: call.stream_file('beep', escape_digits=digits),
        lambda call, digits: call.control_stream_file('beep', escape_digits=digits),
        lambda call, digits: call.control_stream_file('beep', forward=digits),
        lambda call, digits: call.control_stream_file('beep', rewind=digits),
        lambda call, digits: call.control_stream_file('beep', pause=digits),
        lambda call, digits: call.get_option('beep', digits),
        lambda call, digits: call.record_file('x', 'wav', escape_digits=digits),
        lambda call, digits: call.say_number(1, escape_digits=digits),
        lambda call, digits: call.say_digits(1, escape_digits=digits),
        lambda call, digits: call.say_alpha('a', escape_digits=digits),
        lambda call, digits: call.say_phonetic('a', escape_digits=digits),
        lambda call, digits: call.say_date(0, escape_digits=digits),
        lambda call, digits: call.say_time(0, escape_digits=digits),
        lambda call, digits: call.say_datetime(0, escape_digits=digits),
    ],
)
def test_an_escape_digit_is_a_key_of_a_telephone(command):
    call, stream = scripted(b'200 result=0 (timeout) endpos=0\n')
    for digits in ('x', '1 2', 'a', '12,3'):
        with pytest.raises(CommandRefused, match='not a key'):
            command(call, digits)
    assert stream.sent == []
    command(call, '0123456789*#ABCD')


# Recording.


def test_record_file():
    call, stream = replay('cmd-record-file')
    by_time = Recording(RecordingEnd.TIMEOUT, None, 4000, 0.0)
    unwritten = Recording(RecordingEnd.WRITEFILE, None, 0, 0.0)
    assert call.record_file('rec1', 'wav', escape_digits='#', timeout=0.5) == by_time
    assert call.record_file('rec1', 'wav', escape_digits='#', timeout=0.5, beep=True) == by_time
    assert call.record_file('rec1', 'wav', escape_digits='#', timeout=0.5, offset=2000).endpos == 6000
    assert call.record_file('rec2', 'nosuch', escape_digits='#', timeout=0.5) == unwritten
    assert call.record_file('/nodir/x', 'wav', escape_digits='#', timeout=0.5) == unwritten
    assert stream.sent == [
        b'RECORD FILE rec1 wav # 500\n',
        b'RECORD FILE rec1 wav # 500 0 beep\n',
        b'RECORD FILE rec1 wav # 500 2000\n',
        b'RECORD FILE rec2 nosuch # 500\n',
        b'RECORD FILE /nodir/x wav # 500\n',
    ]


def test_record_file_is_ended_by_a_digit_by_silence_and_by_the_hangup_which_the_next_command_tells():
    call, stream = replay('cmd-record-dtmf')
    by_digit = call.record_file('rec3', 'wav', escape_digits='5#', timeout=8)
    by_silence = call.record_file('rec3', 'wav', escape_digits='#', timeout=8, silence=1)
    by_hangup = call.record_file('rec3', 'wav', escape_digits='#', timeout=8)
    assert by_digit == Recording(RecordingEnd.DTMF, '5', 3680, 0.0)
    assert by_silence == Recording(RecordingEnd.TIMEOUT, None, 8160, 7.002)
    assert by_hangup == Recording(RecordingEnd.HANGUP, None, 8000, 0.0)
    with pytest.raises(Hangup):
        call.noop()
    assert stream.sent[1] == b'RECORD FILE rec3 wav # 8000 0 s=1\n'


def test_all_options_of_a_recording():
    call, stream = scripted(b'200 result=99990 (timeout) endpos=9\n')
    recording = call.record_file('x', 'gsm', offset=5, beep=True, silence=timedelta(seconds=1.5))
    assert recording == Recording(RecordingEnd.TIMEOUT, None, 9, 0.0)
    assert stream.sent == [b'RECORD FILE x gsm "" -1 5 beep s=2\n']


def test_a_recording_that_never_began():
    call, _ = scripted(b'200 result=53 (randomerror) endpos=0\n', b'200 result=-1 (waitfor) endpos=80\n')
    assert call.record_file('x', 'wav') == Recording(RecordingEnd.RANDOMERROR, '5', 0, 0.0)
    assert call.record_file('x', 'wav') == Recording(RecordingEnd.WAITFOR, None, 80, 0.0)


def test_a_recording_is_not_begun_on_a_dead_channel():
    call, stream = scripted(b'200 result=1\nHANGUP\n')
    call.hangup()
    with pytest.raises(Hangup):
        call.record_file('x', 'wav')
    assert stream.sent == [b'HANGUP\n']


def test_a_refused_recording_fails_and_an_unknown_ending_is_an_error():
    call, _ = scripted(b'520 Invalid command syntax.\n', b'200 result=-1 (eclipse)\n', b'200 result=-1\n')
    with pytest.raises(CommandFailed, match='520'):
        call.record_file('x', 'wav')
    for _ in range(2):
        with pytest.raises(ProtocolError, match='ends no recording'):
            call.record_file('x', 'wav')


# Saying.


def test_say_number():
    call, stream = replay('cmd-say-number')
    assert call.say_number(123) is None
    assert call.say_number(-5, escape_digits='0123456789*#') is None
    assert call.say_number(7, gender='f') is None
    with pytest.raises(CommandRefused, match='too large'):
        call.say_number(99999999999)
    assert stream.sent == [b'SAY NUMBER 123 ""\n', b'SAY NUMBER -5 0123456789*#\n', b'SAY NUMBER 7 "" f\n']


def test_what_is_said_is_ended_by_a_digit():
    call, stream = replay('dtmf-say')
    assert call.say_number(1234567, escape_digits='0123456789') == '3'
    assert call.say_digits(1234567, escape_digits='#') == '#'
    assert call.say_alpha('abcdefgh', escape_digits='*') == '*'
    assert call.say_datetime(0, escape_digits='7') == '7'
    assert call.say_phonetic('abcdef', escape_digits='1') == '1'
    assert stream.sent == [
        b'SAY NUMBER 1234567 0123456789\n',
        b'SAY DIGITS 1234567 #\n',
        b'SAY ALPHA abcdefgh *\n',
        b'SAY DATETIME 0 7\n',
        b'SAY PHONETIC abcdef 1\n',
    ]


def test_what_else_is_said():
    call, stream = replay('cmd-say-other')
    assert call.say_digits('12*') is None
    with pytest.raises(CommandFailed, match='520'):
        call.say_digits('x')
    assert call.say_alpha('a1') is None
    assert call.say_alpha('aB', case='all') is None
    assert call.say_phonetic('ab') is None
    assert call.say_date(0) is None
    assert call.say_time(datetime(1970, 1, 1, tzinfo=UTC)) is None
    assert call.say_datetime(0) is None
    assert call.say_datetime(0, pattern='Y') is None
    assert call.say_datetime(0, pattern='IMp', timezone='America/New_York') is None
    assert stream.sent == [
        b'SAY DIGITS 12* ""\n',
        b'SAY DIGITS x ""\n',
        b'SAY ALPHA a1 ""\n',
        b'SAY ALPHA aB "" A\n',
        b'SAY PHONETIC ab ""\n',
        b'SAY DATE 0 ""\n',
        b'SAY TIME 0 ""\n',
        b'SAY DATETIME 0 ""\n',
        b'SAY DATETIME 0 "" Y\n',
        b'SAY DATETIME 0 "" IMp America/New_York\n',
    ]


def test_a_moment_that_asterisk_would_mistake_is_refused():
    call, stream = scripted()
    with pytest.raises(CommandRefused, match='no time zone'):
        call.say_date(datetime(2026, 1, 1))  # noqa: DTZ001 that is what is refused
    with pytest.raises(CommandRefused, match='too large'):
        call.say_time(datetime(2039, 1, 1, tzinfo=UTC))
    for moment in (math.nan, math.inf, 2**63):
        with pytest.raises(CommandRefused, match='is not a moment'):
            call.say_datetime(moment)
    with pytest.raises(CommandRefused, match='give both'):
        call.say_datetime(0, timezone='UTC')
    assert stream.sent == []


@pytest.mark.parametrize('time', [-1, math.nan, math.inf, timedelta(days=-1), timedelta(days=999)])
def test_what_is_no_time_is_refused(time):
    call, stream = scripted()
    with pytest.raises(CommandRefused, match='not a time'):
        call.wait_for_digit(time)
    assert stream.sent == []


def test_a_number_that_asterisk_would_mistake_is_refused():
    call, stream = scripted()
    with pytest.raises(CommandRefused, match='not a place in a sound file'):
        call.stream_file('hello', offset=-1)
    with pytest.raises(CommandRefused, match='not a place in a sound file'):
        call.record_file('x', 'gsm', offset=-1)
    with pytest.raises(CommandRefused, match='too large'):
        call.speech_recognize('hello', offset=2**31)
    with pytest.raises(CommandRefused, match='too large'):
        call.verbose('hello', level=2**31)
    assert stream.sent == []


# The dialplan.


def test_variables():
    call, stream = replay('cmd-variables')
    assert call.get_variable('nosuch') is None
    call.set_variable('e', '')
    assert call.get_variable('e') == ''
    call.set_variable('q', 'say "hi" \\ there')
    assert call.get_variable('q') == 'say "hi" \\ there'
    assert call.get_full_variable('a') == 'hello'
    assert call.get_full_variable('nosuch') == ''
    assert call.get_full_variable('CHANNEL', channel='No/such') is None
    assert call.get_full_variable('CALLERID(num)') == '4711'
    assert stream.sent[4:8] == [
        b'GET VARIABLE q\n',
        b'GET FULL VARIABLE ${a}\n',
        b'GET FULL VARIABLE ${nosuch}\n',
        b'GET FULL VARIABLE ${CHANNEL} No/such\n',
    ]


def test_evaluate():
    call, stream = replay('cmd-variables')
    assert call.evaluate('a') == 'a'
    assert call.evaluate('${a}-${nosuch}-${EXTEN}') == 'hello--31415'
    assert call.evaluate('$[1+2]') == '3'
    assert stream.sent[0] == b'GET FULL VARIABLE a\n'


def test_an_expression_in_place_of_a_name_is_refused():
    call, stream = scripted()
    for name in ('${EXTEN}', 'EXTEN}${SHELL(date)', 'EXTEN}$[1 + 1'):
        with pytest.raises(CommandRefused, match='bare name'):
            call.get_full_variable(name)
    assert stream.sent == []


def test_a_long_value_comes_whole():
    call, stream = replay('cmd-variable-long')
    call.set_variable('v', 'a' * 1000)
    assert call.get_variable('v') == 'a' * 1000
    call.set_variable('v', 'c' * 5000)
    assert call.get_variable('v') == 'c' * 5000
    assert stream.sent[-2:] == [b'GET VARIABLE v\n', b'GET FULL VARIABLE ${v}\n']


def test_a_function_is_asked_once_though_its_value_is_cut():
    call, stream = scripted(b'200 result=1 (' + b'x' * 1023 + b')\n')
    assert call.get_variable('SHELL(date)') == 'x' * 1023
    assert stream.sent == [b'GET VARIABLE SHELL(date)\n']


def test_a_value_of_few_bytes_in_many_is_not_read_twice():
    call, stream = scripted('200 result=1 ({})\n'.format('ë' * 500).encode())
    assert call.get_variable('v') == 'ë' * 500
    assert len(stream.sent) == 1


def test_the_database():
    call, stream = replay('cmd-database')
    assert call.database_get('fam', 'key') is None
    call.database_put('fam', 'key', 'a value')
    assert call.database_get('fam', 'key') == 'a value'
    assert call.database_del('fam', 'key')
    assert call.database_del('fam', 'key')
    assert call.database_deltree('fam', 'sub')
    assert call.database_deltree('fam')
    assert not call.database_deltree('fam')
    assert stream.sent == [
        b'DATABASE GET fam key\n',
        b'DATABASE PUT fam key "a value"\n',
        b'DATABASE GET fam key\n',
        b'DATABASE DEL fam key\n',
        b'DATABASE DEL fam key\n',
        b'DATABASE DELTREE fam sub\n',
        b'DATABASE DELTREE fam\n',
        b'DATABASE DELTREE fam\n',
    ]


@pytest.mark.parametrize('names', [('',), ('', 'tree'), ('fam', ''), ('%',), ('fam', 'a%')])
def test_no_name_removes_more_than_it_names(names):
    call, stream = scripted()
    with pytest.raises(CommandRefused, match='more than it names'):
        call.database_deltree(*names)
    assert stream.sent == []


def test_a_value_that_was_not_stored_is_an_error():
    call, _ = scripted(b'200 result=0\n', b'200 result=0\n')
    with pytest.raises(CommandFailed, match='did not store the value of fam/key'):
        call.database_put('fam', 'key', '4711')
    assert not call.database_del('fam', 'key')


def test_exec():
    call, stream = replay('cmd-exec')
    assert call.exec('NoOp') == 0
    assert call.exec('NoOp', 'x') == 0
    with pytest.raises(CommandFailed, match="no application 'NoSuchApp'"):
        call.exec('NoSuchApp', 'x')
    assert call.exec('Playback', 'no-such-file') == 0
    assert call.exec('Goto', 'nowhere', 's', 1) == 0
    assert call.exec('Return') == -1
    assert call.exec('Read', 'd', 'beep', 1, '', 1, 1) == 0
    assert not call.hung_up
    assert stream.sent[-3:] == [b'EXEC Goto nowhere,s,1\n', b'EXEC Return\n', b'EXEC Read d,beep,1,,1,1\n']


def test_a_result_that_is_no_number_is_an_error():
    call, _ = scripted(b'200 result=\n')
    with pytest.raises(ProtocolError, match='not a number'):
        call.exec('NoOp')


def test_exec_gives_the_key_that_ended_an_application():
    call, _ = replay('cmd-exec-background')
    assert chr(call.exec('Background', 'demo-congrats')) == '5'


def test_exec_runs_on_a_dead_channel():
    call, stream = replay('cmd-exec-hangup')
    assert call.exec('Dial', 'PJSIP/nobody@nowhere') == 0
    with pytest.raises(Hangup):
        call.exec('Hangup')
    assert call.exec('Hangup') == -1
    assert stream.sent == [b'EXEC Dial PJSIP/nobody@nowhere\n', b'EXEC Hangup\n', b'EXEC Hangup\n']


def test_a_callers_text_does_not_become_a_second_leg_or_an_expression():
    call, stream = scripted(b'200 result=0\n')
    for text in ('100&PJSIP/0900', '${SHELL(halt)}', '$[1+1]'):
        with pytest.raises(CommandRefused):
            call.exec('Dial', f'PJSIP/{text}', 20)
    call.exec('Dial', ['PJSIP/100', 'PJSIP/2,0'], 20)
    assert stream.sent == [b'EXEC Dial "PJSIP/100&PJSIP/2\\\\,0,20"\n']


def test_gosub():
    call, stream = replay('cmd-gosub')
    call.gosub('sub', 's', 1)
    call.gosub('sub', 's', 1, 'one', 'two')
    assert call.get_variable('GOSUB_RETVAL') == 'came-back-one'
    with pytest.raises(CommandFailed, match="subroutine nosuch,s,1: 'Gosub label not found'"):
        call.gosub('nosuch', 's', 1)
    assert stream.sent == [
        b'GOSUB sub s 1\n',
        b'GOSUB sub s 1 one,two\n',
        b'GET VARIABLE GOSUB_RETVAL\n',
        b'GOSUB nosuch s 1\n',
    ]


@pytest.mark.parametrize('argument', ['a,b', 'a)', 'say "hi"', 'a\\', '${X}'])
def test_an_argument_that_a_subroutine_would_get_as_another_is_refused(argument):
    call, stream = scripted()
    with pytest.raises(CommandRefused):
        call.gosub('sub', 's', 1, argument)
    assert stream.sent == []


def test_the_dialplan_goes_on_where_it_is_told_to():
    call, stream = replay('cmd-continue-at')
    call.continue_at('capy', 'other')
    with pytest.raises(CommandRefused):
        call.continue_at('default', 'other', 'no\nlabel')
    assert stream.sent == [b'SET CONTEXT capy\n', b'SET EXTENSION other\n', b'SET PRIORITY 1\n']


def test_a_priority_may_be_a_label_but_no_missing_one():
    call, stream = replay('cmd-continue-priority')
    with pytest.raises(CommandFailed, match='520'):
        call.set_priority('nolabel')
    call.set_priority('lbl')
    assert stream.sent == [b'SET PRIORITY nolabel\n', b'SET PRIORITY lbl\n']


# Speech.


def test_without_a_speech_engine_every_command_fails():
    call, stream = replay('cmd-speech')
    for command, *arguments in (
        (call.speech_create, 'nosuch'),
        (call.speech_create,),
        (call.speech_set, 'a', 'b'),
        (partial(call.speech_recognize, timeout=500), 'beep'),
        (call.speech_load_grammar, 'g', 'p'),
        (call.speech_activate_grammar, 'g'),
        (call.speech_deactivate_grammar, 'g'),
        (call.speech_unload_grammar, 'g'),
        (call.speech_destroy,),
    ):
        with pytest.raises(CommandFailed):
            command(*arguments)
    assert stream.sent == [
        b'SPEECH CREATE nosuch\n',
        b'SPEECH CREATE ""\n',
        b'SPEECH SET a b\n',
        b'SPEECH RECOGNIZE beep 500\n',
        b'SPEECH LOAD GRAMMAR g p\n',
        b'SPEECH ACTIVATE GRAMMAR g\n',
        b'SPEECH DEACTIVATE GRAMMAR g\n',
        b'SPEECH UNLOAD GRAMMAR g\n',
        b'SPEECH DESTROY\n',
    ]


def test_speech_is_recognized():
    heard = b'results=2 score0=900 text0="call (me) now" grammar0=orders score1=-3 text1="ca"ll" grammar1=b'
    call, stream = scripted(
        b'200 result=1\n',
        b'200 result=1 (speech) endpos=1600 ' + heard + b'\n',
        b'200 result=1 (speech) endpos=0 results=0 \n',
        b'200 result=1 (digit) digit=# endpos=800\n',
        b'200 result=1 (timeout) endpos=0\n',
    )
    call.speech_create()
    assert call.speech_recognize('beep', timeout=2.5, offset=80) == Recognition(
        RecognitionEnd.SPEECH,
        None,
        1600,
        (Utterance('call (me) now', 900, 'orders'), Utterance('ca"ll', -3, 'b')),
    )
    assert call.speech_recognize('beep') == Recognition(RecognitionEnd.SPEECH, None, 0, ())
    assert call.speech_recognize('beep') == Recognition(RecognitionEnd.DIGIT, '#', 800, ())
    assert call.speech_recognize('beep', timeout=1) == Recognition(RecognitionEnd.TIMEOUT, None, 0, ())
    assert stream.sent[1:3] == [b'SPEECH RECOGNIZE beep 3 80\n', b'SPEECH RECOGNIZE beep 0\n']


def test_what_was_recognized_is_read_in_one_go_whatever_stands_in_it():
    call, _ = scripted(b'200 result=1 (speech) endpos=0 results=1' + b' score0=9 text0="' * 3800 + b'\n')
    before = process_time()
    assert call.speech_recognize('beep').utterances == ()
    assert process_time() - before < 0.5  # a search from each score on takes seconds


def test_an_unknown_end_of_a_recognition_is_an_error():
    call, _ = scripted(b'200 result=1 (eclipse) endpos=0\n')
    with pytest.raises(ProtocolError, match='ends no speech recognition'):
        call.speech_recognize('beep')


def test_a_subroutine_has_as_long_as_it_is_given():
    for length in (30, timedelta(seconds=30)):
        call, stream = scripted(b'100 result=0 Trying...\n200 result=0 Gosub complete\n')
        call.gosub('subroutines', 'keeps', 1, timeout=length)
        assert 0 < stream.deadlines[0] - monotonic() <= 30


@pytest.mark.parametrize(
    'ask',
    [
        lambda call: call.exec('Wait', 1, timeout=30),
        lambda call: call.get_variable('X', timeout=30),
        lambda call: call.evaluate('${X}', timeout=30),
        lambda call: call.set_variable('X', 'y', timeout=30),
    ],
)
def test_what_may_take_long_has_as_long_as_it_is_given(ask):
    call, stream = scripted(b'200 result=1 (x)\n')
    ask(call)
    assert 0 < stream.deadlines[0] - monotonic() <= 30


@pytest.mark.parametrize(
    ('play', 'reply'),
    [
        (lambda call: call.stream_file('no-such'), b'200 result=-1 endpos=0\n'),
        (lambda call: call.control_stream_file('no-such'), b'200 result=-1 endpos=-1\n'),
        (lambda call: call.get_option('no-such', '1'), b'200 result=-1 endpos=0\n'),
        (lambda call: call.get_data('no-such'), b'200 result=-1\n'),
    ],
)
def test_a_sound_file_that_is_missing_is_logged_by_its_name(play, reply, caplog):
    call, _ = scripted(reply)
    assert not play(call).played
    (record,) = caplog.records
    assert record.levelname == 'WARNING'
    assert "Asterisk could not play 'no-such'" in record.message


@pytest.mark.parametrize(
    ('play', 'reply'),
    [
        (lambda call: call.stream_file('hello'), b'200 result=-1 endpos=6560\n'),
        (lambda call: call.stream_file('hello'), b'200 result=-1 endpos=0\n'),
        (lambda call: call.get_data('hello'), b'200 result=-1\n'),
    ],
)
def test_a_hangup_in_the_middle_of_a_sound_file_is_not_taken_for_a_missing_one(play, reply, caplog):
    stream = Scripted([reply], late=b'HANGUP\n')
    call = Call(Environment({}), stream)
    assert not play(call).played
    assert not caplog.records


# Times.

TIMED = {
    'command': lambda call, time: call.command('NOOP', timeout=time),
    'evaluate': lambda call, time: call.evaluate('${X}', timeout=time),
    'exec': lambda call, time: call.exec('Wait', 1, timeout=time),
    'get_full_variable': lambda call, time: call.get_full_variable('X', timeout=time),
    'get_variable': lambda call, time: call.get_variable('X', timeout=time),
    'set_variable': lambda call, time: call.set_variable('X', 'y', timeout=time),
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


@pytest.mark.parametrize(
    ('give', 'said'),
    [
        (lambda call: call.say_number('5'), "'5' is not a whole number: give an int"),
        (lambda call: call.say_number(5.0), '5.0 is not a whole number'),
        (lambda call: call.say_number(None), 'None is not a whole number'),
        (lambda call: call.say_digits(None), 'None is neither a text nor a number'),
        (lambda call: call.say_digits(b'5'), "b'5' is neither a text nor a number"),
        (lambda call: call.say_alpha(5), '5 is not a text: give a str'),
        (lambda call: call.say_alpha('a', case='title'), "'title' is not a case that Asterisk can say"),
        (lambda call: call.say_date('2038-01-19'), "'2038-01-19' is not a moment: give a datetime"),
        (lambda call: call.say_datetime(date(2038, 1, 19)), 'is not a moment'),
        (lambda call: call.stream_file(None), 'None is not a text: give a str'),
        (lambda call: call.stream_file(b'hello'), "b'hello' is not a text"),
        (lambda call: call.stream_file('hello', escape_digits=5), '5 is not a text of keys'),
        (lambda call: call.stream_file('hello', escape_digits=['5']), "['5'] is not a text of keys"),
        (lambda call: call.stream_file('hello', offset='5'), "'5' is not a whole number"),
        (lambda call: call.control_stream_file('hello', skip='3'), "'3' is not a time: give seconds or a timedelta"),
        (lambda call: call.wait_for_digit('5'), "'5' is not a time"),
        (lambda call: call.wait_for_digit([5]), '[5] is not a time'),
        (lambda call: call.get_data('enter', max_digits='4'), "'4' is not a whole number"),
        (lambda call: call.get_data(None), 'None is not a text'),
        (lambda call: call.record_file('a', None), 'None is not a text'),
        (lambda call: call.record_file('a', 'wav', silence='2'), "'2' is not a time"),
        (lambda call: call.receive_text('5'), "'5' is not a time"),
        (lambda call: call.set_autohangup('5'), "'5' is not a time"),
        (lambda call: call.verbose(5), '5 is not a text'),
        (lambda call: call.verbose('a', level='1'), "'1' is not a whole number"),
        (lambda call: call.hangup(5), '5 is not a text'),
        (lambda call: call.set_callerid(555), '555 is not a text'),
        (lambda call: call.set_callerid('555', name=None), 'None is not a text'),
        (lambda call: call.tdd_mode(True), "True is not a mode of TDD: give 'on', 'off' or 'mate'"),
        (lambda call: call.set_variable('A', ['b']), "['b'] is neither a text nor a number: give a str or an int"),
        (lambda call: call.set_variable('A', None), 'None is neither a text nor a number'),
        (lambda call: call.set_variable(None, 'b'), 'None is not a text'),
        (lambda call: call.get_variable(5), '5 is not a text'),
        (lambda call: call.get_full_variable(None), 'None is not a text'),
        (lambda call: call.database_put('a', 'b', {}), '{} is neither a text nor a number'),
        (lambda call: call.database_deltree(5), '5 is not a text'),
        (lambda call: call.exec('Dial', None), 'None is not an argument of an application'),
        (lambda call: call.exec('Dial', b'PJSIP/1'), "b'PJSIP/1' is not an argument of an application"),
        (lambda call: call.exec('Dial', ['PJSIP/1', None]), 'None is not an argument of an application'),
        (lambda call: call.gosub('a', 's', None), 'None is neither a text nor a number'),
        (lambda call: call.set_priority([1]), '[1] is neither a text nor a number'),
        (lambda call: call.continue_at('a', 's', {}), '{} is neither a text nor a number'),
        (lambda call: call.speech_recognize('a', timeout='5'), "'5' is not a time"),
        (lambda call: call.command(5), '5 is not the name of a command: give a text'),
        (lambda call: call.command(['NOOP']), "['NOOP'] is not the name of a command"),
        (lambda call: call.command('NOOP', timeout='5'), "'5' is not a time"),
        (lambda call: call.wait_for_hangup('5'), "'5' is not a time"),
        (lambda call: ask(call, 'enter', digits='4'), "'4' is not a whole number"),
        (lambda call: ask(call, 'enter', digits=4, attempts='3'), "'3' is not a whole number"),
        (lambda call: menu(call, 'enter', choices=12), '12 are not choices'),
    ],
)
def test_a_wrong_type_is_refused_in_a_sentence_and_nothing_is_sent(give: Callable[[Call], object], said: str) -> None:
    call, asterisk = connect(Channel())
    with pytest.raises(CommandRefused, match=re.escape(said)):
        give(call)
    assert asterisk.lines == []


def test_a_number_is_said_whatever_integer_it_is() -> None:
    call, asterisk = connect(Channel())
    call.say_number(True)
    call.set_variable('PI', 3.5)
    assert asterisk.lines == [b'SAY NUMBER 1 ""', b'SET VARIABLE PI 3.5']
