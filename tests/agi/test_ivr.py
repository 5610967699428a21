"""Questions and menus: what the caller hears, what is taken for an answer, and when it ends."""

import logging
from datetime import timedelta

import pytest

from hitcounter.agi import Call, Environment
from hitcounter.agi.ivr import ask, menu
from hitcounter.errors import CommandRefused, Hangup
from hitcounter.testing import Channel, HangUp, HangUpTiming, Missing, Played, Pressed, Waited, connect
from tests.support.fake_stream import Scripted

WORDS = {'no_input': 'nothing-heard', 'invalid': 'try-again'}


def test_digits_are_returned_once_there_are_enough():
    call, asterisk = connect(Channel(digits='12345'))
    assert ask(call, 'enter', digits=4) == '1234'
    assert asterisk.lines == [b'GET DATA enter 5000 4']


def test_fewer_will_do_where_that_is_said_with_the_terminator_or_a_pause():
    call, _ = connect(Channel(digits='12#'))
    assert ask(call, 'enter', digits=4, at_least=2) == '12'
    call, _ = connect(Channel(digits='123'))
    assert ask(call, 'enter', digits=4, at_least=2) == '123'


def test_no_digit_at_all_is_an_answer_where_that_is_said_but_silence_is_none():
    call, _ = connect(Channel(digits='#'))
    assert ask(call, 'enter', digits=4, at_least=0) == ''
    call, _ = connect(Channel())
    assert ask(call, 'enter', digits=4, at_least=0) is None


def test_who_presses_nothing_and_who_errs_are_told_so_before_they_are_asked_again():
    call, asterisk = connect(Channel(keys={3: '12#', 5: '1*34', 7: '9999', 9: '1234'}))
    assert ask(call, 'enter', digits=4, valid=lambda entry: entry != '9999', attempts=5, **WORDS) == '1234'
    assert [heard.name for heard in asterisk.events if isinstance(heard, Played)] == [
        'enter', 'nothing-heard', 'enter', 'try-again', 'enter', 'try-again', 'enter', 'try-again', 'enter',
    ]  # fmt: skip


def test_after_the_last_attempt_nothing_more_is_said():
    call, asterisk = connect(Channel())
    assert ask(call, 'enter', digits=4, attempts=2, **WORDS) is None
    assert asterisk.events == [Played('enter'), Played('nothing-heard'), Played('enter')]


def test_only_digits_come_before_the_validation():
    seen = []
    call, _ = connect(Channel(digits='1*34' + '12A4' + '1234'))
    assert ask(call, 'enter', digits=4, valid=lambda entry: bool(seen.append(entry))) is None
    assert seen == ['1234']


def test_a_prompt_that_asterisk_does_not_have_does_not_keep_it_from_listening():
    for terminator in ('#', ''):
        call, asterisk = connect(Channel(missing=frozenset({'enter'}), digits='12'))
        assert ask(call, 'enter', digits=2, terminator=terminator) == '12'
        assert asterisk.events == [Missing('enter'), Pressed('1'), Pressed('2')]


@pytest.mark.parametrize(('terminator', 'digits'), [('*', '12*'), ('A', '12A'), ('', '12')])
def test_another_terminator_or_none_makes_it_listen_key_by_key(terminator, digits):
    call, asterisk = connect(Channel(digits=digits))
    assert ask(call, 'enter', digits=4, at_least=2, terminator=terminator, timeout=timedelta(seconds=2)) == '12'
    assert asterisk.lines[:2] == [b'STREAM FILE enter 0123456789*#ABCD', b'WAIT FOR DIGIT 2000']
    assert not any(line.startswith(b'GET DATA') for line in asterisk.lines)


def test_key_by_key_it_ends_with_the_last_digit_and_silence_is_silence():
    call, asterisk = connect(Channel(digits='1234'))
    assert ask(call, '', digits=4, terminator='*') == '1234'
    assert asterisk.lines == [b'WAIT FOR DIGIT 5000'] * 4
    call, asterisk = connect(Channel())
    assert ask(call, '', digits=4, terminator='*', attempts=2, no_input='nothing-heard') is None
    assert asterisk.events == [Waited(5), Played('nothing-heard'), Waited(5)]


