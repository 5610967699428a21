"""Real Asterisk, and a server that is not there, goes or comes back: the dialplan goes on, the count too."""

import resource
import signal

from hitcounter.hits import APOLOGY
from tests.support.asterisk.counter import Serve, Server
from tests.support.asterisk.telephony import Asterisk

TWO_SECONDS = 'queue-thereare'
HALF_A_MINUTE = 'demo-congrats'


def test_without_a_server_agi_fails_and_the_dialplan_goes_on(asterisk: Asterisk) -> None:
    call = asterisk.call()

    assert call.status == 'FAILURE'
    assert call.went_on
    assert call.number == ''


def test_the_count_goes_on_after_the_server_was_ended_and_started_again(asterisk: Asterisk, server: Server) -> None:
    assert asterisk.call().number == '1'

    server.send(signal.SIGTERM)
    assert server.end() == 0
    server.start()

    assert asterisk.call().number == '2'


def test_the_count_goes_on_after_the_server_was_killed_between_calls(asterisk: Asterisk, server: Server) -> None:
    assert asterisk.call().number == '1'

    server.send(signal.SIGKILL)
    server.end()
    server.start()

    assert asterisk.call().number == '2'


def test_when_the_server_is_killed_in_a_call_the_dialplan_goes_on_and_the_caller_was_counted(
    asterisk: Asterisk, serve: Serve
) -> None:
    server = serve('--prompt', TWO_SECONDS)
    caller = asterisk.dial()
    caller.hears(TWO_SECONDS)

    server.send(signal.SIGKILL)

    server.end()
    call = caller.ends()
    assert call.went_on
    assert call.number == '1'
    assert call.played == (TWO_SECONDS,)
    server.start()
    assert asterisk.call().played == (TWO_SECONDS, 'digits/2')


def test_on_a_full_disk_the_caller_hears_an_apology_and_the_dialplan_learns_of_it(
    asterisk: Asterisk, server: Server
) -> None:
    assert asterisk.call().number == '1'

    # The system now refuses to write to any file, as on a full disk.
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    call = asterisk.call()
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    assert call.played == APOLOGY
    assert call.status == 'FAILURE'
    assert call.number == ''
    assert call.went_on
    assert asterisk.call().number == '2'


def test_who_finds_the_server_full_is_sent_on_in_the_dialplan_and_not_counted(asterisk: Asterisk, serve: Serve) -> None:
    serve('--max-calls', '1', '--prompt', HALF_A_MINUTE)
    first = asterisk.dial()
    first.hears(HALF_A_MINUTE)

    second = asterisk.call()

    assert second.status == 'FAILURE'
    assert second.went_on
    assert second.number == ''
    first.hang_up()
    assert first.ends().number == '1'
    third = asterisk.dial()
    third.hears(HALF_A_MINUTE)
    third.hang_up()
    assert third.ends().number == '2'


def test_a_server_told_to_end_takes_no_call_more_and_lets_the_last_one_end(asterisk: Asterisk, serve: Serve) -> None:
    server = serve('--prompt', TWO_SECONDS)
    caller = asterisk.dial()
    caller.hears(TWO_SECONDS)

    server.send(signal.SIGTERM)

    call = caller.ends()
    assert server.end() == 0
    assert call.played == (TWO_SECONDS, 'digits/1')
    assert call.status == 'SUCCESS'
    assert asterisk.call().status == 'FAILURE'


def test_a_second_signal_ends_the_server_in_the_middle_of_a_call(asterisk: Asterisk, serve: Serve) -> None:
    server = serve('--prompt', HALF_A_MINUTE)
    caller = asterisk.dial()
    caller.hears(HALF_A_MINUTE)

    server.send(signal.SIGTERM)
    server.log.wait('stopping')
    server.send(signal.SIGTERM)

    server.end()
    call = caller.ends()
    assert call.played == (HALF_A_MINUTE,)
    assert call.went_on
