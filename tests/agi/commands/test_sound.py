"""The commands that play, listen, record and say."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from hitcounter.agi import Call, ControlledPlayback, Digits, Environment, Playback, Recording, RecordingEnd
from hitcounter.errors import CommandFailed, CommandRefused, Hangup, ProtocolError
from hitcounter.testing import Channel, connect
from tests.support.fake_stream import Scripted
from tests.support.recordings import replay
from tests.support.scripted_call import scripted


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


def test_a_number_is_said_whatever_integer_it_is() -> None:
    call, asterisk = connect(Channel())
    call.say_number(True)
    call.set_variable('PI', 3.5)
    assert asterisk.lines == [b'SAY NUMBER 1 ""', b'SET VARIABLE PI 3.5']
