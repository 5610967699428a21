"""The test kit: calls in memory and over a connection, and the fixture that users have."""

import configparser
import os
import subprocess
import sys
import time

import pytest

from hitcounter import testing
from hitcounter.agi import script
from hitcounter.errors import CommandRefused, ConnectionLost, Hangup, ScriptError
from hitcounter.testing import (
    Answered,
    CallerHungUp,
    Channel,
    HangUp,
    HangUpTiming,
    HungUp,
    Played,
    connect,
    dial,
    place_call,
    serving,
)
from tests.support.places import TREE


@script('greet')
def greet(call):
    call.answer()
    call.stream_file('hello')
    call.set_variable('GREETED', 'yes')


def test_a_call_in_memory_tells_all_that_happened():
    asterisk = dial(Channel(), greet)
    assert asterisk.events == [Answered(), Played('hello')]
    assert asterisk.lines == [b'ANSWER', b'STREAM FILE hello ""', b'SET VARIABLE GREETED yes']
    assert asterisk.variables['GREETED'] == 'yes'
    assert asterisk.status == 'SUCCESS'


def test_a_call_over_a_connection_is_the_same_call(fastagi):
    address = fastagi([greet])
    over_tcp = place_call(address, Channel(url='agi://pbx/greet'))
    in_memory = dial(Channel(), greet)
    assert over_tcp.events == in_memory.events
    assert over_tcp.lines == in_memory.lines
    assert over_tcp.status == in_memory.status


def test_a_call_in_memory_arrives_when_its_channel_says_or_else_now():
    arrived = []
    dial(Channel(arrived=86400.5), lambda call: arrived.append(call.arrived))
    before = time.time()
    dial(Channel(), lambda call: arrived.append(call.arrived))
    assert arrived[0] == 86400.5
    assert before <= arrived[1] <= time.time()


@pytest.mark.parametrize('how', [HangUpTiming.DURING, HangUpTiming.CROSSING, HangUpTiming.AFTER])
def test_a_caller_who_leaves_ends_the_call_in_memory_and_over_a_connection(fastagi, how):
    channel = Channel(url='agi://pbx/greet', hang_up=HangUp('ANSWER', how))
    for asterisk in (dial(channel, greet), place_call(fastagi([greet]), channel)):
        assert CallerHungUp() in asterisk.events
        assert Played('hello') not in asterisk.events
        assert asterisk.status == 'HANGUP'


def test_a_hangup_after_a_command_is_seen_at_once_and_raised_at_the_next():
    call, _ = connect(Channel(hang_up=HangUp('STREAM FILE', HangUpTiming.AFTER)))
    assert call.stream_file('hello').played
    assert call.hung_up
    with pytest.raises(Hangup):
        call.say_number(1)
    call.set_variable('LEFT', 'early')


def test_a_test_may_hang_up_itself_and_the_next_command_tells():
    call, asterisk = connect(Channel())
    call.answer()
    asterisk.hang_up()
    with pytest.raises(Hangup):
        call.set_variable('LEFT', 'no')
    call.set_variable('LEFT', 'yes')
    assert asterisk.variables == {'LEFT': 'yes'}


def test_a_test_may_let_time_pass_until_asterisk_hangs_up():
    call, asterisk = connect(Channel())
    call.set_autohangup(60)
    asterisk.idle(59)
    call.noop()
    asterisk.idle(1)
    with pytest.raises(Hangup):
        call.noop()
    assert asterisk.events == [HungUp()]


def test_a_script_whose_path_has_parameters_finds_them():
    @script('vote/{line}')
    def vote(call):
        call.set_variable('LINE', call.parameters['line'])

    assert dial(Channel(url='agi://pbx/vote/a%20b'), vote).variables == {'LINE': 'a b'}
    with pytest.raises(ScriptError, match="'agi://pbx/vote' does not ask for"):
        dial(Channel(url='agi://pbx/vote'), vote)
    call, _ = connect(Channel(), parameters={'line': '7'})
    vote(call)
    assert call.get_variable('LINE') == '7'


def test_a_script_that_lacks_arguments_is_told_so_before_the_call():
    with pytest.raises(ScriptError, match='bind'):
        dial(Channel(), script('x')(lambda call, state: None))


def test_the_dead_channel_of_extension_h_takes_few_commands():
    call, asterisk = connect(Channel(dead=True))
    call.set_variable('LEFT', 'long ago')
    with pytest.raises(Hangup):
        call.answer()
    asterisk.close()
    assert (asterisk.events, asterisk.status) == ([], 'SUCCESS')


