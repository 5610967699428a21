"""Real Asterisk, and two servers on one database, of which the dialplan asks the second where the first one failed."""

import re
import textwrap

from tests.support.asterisk.counter import HALF_A_MINUTE, Server
from tests.support.asterisk.telephony import Asterisk
from tests.support.places import TREE

FAILS_OVER, WITHOUT_RECORDS, NO_FILE = '31447', '31448', '31450'


def test_the_dialplan_of_the_page_is_the_one_that_is_tested() -> None:
    page = (TREE / 'docs' / 'cluster-dialplan.md').read_text('utf-8')
    shown = re.search(r'^    exten => 31415,1,.*\n(?:     same .*\n)+', page, re.MULTILINE)
    assert shown
    here = [('31415', FAILS_OVER), ('192.0.2.1', '127.0.0.1'), ('192.0.2.2', '127.0.0.1:4576')]
    lines = textwrap.dedent(shown[0])
    for there, tested in here:
        lines = lines.replace(there, tested)
    dialplan = re.sub(r' +;.*', '', (TREE / 'tests/asterisk/dialplan.conf').read_text('utf-8'))
    assert lines in dialplan


def test_a_call_is_counted_by_the_second_server_where_the_first_was_killed(
    asterisk: Asterisk, servers: list[Server]
) -> None:
    servers[0].kill()

    calls = [asterisk.call(FAILS_OVER) for _ in range(2)]

    assert [(call.status, call.number) for call in calls] == [('SUCCESS', '1'), ('SUCCESS', '2')]
    assert all(call.went_on for call in calls)


def test_a_call_whose_server_is_killed_once_it_is_counted_is_not_counted_again(
    asterisk: Asterisk, servers: list[Server]
) -> None:
    caller = asterisk.dial(FAILS_OVER)
    caller.hears(HALF_A_MINUTE)

    servers[0].kill()

    call = caller.ends()
    assert (call.status, call.number, call.went_on) == ('SUCCESS', '1', True)  # Asterisk cannot tell a kill from an end
    assert asterisk.call(FAILS_OVER).number == '2'


def test_a_name_without_srv_records_is_a_failure(asterisk: Asterisk) -> None:
    call = asterisk.call(WITHOUT_RECORDS)

    assert (call.status, call.number, call.went_on) == ('FAILURE', '', True)


def test_a_program_that_does_not_exist_is_not_found(asterisk: Asterisk) -> None:
    call = asterisk.call(NO_FILE)

    assert (call.status, call.number, call.went_on) == ('NOTFOUND', '', True)
