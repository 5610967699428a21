"""The channel of a simulated call, and what surrounds it."""

import pytest

from hitcounter.agi import ChannelState
from hitcounter.simulator import Application, Channel, HangUp, OtherChannel, Ran, SimulatedCall
from hitcounter.simulator.channel import parse_caller_id


def test_a_channel_of_which_nothing_is_told_still_has_a_whole_block():
    block = SimulatedCall(Channel(unique_id='1.2', name='PJSIP/a')).opening()

    assert block.startswith(b'agi_network: yes\nagi_network_script: hits\nagi_request: agi://127.0.0.1/hits\n')
    assert b'agi_callerid: unknown\nagi_calleridname: unknown\nagi_callingpres: 67\n' in block
    assert block.endswith(b'\n\n')


def test_two_channels_have_two_unique_ids():
    assert Channel().unique_id != Channel().unique_id


def test_bytes_that_are_no_utf_8_are_sent_as_they_are():
    name = b'Zo\xeb'.decode(errors='surrogateescape')

    assert b'agi_calleridname: Zo\xeb\n' in SimulatedCall(Channel(caller_name=name)).opening()


@pytest.mark.parametrize(
    ('text', 'name', 'number'),
    [
        ('"Zoë" <+44123>', 'Zoë', '+44123'),
        ('Joe Bloggs <12345>', 'Joe Bloggs', '12345'),
        ('777', '', '777'),
        ('Zoë', 'Zoë', ''),
        ('<5>', '', '5'),
        ('', '', ''),
    ],
)
def test_a_caller_id_has_a_name_and_a_number(text, name, number):
    assert parse_caller_id(text) == (name, number)


# The world around the channel.


@pytest.mark.parametrize(
    ('channel', 'named'),
    [
        (Channel(hang_up=HangUp('SAY NUMBRE')), "'SAY NUMBRE'"),
        (Channel(keys={'Get Data': '1'}), "'Get Data'"),
        (Channel(digits='12x'), "'x'"),
        (Channel(keys={1: '1 2'}), "' '"),
    ],
)
def test_a_plan_that_can_never_come_about_is_an_error(channel, named):
    with pytest.raises(ValueError, match=named):
        SimulatedCall(channel)


def test_a_function_is_given_and_set_as_a_variable_is():
    call = SimulatedCall(Channel(variables={'DEVICE_STATE(PJSIP/a)': 'BUSY'}))

    assert call.receive(b'GET VARIABLE DEVICE_STATE(PJSIP/a)\n') == b'200 result=1 (BUSY)\n'
    assert call.receive(b'SET VARIABLE DEVICE_STATE(PJSIP/a) INUSE\n') == b'200 result=1\n'
    assert call.variables == {'DEVICE_STATE(PJSIP/a)': 'INUSE'}


def test_other_channels_can_be_asked_for_and_hung_up():
    other = OtherChannel(state=ChannelState.RINGING, variables={'LINE': '7'})
    call = SimulatedCall(Channel(others={'PJSIP/a': other, 'Local/b;1': OtherChannel(linked=True)}))

    assert call.receive(b'CHANNEL STATUS PJSIP/a\n') == b'200 result=5\n'
    assert call.receive(b'GET FULL VARIABLE "${CHANNEL} ${LINE}" PJSIP/a\n') == b'200 result=1 (PJSIP/a 7)\n'
    assert call.receive(b'HANGUP PJSIP/a\n') == b'200 result=1\n'
    assert call.receive(b'CHANNEL STATUS PJSIP/a\n') == b'200 result=-1\n'
    assert call.receive(b'HANGUP Local/b;1\n') == b'200 result=1\nHANGUP\n'


def test_an_application_of_the_channel_comes_to_what_was_said_for_its_options_or_its_name():
    busy = Application(variables={'DIALSTATUS': 'BUSY'}, seconds=3)
    applications = {'Dial(PJSIP/a,20)': busy, 'dial': Application(result=5), 'Playback': Application()}
    call = SimulatedCall(Channel(applications=applications))

    assert call.receive(b'EXEC DIAL PJSIP/a,20\n') == b'200 result=0\n'
    assert call.receive(b'GET VARIABLE DIALSTATUS\n') == b'200 result=1 (BUSY)\n'
    assert call.receive(b'EXEC Dial PJSIP/b\n') == b'200 result=5\n'
    assert call.receive(b'EXEC Playback gone\n') == b'200 result=0\n'
    assert call.events == [Ran('DIAL', 'PJSIP/a,20'), Ran('Dial', 'PJSIP/b'), Ran('Playback', 'gone')]


def test_an_application_of_the_channel_fails_by_a_hangup():
    call = SimulatedCall(Channel(applications={'Dial': Application(seconds=3)}, hang_up=HangUp('EXEC', after=1)))

    assert call.receive(b'EXEC Dial PJSIP/a\n') == b'200 result=-1\nHANGUP\n'
    assert call.receive(b'EXEC Dial PJSIP/a\n') == b'200 result=-1\n'


@pytest.mark.parametrize(
    ('expression', 'value'),
    [
        ('${v:2}', 'llo'),
        ('${v:-3:2}', 'll'),
        ('${v:0:-1}', 'hell'),
        ('${v:1:${one}}', 'e'),
        ('${nosuch:1}', ''),
        ('$[${one} + 41]', '42'),
        ('$[7 - 9]$[2*3]', '-26'),
        ('$[${one} = 1]$[1 > 2]$[1 <= 2]$[1 != 1]', '1010'),
        ('$[1 / 2]', '$[1 / 2]'),
    ],
)
def test_expressions_are_read_as_the_dialplan_would(expression, value):
    call = SimulatedCall(Channel(variables={'v': 'hello', 'one': '1'}))

    assert call.receive(f'GET FULL VARIABLE "{expression}"\n'.encode()).decode() == f'200 result=1 ({value})\n'


def test_a_database_is_there_from_the_beginning_and_an_empty_name_removes_all_of_it():
    channel = Channel(database={'fam/key': 'v', 'other/key': 'w'})
    call = SimulatedCall(channel)

    assert call.receive(b'DATABASE GET fam key\n') == b'200 result=1 (v)\n'
    assert call.receive(b'DATABASE DELTREE ""\n') == b'200 result=0\n'
    assert call.database == {}
    assert channel.database == {'fam/key': 'v', 'other/key': 'w'}


def test_a_text_that_never_comes_is_waited_for_until_the_hangup():
    assert SimulatedCall(Channel()).receive(b'RECEIVE CHAR 0\n') == b'200 result=-1 (hangup)\nHANGUP\n'
