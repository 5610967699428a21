"""Real Asterisk, and a server that is not there, goes or comes back: the dialplan goes on, the count too."""

import signal

from counter import Serve, Server
from telephony import Asterisk

TWO_SECONDS = 'queue-thereare'


def test_without_a_server_agi_fails_and_the_dialplan_goes_on(asterisk: Asterisk) -> None:
    call = asterisk.call()

    assert call.status == 'FAILURE'
    assert call.went_on
    assert call.number == ''


def test_the_count_goes_on_after_the_server_was_ended_and_started_again(
        asterisk: Asterisk, server: Server) -> None:
    assert asterisk.call().number == '1'

    server.send(signal.SIGTERM)
    assert server.end() == 0
    server.start()

    assert asterisk.call().number == '2'


def test_the_count_goes_on_after_the_server_was_killed_between_calls(
        asterisk: Asterisk, server: Server) -> None:
    assert asterisk.call().number == '1'

    server.send(signal.SIGKILL)
    server.end()
    server.start()

    assert asterisk.call().number == '2'


def test_when_the_server_is_killed_in_a_call_the_dialplan_goes_on_and_the_caller_was_counted(
        asterisk: Asterisk, serve: Serve) -> None:
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


def test_a_server_told_to_end_takes_no_call_more_and_lets_the_last_one_end(
        asterisk: Asterisk, serve: Serve) -> None:
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
    server = serve('--prompt', 'demo-congrats')                 # half a minute
    caller = asterisk.dial()
    caller.hears('demo-congrats')

    server.send(signal.SIGTERM)
    server.log.wait('stopping')
    server.send(signal.SIGTERM)

    server.end()
    call = caller.ends()
    assert call.played == ('demo-congrats',)
    assert call.went_on
