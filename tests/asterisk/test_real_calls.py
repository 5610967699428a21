"""Real Asterisk, callers who stay to the end: what they hear, and what the dialplan sees."""

import signal
from pathlib import Path

import pytest

from hitcounter.hits import HitCounter
from hitcounter.lines.component import Lines
from hitcounter.state import State, open_database
from tests.support.asterisk.counter import Serve, Server
from tests.support.asterisk.telephony import LOCAL, SIP, Asterisk, spoken

ODD_NAMES = (
    'Zoë 電話',
    'Zo\udceb',  # the byte EB, which is not UTF-8
    'the "Builder" \\',
    'blanks   within',
    'agi_extension: 1',
    "'; $(reboot) ${EXTEN} %s {}",
    'n' * 70,
)


def test_the_first_caller_hears_hello_and_one_and_the_second_hello_and_two(asterisk: Asterisk, server: Server) -> None:
    first = asterisk.call()
    second = asterisk.call()

    assert first.played == ('hello', 'digits/1')
    assert second.played == ('hello', 'digits/2')


def test_the_dialplan_sees_success_and_the_number_and_goes_on(asterisk: Asterisk, server: Server) -> None:
    call = asterisk.call()

    assert call.status == 'SUCCESS'
    assert call.number == '1'
    assert call.went_on


def test_fifty_calls_at_once_hear_fifty_numbers_and_the_next_hears_fifty_one(
    asterisk: Asterisk, server: Server
) -> None:
    callers = [asterisk.dial() for _ in range(50)]

    calls = [caller.ends() for caller in callers]

    assert sorted(int(call.number) for call in calls) == list(range(1, 51))
    assert {call.played for call in calls} == {('hello', *spoken(number)) for number in range(1, 51)}
    assert {call.status for call in calls} == {'SUCCESS'}
    assert asterisk.call().played == ('hello', 'digits/50', 'digits/1')


def test_each_line_counts_its_own_callers(asterisk: Asterisk, server: Server) -> None:
    callers = {line: [asterisk.dial(line), asterisk.dial(line)] for line in ('31415', '31416')}

    numbers = {line: sorted(caller.ends().number for caller in callers[line]) for line in callers}

    assert numbers == {'31415': ['1', '2'], '31416': ['1', '2']}


def test_unless_told_otherwise_the_server_says_hello_number_and_the_number(asterisk: Asterisk, serve: Serve) -> None:
    serve()

    assert asterisk.call().played == ('hello', 'number', 'digits/1')


def test_a_prompt_that_asterisk_does_not_have_is_passed_over(asterisk: Asterisk, serve: Serve) -> None:
    serve('--prompt', 'there-is-no-such-sound')

    call = asterisk.call()

    assert call.played == ('digits/1',)
    assert call.number == '1'
    assert call.went_on  # though with FAILURE, as after any failed command


def test_a_script_that_the_server_does_not_have_fails_and_counts_nothing(asterisk: Asterisk, server: Server) -> None:
    call = asterisk.call('31417')

    assert call.status == 'FAILURE'
    assert call.played == ()
    assert call.went_on
    assert asterisk.call().number == '1'


def test_the_dialplan_may_ask_for_the_script_by_its_name(asterisk: Asterisk, server: Server) -> None:
    call = asterisk.call('31418')

    assert call.played == ('hello', 'digits/1')
    assert call.status == 'SUCCESS'


def test_a_sip_telephone_hears_the_number(asterisk: Asterisk, server: Server) -> None:
    call = asterisk.dial(by=SIP).ends()

    assert call.played == ('hello', 'digits/1')
    assert call.status == 'SUCCESS'


def test_keys_that_the_caller_presses_interrupt_nothing(asterisk: Asterisk, serve: Serve) -> None:
    serve('--prompt', 'queue-thereare')  # 2.3 seconds, the keys come after one

    call = asterisk.dial(then='presses-12#*').ends()

    assert call.played == ('queue-thereare', 'digits/1')
    assert call.status == 'SUCCESS'


@pytest.mark.parametrize('by', [LOCAL, SIP])
def test_a_caller_may_have_a_name_of_any_bytes(asterisk: Asterisk, server: Server, by: str) -> None:
    callers = [asterisk.dial(by=by, name=name) for name in ODD_NAMES]

    calls = [caller.ends() for caller in callers]

    assert {call.status for call in calls} == {'SUCCESS'}
    assert sorted(call.played for call in calls) == [('hello', *spoken(1 + n)) for n in range(len(ODD_NAMES))]


def test_the_name_and_number_of_a_caller_are_stored_as_they_came(asterisk: Asterisk, server: Server) -> None:
    callers = [asterisk.dial(name=name) for name in ODD_NAMES]
    calls = [caller.ends() for caller in callers]
    server.send(signal.SIGTERM)
    server.end()

    with open_database(server.storage) as database, State(database, [HitCounter, Lines]) as state:
        stored = [state[HitCounter].call('31415', int(call.number)).caller for call in calls]

    assert [caller.name for caller in stored] == list(ODD_NAMES)
    assert [caller.caller_id for caller in stored] == [caller.caller_id for caller in callers]


@pytest.mark.parametrize('line', ['31424', '31425', '31426'])
def test_a_caller_who_withholds_number_or_name_is_counted_and_not_stored(
    asterisk: Asterisk, serve: Serve, line: str
) -> None:
    server = serve('--log-level', 'debug')
    caller = asterisk.dial(line, name='Ada Secret')
    assert caller.ends().number == '1'
    server.send(signal.SIGTERM)
    server.end()

    with open_database(server.storage) as database, State(database, [HitCounter, Lines]) as state:
        stored = state[HitCounter].call(line, 1).caller

    assert (stored.caller_id, stored.name, stored.withheld) == (None, None, True)
    assert ' caller=withheld ' in server.log.text()
    assert 'Secret' not in server.log.text()
    assert b'Secret' not in Path(server.storage.removeprefix('file://')).read_bytes()


def test_a_caller_whose_number_is_not_available_is_stored_as_the_dialplan_set_it(
    asterisk: Asterisk, server: Server
) -> None:
    caller = asterisk.dial('31427')
    assert caller.ends().number == '1'
    server.send(signal.SIGTERM)
    server.end()

    with open_database(server.storage) as database, State(database, [HitCounter, Lines]) as state:
        stored = state[HitCounter].call('31427', 1).caller

    assert (stored.caller_id, stored.name, stored.withheld) == (caller.caller_id, 'Ada', False)
