"""The environment block, as text."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from hitcounter.agi.protocol.environment import (
    ENVIRONMENT_LIMIT,
    OF_PROCESS,
    OF_SERVER,
    Environment,
    EnvironmentBuffer,
    Presentation,
)
from hitcounter.errors import ProtocolError
from hitcounter.simulator import Channel
from tests.support.places import TRANSCRIPTS
from tests.support.recordings import recordings_in

RECORDED = [path for path in sorted(TRANSCRIPTS.rglob('*.txt')) if recordings_in(path)]


def block_of(transcript: str) -> bytes:
    """The environment that real Asterisk sent in a recorded session."""
    lines = (TRANSCRIPTS / transcript).read_bytes().split(b'\n')
    block, _, _ = b'\n'.join(line[2:] for line in lines if line[:2] == b'< ').partition(b'\n\n')
    return block + b'\n\n'


def test_an_environment_of_asterisk_is_read_whole() -> None:
    environment = Environment.parse(block_of('env-path-query-args.txt'))
    assert environment.script == 'hitcounter?line=1'
    assert environment.arguments == ('arg1', 'arg2')
    assert environment.context == 'default'
    assert environment.extension == '31416'
    assert environment.priority == '1'
    assert environment.language == 'en'
    assert environment.channel.startswith('Local/31416@default')
    assert environment['agi_enhanced'] == '0.0'


def test_what_asterisk_does_not_know_is_none() -> None:
    environment = Environment.parse(block_of('env-uri-slash.txt'))
    assert (environment.caller_id, environment.caller_name) == (None, None)


def test_an_address_without_a_path_asks_for_the_empty_script() -> None:
    assert Environment.parse(block_of('env-uri-slash.txt')).script == ''


def test_values_keep_their_colons_and_blanks() -> None:
    assert Environment.parse(block_of('env-callerid-odd.txt')).caller_name == r'Bob: the "Builder" \\ <x>; #1'
    assert ' lead' in Environment.parse(block_of('env-args-odd.txt')).arguments
    assert Environment.parse(block_of('env-args-odd.txt')).arguments[-1] == ''


def test_bytes_that_are_not_utf_8_can_be_sent_back_as_they_came() -> None:
    environment = Environment.parse(Channel(caller_name='Zo\udceb').environment_block())
    assert environment.caller_name is not None
    assert environment.caller_name.encode('utf-8', 'surrogateescape') == b'Zo\xeb'


def test_an_environment_is_a_mapping_of_asterisks_own_names() -> None:
    environment = Environment.parse(Channel(unique_id='17.1').environment_block())
    assert dict(environment)['agi_uniqueid'] == environment.unique_id == '17.1'
    assert len(environment) == len(list(environment))
    assert 'agi_uniqueid' in repr(environment)
    assert environment == Environment(dict(environment))


def test_it_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        Environment({})['agi_channel'] = 'x'  # type: ignore[index]


# What Asterisk sends is taken, and nothing else: a caller can put a newline into a value.

WHOLE = Channel(
    url='agi://pbx/hits', unique_id='17.1', caller_id='1001', caller_name='Ada', arguments=('one', 'two')
).environment_block()
LINES = WHOLE.removesuffix(b'\n').splitlines(keepends=True)
NAMES = [line.partition(b': ')[0].decode() for line in LINES]
#: What Asterisk writes by itself; a dialplan or a caller may have written the others.
OWN = [
    *('agi_network', 'agi_type', 'agi_version', 'agi_callingpres', 'agi_callingani2', 'agi_callington'),
    *('agi_callingtns', 'agi_priority', 'agi_enhanced', 'agi_threadid'),
]
TEXTS = [name for name in NAMES if name not in OWN]


def with_line(name: str, line: bytes) -> bytes:
    """The whole block but for `line` in place of that of `name`."""
    at = NAMES.index(name)
    return b''.join([*LINES[:at], line, *LINES[at + 1 :], b'\n'])


def after(name: str, *added: bytes) -> bytes:
    """The whole block with lines added to it."""
    return with_line(name, LINES[NAMES.index(name)] + b''.join(line + b'\n' for line in added))


@pytest.mark.parametrize('path', RECORDED, ids=lambda path: str(path.relative_to(TRANSCRIPTS).with_suffix('')))
def test_whatever_a_real_asterisk_once_sent_is_taken_whole(path: Path) -> None:
    for recording in recordings_in(path):
        received = recording.exchanges[0].replies
        environment, rest = Environment.opening(received)
        assert EnvironmentBuffer(OF_SERVER).feed(received)
        assert ''.join(f'{name}: {value}\n' for name, value in environment.items()).encode() + b'\n' + rest == received


def test_the_block_of_a_process_is_taken_too() -> None:
    block = Channel(url='/usr/bin/hitcounter-agi', arguments=('hits',)).environment_block()
    assert EnvironmentBuffer(OF_PROCESS).feed(block)
    assert dict(Environment.parse(block))['agi_request'] == '/usr/bin/hitcounter-agi'
    assert 'agi_network' not in Environment.parse(block)


def test_a_server_and_a_process_each_take_their_own_block_alone() -> None:
    block = Channel(url='/usr/bin/hitcounter-agi').environment_block()
    assert EnvironmentBuffer(OF_SERVER).feed(WHOLE)
    assert EnvironmentBuffer(OF_PROCESS).feed(block)
    with pytest.raises(ProtocolError, match=r"begins with b'agi_request: '"):
        EnvironmentBuffer(OF_PROCESS).feed(WHOLE)
    with pytest.raises(ProtocolError, match=r"begins with b'agi_network: yes\\n'"):
        EnvironmentBuffer(OF_SERVER).feed(block[:1] + b'X')
    with pytest.raises(ProtocolError):
        EnvironmentBuffer(OF_SERVER).feed(block)


@pytest.mark.parametrize('name', NAMES)
def test_a_block_without_one_name_is_refused(name: str) -> None:
    Environment.parse(WHOLE)
    if name in ('agi_network_script', 'agi_arg_2'):  # Asterisk sends these only where there is something to say
        assert name not in Environment.parse(with_line(name, b''))
    else:
        with pytest.raises(ProtocolError):
            Environment.parse(with_line(name, b''))


@pytest.mark.parametrize('name', NAMES)
def test_a_block_with_a_name_twice_or_too_late_is_refused(name: str) -> None:
    line = LINES[NAMES.index(name)]
    Environment.parse(with_line(name, line))
    for wrong in (with_line(name, line * 2), WHOLE.removesuffix(b'\n') + line + b'\n'):
        with pytest.raises(ProtocolError, match=r'^the line after agi_\w+ is not agi_\w+: .* \(unique id 17\.1\)$'):
            Environment.parse(wrong)


@pytest.mark.parametrize('at', range(len(LINES) - 1))
def test_a_block_in_any_other_order_is_refused(at: int) -> None:
    with pytest.raises(ProtocolError):
        Environment.parse(b''.join([*LINES[:at], LINES[at + 1], LINES[at], *LINES[at + 2 :], b'\n']))


@pytest.mark.parametrize('name', TEXTS[:-2])
@pytest.mark.parametrize(
    'rest', [b'x', b': ', b'', b'\n', b'200 result=1', b'HANGUP', b'agi_arg_3: admin', b'agi_network: yes', b'agi_x']
)
def test_a_newline_in_a_value_is_refused_and_the_value_named(name: str, rest: bytes) -> None:
    line = LINES[NAMES.index(name)].rstrip(b'\n')
    assert Environment.parse(with_line(name, line + b' ' + rest.strip() + b'\n'))
    with pytest.raises(ProtocolError, match=rf'^the line after {name} is not agi_\w+: the value of .*{name} contains'):
        Environment.opening(with_line(name, line + b'\n' + rest + b'\n'))


@pytest.mark.parametrize(
    'forged',
    [
        b'agi_calleridname: Ada\nagi_callingpres: 0',
        b'agi_extension: 31416',
        b'agi_network_script: admin',
        b'agi_request: agi://pbx/admin\nagi_network_script: admin',
        b'agi_arg_1: admin',
        b'agi_arg_3: admin',
        b'agi_later: x',
        b'agi_dnid: unknown\nagi_later: x',
    ],
)
def test_a_caller_id_cannot_add_lines_to_the_block(forged: bytes) -> None:
    honest = Channel(caller_id='1001 ' + forged.decode().replace('\n', ' ')).environment_block()
    assert Environment.parse(honest).caller_id == '1001 ' + forged.decode().replace('\n', ' ')
    with pytest.raises(ProtocolError, match=r'the value of .*agi_callerid.* contains a newline'):
        Environment.parse(Channel(caller_id='1001\n' + forged.decode()).environment_block())


def test_the_refusal_shows_no_value_of_the_block() -> None:
    with pytest.raises(ProtocolError) as refused:
        Environment.parse(Channel(caller_id='1001\nAda', caller_name='Ada').environment_block())
    assert '1001' not in str(refused.value)
    assert 'Ada' not in str(refused.value)


@pytest.mark.parametrize('line', [b'agi_arg_0: x', b'agi_arg_2: x', b'agi_arg_01: x', b'agi_arg_: x', b'agi_arg_x: x'])
def test_arguments_are_numbered_from_one_without_a_gap(line: bytes) -> None:
    bare = Channel().environment_block().removesuffix(b'\n')
    assert Environment.parse(bare + b'agi_arg_1: x\n\n').arguments == ('x',)
    with pytest.raises(ProtocolError, match='the line after agi_threadid is not agi_arg_1'):
        Environment.parse(bare + line + b'\n\n')


def test_more_than_nine_arguments_are_taken() -> None:
    arguments = tuple(map(str, range(120)))
    assert Environment.parse(Channel(arguments=arguments).environment_block()).arguments == arguments


def test_the_newline_that_ends_the_last_argument_may_pass() -> None:
    environment, rest = Environment.opening(Channel(arguments=('one', 'two\n')).environment_block())
    assert (environment.arguments, rest) == (('one', 'two'), b'\n')


@pytest.mark.parametrize(
    ('channel', 'said'),
    [
        (Channel(arguments=('one\n', 'two')), 'agi_arg_2 .* the value of agi_arg_1 contains a newline'),
        (Channel(arguments=('one', 'two\n\nx', 'three')), 'agi_arg_3 .* the value of agi_arg_2 contains a newline'),
        (
            Channel(caller_id='1001\n' + WHOLE[WHOLE.index(b'agi_calleridname') :].decode()),
            'agi_calleridname .* the value of agi_callerid or agi_arg_2 contains a newline',
        ),
    ],
)
def test_a_line_of_an_environment_after_its_end_is_refused_with_the_value_that_holds_a_newline(
    channel: Channel, said: str
) -> None:
    with pytest.raises(ProtocolError, match=rf'{said} \(unique id {re.escape(channel.unique_id)}\)'):
        Environment.opening(channel.environment_block())


def test_a_line_after_the_end_that_no_value_explains_is_refused_too() -> None:
    with pytest.raises(ProtocolError, match=r'^agi_arg_1 comes after the end .*: Asterisk does not send such a line'):
        Environment.opening(Channel().environment_block() + b'agi_arg_1: x\n')


@pytest.mark.parametrize('name', OWN)
def test_a_name_of_a_later_asterisk_is_passed_over_where_no_value_is_in_doubt(name: str) -> None:
    later = after(name, b'agi_later: x', b'agi_latest: y: z')
    assert dict(Environment.parse(later)) == dict(Environment.parse(WHOLE))


@pytest.mark.parametrize('name', TEXTS)
def test_a_name_of_a_later_asterisk_is_refused_where_it_may_be_the_end_of_a_value(name: str) -> None:
    with pytest.raises(ProtocolError, match=f'the value of {name} contains a newline'):
        Environment.parse(after(name, b'agi_later: x'))


@pytest.mark.parametrize(
    'line',
    [
        b'agi_network: no',
        b'agi_callingpres: x',
        b'agi_callingpres: ',
        b'agi_priority: 1 ',
        b'agi_enhanced: 2.0',
        b'agi_threadid: -',
        'agi_threadid: \u0661'.encode(),
    ],
)
def test_a_value_that_asterisk_never_has_is_refused(line: bytes) -> None:
    name = line.partition(b':')[0].decode()
    with pytest.raises(ProtocolError, match=f'the value of {name} is not one that Asterisk sends'):
        Environment.parse(with_line(name, line + b'\n'))


@pytest.mark.parametrize(
    ('block', 'said'),
    [
        (b'\n\n', "'' is not the start of an AGI environment"),
        (b'agi_x: 1\n\n', "'agi_x: 1' is not the start of an AGI environment"),
        (b'agi_network: yes\nagi_channel\n\n', 'the line after agi_network is not agi_request'),
        (b'agi_network: yes\nagi_network: no\n\n', 'the line after agi_network is not agi_request'),
        (WHOLE.replace(b'Ada', b'A\0da'), 'contains a NUL'),
        (WHOLE.replace(b'17.1', b'17.1\x1b[2J'), r"'17\.1\\x1b\[2J' is not a unique id"),
    ],
)
def test_what_asterisk_does_not_send_is_refused(block: bytes, said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        Environment.parse(block)


@pytest.mark.parametrize(
    ('value', 'presentation'),
    [
        ('0', Presentation.ALLOWED),
        ('3', Presentation.ALLOWED),
        ('32', Presentation.PROHIBITED),
        ('35', Presentation.PROHIBITED),
        ('163', Presentation.PROHIBITED),
        ('64', Presentation.UNAVAILABLE),
        ('67', Presentation.UNAVAILABLE),
        ('96', Presentation.UNAVAILABLE),
        ('', Presentation.PROHIBITED),
        ('none', Presentation.PROHIBITED),
        ('-1', Presentation.PROHIBITED),
        ('0x20', Presentation.PROHIBITED),
        ('9' * 5000, Presentation.PROHIBITED),
    ],
)
def test_two_bits_say_who_may_see_the_caller(value: str, presentation: Presentation) -> None:
    assert Environment({'agi_callingpres': value}).presentation is presentation


def test_without_a_word_on_presentation_nothing_is_available() -> None:
    assert Environment({}).presentation is Presentation.UNAVAILABLE


def test_real_asterisk_says_that_a_caller_is_withheld_and_who_it_is() -> None:
    environment = Environment.parse(block_of('env-callerid-odd.txt'))
    assert environment.presentation is Presentation.PROHIBITED
    assert environment.caller_id == '100'
    assert Environment.parse(block_of('env-uri-slash.txt')).presentation is Presentation.UNAVAILABLE


def test_a_withheld_caller_is_in_no_printed_environment() -> None:
    secrets = {
        'url': 'agi://127.0.0.1/greet?from=55501',
        'name': 'SIP/55502-0000',
        'caller_id': '55503',
        'caller_name': '55504',
        'rdnis': '55505',
        'account_code': '55506',
        'arguments': ('55507',),
    }
    channel = Channel(presentation=35, unique_id='17.1', **secrets)  # type: ignore[arg-type]
    shown = repr(Environment.parse(channel.environment_block()))
    assert '555' not in shown
    assert "'agi_uniqueid': '17.1'" in shown
    assert repr(Environment.parse(replace(channel, presentation=0).environment_block())).count('555') == 8


def test_an_environment_is_whole_with_its_empty_line() -> None:
    assert [at for at in range(len(WHOLE) + 1) if EnvironmentBuffer(OF_SERVER).feed(WHOLE[:at])] == [len(WHOLE)]


def test_an_environment_may_come_byte_by_byte() -> None:
    buffer = EnvironmentBuffer(OF_SERVER)
    assert [buffer.feed(WHOLE[at : at + 1]) for at in range(len(WHOLE))] == [False] * (len(WHOLE) - 1) + [True]
    assert buffer.take() == (Environment.parse(WHOLE), b'')
    assert len(buffer) == 0


def test_an_environment_has_its_limit_however_much_comes_at_once() -> None:
    longest = OF_PROCESS + b'x' * (ENVIRONMENT_LIMIT - len(OF_PROCESS) - 2) + b'\n\n'
    assert EnvironmentBuffer(OF_PROCESS).feed(longest + b'HANGUP\n')
    with pytest.raises(ProtocolError, match=f'more than {ENVIRONMENT_LIMIT} bytes'):
        EnvironmentBuffer(OF_PROCESS).feed(OF_PROCESS + b'x' + longest[len(OF_PROCESS) :])


def test_an_unfinished_environment_has_the_same_limit() -> None:
    assert not EnvironmentBuffer(OF_PROCESS).feed(OF_PROCESS + b'x' * (ENVIRONMENT_LIMIT - len(OF_PROCESS) - 1))
    with pytest.raises(ProtocolError, match=f'more than {ENVIRONMENT_LIMIT} bytes'):
        EnvironmentBuffer(OF_PROCESS).feed(OF_PROCESS + b'x' * (ENVIRONMENT_LIMIT - len(OF_PROCESS)))
