"""The commands of the simulator."""

import re

import pytest

from hitcounter.simulator import (
    Answered,
    Channel,
    HungUp,
    Missing,
    Played,
    Recorded,
    SaidDate,
    SaidDateTime,
    SaidDigits,
    SaidLetters,
    SaidNumber,
    SaidPhonetically,
    SaidTime,
    SimulatedCall,
    Waited,
)
from hitcounter.simulator.commands import COMMANDS
from tests.support.places import TRANSCRIPTS


def test_every_command_is_known():
    assert len(COMMANDS) == 47


def test_a_command_with_too_few_arguments_is_answered_with_its_usage():
    for command in COMMANDS.values():
        if command.fewest:
            lines = SimulatedCall(Channel()).receive(command.name.encode() + b'\n').split(b'\n')

            assert lines[0] == b'520-Invalid command syntax.  Proper usage follows:'
            assert lines[1].startswith(b'Usage: ' + command.name.encode())
            assert lines[-2:] == [b'520 End of proper usage.', b'']


def test_a_usage_has_the_lines_that_look_like_a_reply_as_in_the_recording():
    recorded = (TRANSCRIPTS / 'err-usage-all.txt').read_bytes().split(b'\n> ')
    for command in COMMANDS.values():
        for exchange in recorded:
            if exchange.split(b'\n')[0] == command.name.encode() and b'\n< 520-' in exchange:
                looking = re.findall(rb'^.*200 result.*$', exchange.replace(b'\n< ', b'\n'), re.MULTILINE)
                assert [line.encode() for line in command.usage.splitlines() if '200 result' in line] == looking


def test_a_command_with_just_enough_arguments_is_answered():
    for command in COMMANDS.values():
        reply = SimulatedCall(Channel(missing=frozenset())).receive(line_of(command.name, ['1'] * command.fewest))

        assert b'200 result=' in reply, command


def test_what_does_not_run_dead_is_refused_after_the_hangup():
    for command in COMMANDS.values():
        call = SimulatedCall(Channel())
        call.hang_up()

        reply = call.receive(line_of(command.name, ['1'] * command.fewest))

        assert reply.startswith(b'200' if command.runs_dead else b'511'), command


@pytest.mark.parametrize(
    ('command', 'heard'),
    [
        ('ANSWER', Answered()),
        ('STREAM FILE hello ""', Played('hello')),
        ('GET OPTION hello 1', Played('hello')),
        ('CONTROL STREAM FILE hello ""', Played('hello')),
        ('GET DATA hello', Played('hello')),
        ('STREAM FILE gone ""', Missing('gone')),
        ('STREAM FILE hello.gsm ""', Missing('hello.gsm')),
        ('CONTROL STREAM FILE gone ""', Missing('gone')),
        ('GET DATA gone', Missing('gone')),
        ('SAY NUMBER 42 ""', SaidNumber(42)),
        ('SAY NUMBER 3.7 ""', SaidNumber(3)),
        ('SAY NUMBER 99999999999 ""', SaidNumber(1215752191)),
        ('SAY DIGITS 1a2 ""', SaidDigits('12')),
        ('SAY ALPHA ab ""', SaidLetters('ab')),
        ('SAY PHONETIC ab ""', SaidPhonetically('ab')),
        ('SAY DATE 0 ""', SaidDate(0)),
        ('SAY TIME 0 ""', SaidTime(0)),
        ('SAY DATETIME 0 "" Y Europe/Berlin', SaidDateTime(0, 'Y', 'Europe/Berlin')),
        ('WAIT FOR DIGIT 1500', Waited(1.5)),
        ('RECORD FILE mine wav # 1000', Recorded('mine')),
        ('EXEC Wait 2', Waited(2)),
        ('EXEC SayNumber 7', SaidNumber(7)),
        ('EXEC SayDigits 12', SaidDigits('12')),
        ('EXEC Hangup', HungUp()),
        ('HANGUP', HungUp()),
    ],
)
def test_the_caller_hears_each_command(command, heard):
    call = SimulatedCall(Channel(missing=frozenset({'gone'})))

    call.receive(command.encode() + b'\n')

    assert call.events == [heard]


@pytest.mark.parametrize(('offset', 'events'), [(7999, [Played('hello')]), (8000, []), (2**31 - 1, [])])
def test_a_prompt_that_begins_past_its_end_is_not_heard(offset, events):
    call = SimulatedCall(Channel())

    assert call.receive(f'STREAM FILE hello "" {offset}\n'.encode()) == b'200 result=0 endpos=8000\n'
    assert call.events == events


