"""The commands of the dialplan."""

from datetime import timedelta
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitcounter.errors import CommandFailed, CommandRefused, Hangup, ProtocolError
from hitcounter.testing import Channel, connect
from tests.support.recordings import replay
from tests.support.scripted_call import scripted


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


def test_variables_are_set_by_one_command():
    call, stream = scripted(b'200 result=0\n')
    call.set_variables({'NUMBER': 7, 'LINE': 'wxyz é', 'EMPTY': '', '_TO_GO': '9=9'})
    assert stream.sent == ['EXEC MSet "NUMBER=7,LINE=wxyz é,EMPTY=,_TO_GO=9=9"\n'.encode()]


def test_no_variables_are_set_by_no_command():
    call, stream = scripted()
    call.set_variables({})
    assert stream.sent == []


@pytest.mark.parametrize('odd', [',', '"', '\\', '(', ')', '[', ']', '$'])
def test_a_value_in_which_asterisk_would_read_more_takes_a_command_of_its_own(odd):
    call, stream = scripted(b'200 result=0\n', b'200 result=1\n', b'200 result=1\n')
    call.set_variables({'ODD': f'a{odd}b', 'A': 1, 'CALLERID(name)': 'Ada', 'B': 2})
    assert stream.sent[0] == b'EXEC MSet A=1,B=2\n'
    assert [line.split()[:3] for line in stream.sent[1:]] == [
        [b'SET', b'VARIABLE', b'ODD'],
        [b'SET', b'VARIABLE', b'CALLERID(name)'],
    ]


def test_variables_that_are_too_many_for_one_command_take_several():
    call, stream = scripted(*[b'200 result=0\n'] * 3)
    call.set_variables({f'V{number}': number for number in range(50)})
    assert [line.count(b'=') for line in stream.sent] == [24, 24, 2]


@pytest.mark.parametrize(
    ('values', 'said'),
    [
        ({'A': 'two\nlines', 'B': 1}, 'contains a newline'),
        ({'A': 'x' * 8192, 'B': 1}, 'shorten it'),
        ({'A': 'half \ud800', 'B': 1}, 'half of a character'),
        ({'A': 'a,b' * 4000, 'B': 1}, 'shorten it'),
        ({'A': None, 'B': 1}, 'neither a text nor a number'),
        ({'B': 1, 7: 'x'}, 'not a text'),
        ({'B': 1, 'A\n': 'x'}, 'contains a newline'),
    ],
)
def test_variables_of_which_one_must_not_be_sent_are_refused_before_any_is_set(values, said):
    call, stream = scripted()
    with pytest.raises(CommandRefused, match=said):
        call.set_variables(values)
    assert stream.sent == []


VALUES = st.text(st.sampled_from('ab ,"\\()[]{}$&=;|\'é\t') | st.characters(exclude_characters='\n\r\0', codec='utf-8'))


@given(st.dictionaries(st.from_regex(r'[A-Z]{1,3}[0-9]{0,3}', fullmatch=True), VALUES, max_size=120), st.booleans())
def test_variables_that_are_set_at_once_are_what_they_were_set_to(values, is_expanding):
    expanding = {'AGIEXECFULL': 'yes'} if is_expanding else {}
    call, asterisk = connect(Channel(line_limit=2047, variables=expanding))
    call.set_variables(values)
    assert asterisk.variables == {**expanding, **values}
    assert len(asterisk.lines) <= 1 + len(values)


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


def test_a_subroutine_has_as_long_as_it_is_given():
    for length in (30, timedelta(seconds=30)):
        call, stream = scripted(b'100 result=0 Trying...\n200 result=0 Gosub complete\n')
        call.gosub('subroutines', 'keeps', 1, timeout=length)
        assert 0 < stream.deadlines[0] - monotonic() <= 30
