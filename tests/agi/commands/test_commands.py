"""What holds for all commands."""

import inspect
import re
from collections.abc import Callable
from datetime import date

import pytest

from hitcounter.agi import Call
from hitcounter.agi.commands import ChannelCommands, DialplanCommands, SoundCommands, SpeechCommands
from hitcounter.agi.ivr import ask, menu
from hitcounter.errors import CommandRefused
from hitcounter.simulator.commands import COMMANDS
from hitcounter.testing import Channel, connect

FAMILIES = (ChannelCommands, DialplanCommands, SoundCommands, SpeechCommands)

# What a command is about may be left out, which does not make it an option.
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
    assert methods == {name.lower().replace(' ', '_') for name in COMMANDS} | {
        'evaluate',
        'continue_at',
        'set_variables',
    }


def test_options_are_given_by_name():
    for family in FAMILIES:
        for name, method in inspect.getmembers(family, inspect.isfunction):
            parameters = inspect.signature(method).parameters.values()
            optional = [p for p in parameters if p.default is not p.empty and p.kind is not p.KEYWORD_ONLY]
            names = {p.name for p in optional}
            assert name in ('__init__', 'command') or names <= SUBJECTS.get(name, set()), name


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
