"""The commands of the channel."""

from datetime import timedelta

import pytest

from hitcounter.agi import ChannelState
from hitcounter.errors import CommandRefused, Hangup, ProtocolError
from tests.support.recordings import replay
from tests.support.scripted_call import scripted


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