def test_the_hash_is_no_digit_where_something_else_ends_them():
    call, _ = connect(Channel(digits='1#34' + '1234'))
    assert ask(call, 'enter', digits=4, terminator='') == '1234'


# Menus.


def test_a_menu_returns_the_chosen_key():
    for key in '12*#':
        call, asterisk = connect(Channel(digits=key))
        assert menu(call, 'main-menu', choices='12*#') == key
        assert asterisk.lines == [b'GET DATA main-menu 5000 1']


def test_a_menu_does_not_take_other_keys_or_silence():
    call, asterisk = connect(Channel(keys={1: '9', 5: '#'}))
    assert menu(call, 'main-menu', choices='12', **WORDS) is None
    assert [heard.name for heard in asterisk.events if isinstance(heard, Played)] == [
        'main-menu', 'try-again', 'main-menu', 'nothing-heard', 'main-menu',
    ]  # fmt: skip


# The caller leaves.

QUESTIONS = {
    'ask': lambda call: ask(call, 'enter', digits=4, at_least=0, **WORDS),
    'key by key': lambda call: ask(call, 'enter', digits=4, at_least=0, terminator='*', **WORDS),
    'menu': lambda call: menu(call, 'main-menu', choices='12#', **WORDS),
}


@pytest.mark.parametrize('question', QUESTIONS.values(), ids=QUESTIONS)
@pytest.mark.parametrize('how', [HangUpTiming.DURING, HangUpTiming.CROSSING, HangUpTiming.AFTER])
def test_a_hangup_is_no_silence(question, how):
    call, _ = connect(Channel(hang_up=HangUp(1, how)))
    with pytest.raises(Hangup):
        question(call)


@pytest.mark.parametrize(
    ('replies', 'question'),
    [
        ([b'-1', b'511'], QUESTIONS['ask']),
        ([b'511'], QUESTIONS['menu']),
        ([b'-1', b'-1', b'511'], QUESTIONS['ask']),
        ([b'-1', b'-1', b'511'], QUESTIONS['menu']),
        ([b'0 endpos=0', b'49', b'50', b'-1', b'511'], QUESTIONS['key by key']),
    ],
)
def test_a_hangup_of_which_only_a_failure_has_come_yet_ends_no_entry(replies, question):
    dead = b'511 Command Not Permitted on a dead channel or intercept routine\n'
    stream = Scripted(dead if reply == b'511' else b'200 result=' + reply + b'\n' for reply in replies)
    with pytest.raises(Hangup):
        question(Call(Environment({}), stream))
    assert len(stream.sent) == len(replies)


def test_an_asterisk_that_cannot_listen_is_asked_no_more_often_than_was_said():
    stream = Scripted([b'200 result=-1\n', b'200 result=-1\n', b'200 result=6\n'] * 2)
    assert ask(Call(Environment({}), stream), 'enter', digits=4, attempts=2) is None
    assert len(stream.sent) == 6


# What makes no question.


@pytest.mark.parametrize(
    'options',
    [
        {'digits': 0},
        {'digits': -1},
        {'digits': 4, 'at_least': 5},
        {'digits': 4, 'at_least': -1},
        {'digits': 4, 'attempts': 0},
        {'digits': 4, 'terminator': '5'},
        {'digits': 4, 'terminator': '*#'},
        {'digits': 4, 'timeout': float('inf')},
        {'digits': 1024},
    ],
)
def test_a_question_without_bounds_or_sense_is_not_asked(options):
    call, asterisk = connect(Channel(digits='1234'))
    with pytest.raises(CommandRefused):
        ask(call, 'enter', **options)
    assert asterisk.lines == []


@pytest.mark.parametrize('choices', ['', '1x'])
def test_a_menu_of_keys_that_no_telephone_has_is_not_played(choices):
    call, asterisk = connect(Channel())
    with pytest.raises(CommandRefused, match='keys'):
        menu(call, 'main-menu', choices=choices)
    assert asterisk.lines == []


def test_what_is_pressed_is_in_no_log(caplog):
    caplog.set_level(logging.DEBUG)
    for terminator in '#*':
        call, _ = connect(Channel(unique_id='17.1', digits='271828'))
        assert ask(call, 'enter', digits=6, terminator=terminator) == '271828'
    assert 'GET DATA' in caplog.text
    assert '271828' not in caplog.text
    assert 'answered 50' not in caplog.text
