"""The environment block, as text."""

from pathlib import Path

import pytest

from hitcounter.agi.environment import Environment
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
