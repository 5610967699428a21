"""Real Asterisk, callers who put newlines into what they say of themselves: nothing of it is ever a line of Asterisk's.

Asterisk decodes `%0A` in a SIP address and passes the newline on, to a server as to a process.
"""

import pytest

from tests.support.asterisk.counter import PROCESS, Server, use_processes
from tests.support.asterisk.telephony import Asterisk

SERVER, NO_SCRIPT = '31418', '31417'
FILTERED, NEWLINE_WITHIN, NEWLINE_AT_THE_END = '31460', '31461', '31462'

FORGED = {
    'ends the value': '2001%0A',
    'ends the block': '2001%0A%0A',
    'a line of nothing': '2001%0Ax',
    'another extension': '2001%0Aagi_extension%3A%2031416',
    'a script': '2001%0Aagi_network_script%3A%20hits',
    'a script of a server': '%0Aagi_network%3A%20yes%0Aagi_network_script%3A%20hits',
    'an argument': '2001%0Aagi_arg_1%3A%20admin',
    'another name': '2001%0Aagi_calleridname%3A%20Bob',
    'a name of a later Asterisk': '2001%0Aagi_later%3A%20x',
    'a reply': '2001%0A%0A200%20result=1',
    'two replies': '2001%0A%0A200%20result=1%0A200%20result=1',
    'a hangup': '2001%0A%0AHANGUP',
}


@pytest.mark.parametrize('forged', FORGED.values(), ids=FORGED.keys())
def test_a_server_refuses_a_caller_id_with_a_newline_and_counts_nothing(
    asterisk: Asterisk, server: Server, forged: str
) -> None:
    call = asterisk.dial_as(forged, SERVER).ends()

    assert (call.status, call.number, call.played, call.went_on) == ('FAILURE', '', (), True)
    server.log.wait(r'rejected .*: .* the value of agi_callerid( or \w+)? contains a newline')
    honest = asterisk.dial_as('2001', SERVER).ends()
    assert (honest.status, honest.number, honest.played) == ('SUCCESS', '1', ('hello', 'digits/1'))


def test_a_caller_chooses_no_script_where_the_dialplan_asks_for_another(asterisk: Asterisk, server: Server) -> None:
    for user in ('2001', FORGED['a script'], FORGED['a script of a server']):
        call = asterisk.dial_as(user, NO_SCRIPT).ends()
        assert (call.status, call.number, call.played) == ('FAILURE', '', ())


@pytest.mark.parametrize('forged', FORGED.values(), ids=FORGED.keys())
def test_a_process_refuses_a_caller_id_with_a_newline_and_counts_nothing(
    asterisk: Asterisk, server: Server, forged: str
) -> None:
    use_processes(asterisk, server.storage, 'hello')

    call = asterisk.dial_as(forged, PROCESS).ends()

    assert (call.status, call.number, call.played, call.went_on) == ('FAILURE', '', (), True)
    honest = asterisk.dial_as('2001', PROCESS).ends()
    assert (honest.status, honest.number, honest.played) == ('SUCCESS', '1', ('hello', 'digits/1'))


@pytest.mark.parametrize('name', ['Bob%0Aagi_arg_1%3A admin', 'agi_arg_1: admin'])
def test_a_display_name_is_a_name_whatever_it_holds(asterisk: Asterisk, server: Server, name: str) -> None:
    call = asterisk.dial_as('2001', SERVER, name).ends()

    assert (call.status, call.number) == ('SUCCESS', '1')


def test_the_filter_of_the_fine_print_leaves_a_caller_id_without_its_newline(
    asterisk: Asterisk, server: Server
) -> None:
    call = asterisk.dial_as('+44%0Aagi_arg_1%3A%20x*%23', FILTERED).ends()

    assert (call.status, call.number) == ('SUCCESS', '1')
    server.log.wait(r': ended after .* line=31460 caller=\+44agiarg1x\*# ')


def test_a_value_of_the_dialplan_that_holds_a_newline_is_refused_and_named(asterisk: Asterisk, server: Server) -> None:
    call = asterisk.call(NEWLINE_WITHIN)

    assert (call.status, call.number, call.played, call.went_on) == ('FAILURE', '', (), True)
    server.log.wait('the line after agi_arg_1 is not agi_arg_2: the value of agi_arg_1 contains a newline')


def test_the_newline_that_ends_the_last_argument_passes(asterisk: Asterisk, server: Server) -> None:
    assert asterisk.call(NEWLINE_AT_THE_END).status == 'SUCCESS'
