"""The environment block, as text."""

from dataclasses import replace
from pathlib import Path

import pytest

from hitcounter.agi.environment import Environment, Presentation
from hitcounter.agi.pretend import Channel
from hitcounter.errors import ProtocolError

TRANSCRIPTS = Path(__file__).parent.parent / 'transcripts'


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


def test_bytes_that_are_no_utf_8_can_be_sent_back_as_they_came() -> None:
    environment = Environment.parse(b'agi_calleridname: Zo\xeb\n\n')
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


@pytest.mark.parametrize(
    'block',
    [
        b'\n\n',
        b'agi_network: yes\nagi_channel\n\n',
        b'agi_network: yes\nchannel: x\n\n',
        b'agi_network: yes\nagi_network: no\n\n',
        b'agi_network: yes\n\x00\xff\n\n',
        b'agi_uniqueid: 1.1\x1b[2J\n\n',
    ],
)
def test_what_asterisk_does_not_send_is_refused(block: bytes) -> None:
    with pytest.raises(ProtocolError):
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