@pytest.mark.parametrize(
    ('commands', 'reply'),
    [
        (['EXEC Playback gone', 'GET VARIABLE PLAYBACKSTATUS'], '200 result=1 (FAILED)'),
        (['EXEC Playback hello&gone,skip', 'GET VARIABLE PLAYBACKSTATUS'], '200 result=1 (SUCCESS)'),
        (['EXEC NoSuchApp x'], '200 result=-2'),
        (['EXEC Return'], '200 result=-1'),
        (['EXEC Set "v=a b"', 'GET VARIABLE v'], '200 result=1 (a b)'),
        (['EXEC SayNumber x'], '200 result=0'),
        (['SET VARIABLE __inherited 1', 'GET VARIABLE inherited'], '200 result=1 (1)'),
        (['SET VARIABLE NOFUNC(x) 1', 'GET VARIABLE NOFUNC(x)'], '200 result=0'),
        (['SET VARIABLE CALLERID(num) 4711', 'GET VARIABLE CALLERID(num)'], '200 result=1 (4711)'),
        (['SET VARIABLE CALLERID(name) Zoë', 'GET VARIABLE CALLERID(all)'], '200 result=1 ("Zoë" <>)'),
        (['SET VARIABLE CALLERID(all) 12', 'GET VARIABLE CALLERID(num)'], '200 result=1 (12)'),
        (['SET CALLERID "Joe <12>"', 'GET VARIABLE CALLERID(all)'], '200 result=1 ("Joe" <12>)'),
        (['GET FULL VARIABLE ${EXTEN}-${nosuch}'], '200 result=1 (31415-)'),
        (['GET FULL VARIABLE ${EXTEN} No/such'], '200 result=0'),
        (['SET CONTEXT other', 'GET VARIABLE CONTEXT'], '200 result=1 (other)'),
        (['SET EXTENSION 42', 'GET VARIABLE EXTEN'], '200 result=1 (42)'),
        (['SET PRIORITY 7', 'GET VARIABLE PRIORITY'], '200 result=1 (7)'),
        (['DATABASE PUT fam/sub key v', 'DATABASE GET fam/sub key'], '200 result=1 (v)'),
        (['DATABASE PUT fam/sub key v', 'DATABASE DELTREE fam'], '200 result=0'),
        (['DATABASE PUT family key v', 'DATABASE DELTREE fam'], '200 result=1'),
        (['DATABASE DEL fam key'], '200 result=1'),
        (['CHANNEL STATUS'], '200 result=4'),
        (['ANSWER', 'CHANNEL STATUS'], '200 result=6'),
        (['CHANNEL STATUS No/such'], '200 result=-1'),
        (['HANGUP No/such'], '200 result=-1'),
        (['RECORD FILE mine nosuch # 1000'], '200 result=-1 (writefile)'),
        (['RECORD FILE mine wav # 500 2000'], '200 result=0 (timeout) endpos=6000'),
        (['RECORD FILE mine wav # 8000 0 s=1'], '200 result=7000 (timeout) endpos=8000'),
        (['RECEIVE CHAR 300'], '200 result=-1 (hangup)'),
        (['RECEIVE TEXT 300'], '200 result=-1'),
        (['GET DATA beep 500 0'], '200 result=-1'),
        (['GOSUB gone s 1'], '200 result=-1 Gosub label not found'),
    ],
)
def test_the_last_of_these_commands_is_answered(commands, reply):
    call = SimulatedCall(Channel(missing=frozenset({'gone'})))

    replies = [call.receive(command.encode() + b'\n') for command in commands]

    assert replies[-1].decode() == reply + '\n'


@pytest.mark.parametrize(
    'command',
    [
        'SAY NUMBER abc ""',
        'SAY DIGITS x ""',
        'SAY ALPHA a "" z',
        'SAY DATE x ""',
        'SAY TIME x ""',
        'SAY DATETIME x ""',
        'STREAM FILE beep "" x',
        'WAIT FOR DIGIT x',
        'RECORD FILE mine wav # x',
        'SET PRIORITY gone',
        'SET AUTOHANGUP x',
        'SET VARIABLE a b c',
    ],
)
def test_arguments_that_make_no_sense_are_answered_with_the_usage(command):
    call = SimulatedCall(Channel(missing=frozenset({'gone'})))

    assert call.receive(command.encode() + b'\n').startswith(b'520-')


def test_gosub_says_that_it_is_trying():
    replies = SimulatedCall(Channel()).receive(b'GOSUB sub s 1\n')

    assert replies == b'100 result=0 Trying...\n200 result=0 Gosub complete\n'


def test_playback_answers_first():
    call = SimulatedCall(Channel())

    call.receive(b'EXEC Playback one&two\n')

    assert call.events == [Answered(), Played('one'), Played('two')]


def line_of(name: str, arguments: list[str]) -> bytes:
    return ' '.join([name, *arguments]).encode() + b'\n'