def test_an_asterisk_of_another_limit_gets_no_longer_lines():
    call, asterisk = connect(Channel(line_limit=2047))
    with pytest.raises(CommandRefused, match='2047'):
        call.set_variable('v', 'x' * 3000)
    assert asterisk.lines == []


def test_an_asterisk_that_vanishes_ends_the_call_without_a_status():
    asterisk = dial(Channel(hang_up=HangUp('STREAM FILE', HangUpTiming.VANISHING)), greet)
    assert asterisk.status is None
    call, _ = connect(Channel(hang_up=HangUp('ANSWER', HangUpTiming.VANISHING)))
    with pytest.raises(ConnectionLost, match='closed'):
        call.answer()


def test_a_channel_that_exits_on_hangup_is_closed():
    call, asterisk = connect(Channel(variables={'AGIEXITONHANGUP': 'yes'}, hang_up=HangUp('ANSWER')))
    with pytest.raises(Hangup):
        call.answer()
    with pytest.raises(ConnectionLost):
        call.set_variable('LEFT', 'early')
    assert asterisk.status == 'HANGUP'


def test_what_a_script_raises_otherwise_is_the_tests_to_see():
    with pytest.raises(ZeroDivisionError):
        dial(Channel(), lambda call: 1 / 0)


def test_asterisks_database_can_be_looked_into():
    asterisk = dial(Channel(), lambda call: call.database_put('seen', '555', 'yes'))
    assert asterisk.database == {'seen/555': 'yes'}


def test_a_value_with_newlines_does_not_get_in_the_way_of_the_next():
    call, _ = connect(Channel(variables={'n': 'one\ntwo)\nthree'}))
    assert call.get_variable('n').startswith('one')
    call.noop()


def test_an_answer_that_never_comes_is_not_waited_for():
    call, asterisk = connect(Channel())
    asterisk.feed(b'NOOP')  # half a line, that the next one completes
    call._stream.send(b'')
    with pytest.raises(ConnectionLost, match='in time'):
        call._receive('NOOP', 0.0)


def test_a_server_for_a_block_is_gone_behind_it():
    with serving([greet]) as address:
        assert place_call(address, Channel(url='agi://pbx/greet')).status == 'SUCCESS'
    with pytest.raises(ConnectionRefusedError):
        place_call(address, Channel())


def test_the_plugin_alone_imports_neither_calls_nor_storage(environment):
    code = (
        'import sys, hitcounter.pytest_plugin\n'
        'print(sorted(name for name in sys.modules if name.startswith(("hitcounter", "ZODB", "click"))))'
    )
    done = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "['hitcounter', 'hitcounter.pytest_plugin']\n"


def test_the_fixture_is_there_in_a_project_that_has_installed_this_one(tmp_path, environment):
    metadata = configparser.ConfigParser()
    metadata.read(TREE / 'setup.cfg')
    installed = tmp_path / 'installed' / 'hitcounter-1.dist-info'
    installed.mkdir(parents=True)
    (installed / 'METADATA').write_text('Metadata-Version: 2.1\nName: hitcounter\nVersion: 1\n')
    (installed / 'entry_points.txt').write_text(f'[pytest11]{metadata["options.entry_points"]["pytest11"]}\n')
    (tmp_path / 'test_mine.py').write_text(
        'from hitcounter.agi import Script\n'
        'from hitcounter.testing import Channel, place_call\n'
        '\n'
        'def test_mine(fastagi):\n'
        '    address = fastagi([Script("mine", lambda call: call.answer())])\n'
        '    assert place_call(address, Channel(url="agi://pbx/mine")).status == "SUCCESS"\n'
    )
    search = os.pathsep.join([environment['PYTHONPATH'], str(installed.parent)])
    done = subprocess.run(
        [sys.executable, '-W', 'error', '-m', 'pytest', '-q', '-p', 'no:cacheprovider', str(tmp_path)],
        env={**environment, 'PYTHONPATH': search},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_callers_hear_can_be_had_from_the_kit():
    from hitcounter.simulator import events

    kinds = {
        name for name, kind in vars(events).items() if isinstance(kind, type) and kind.__module__ == events.__name__
    }
    assert kinds <= set(testing.__all__)
    assert all(hasattr(testing, name) for name in testing.__all__)


def test_a_call_and_its_other_side_are_shown_in_a_line() -> None:
    call, asterisk = connect(Channel(extension='200', unique_id='17.1', caller_id='555'))
    assert repr(call) == "<Call 17.1 to '200'>"
    assert repr(asterisk) == '<SimulatedCall of agi://127.0.0.1/hits: goes on>'
    asterisk.close()
    assert repr(asterisk) == '<SimulatedCall of agi://127.0.0.1/hits: ended with AGISTATUS=SUCCESS>'
