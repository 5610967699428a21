"""Real Asterisk, and calls that are not served to their end: the dialplan learns of it, and goes to another server."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from hitcounter.errors import CommandFailed
from tests.support.asterisk.counter import Serve
from tests.support.asterisk.session import TakeCall
from tests.support.asterisk.telephony import Asterisk
from tests.support.patience import PATIENCE
from tests.support.places import TREE

HALF_A_MINUTE = 'demo-congrats'
FAILS_OVER = '31440'
DIALS_FOR_LONG, WAITS, SPEAKS_FOR_LONG, SENDS_NOTHING, RECORDS_FOR_LONG = (str(line) for line in range(31441, 31446))

Scripts = Callable[[float], None]


@pytest.fixture
def scripts(asterisk: Asterisk) -> Iterator[Scripts]:
    """Starts a server with the scripts of scripts.py, whose calls may last so many seconds."""
    with ExitStack() as started:
        yield lambda call_timeout: started.enter_context(_scripts(asterisk, call_timeout))


@contextmanager
def _scripts(asterisk: Asterisk, call_timeout: float) -> Iterator[None]:
    root = TREE
    process = subprocess.Popen(
        asterisk.inside(
            'setpriv',
            '--pdeathsig',
            'KILL',
            sys.executable,
            str(TREE / 'tests/support/asterisk/scripts.py'),
            '4575',
            str(call_timeout),
        ),
        cwd=root,
        env={**os.environ, 'PYTHONPATH': str(root)},
    )
    try:
        asterisk.wait_for_server(4575)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize('line', [SPEAKS_FOR_LONG, SENDS_NOTHING, RECORDS_FOR_LONG])
def test_a_call_that_lasts_too_long_has_failed(asterisk: Asterisk, scripts: Scripts, line: str) -> None:
    scripts(1.0)

    call = asterisk.call(line)

    assert call.status == 'FAILURE'
    assert call.went_on


def test_a_command_that_gets_no_answer_in_time_has_failed_once_it_is_over(asterisk: Asterisk, scripts: Scripts) -> None:
    scripts(60.0)

    call = asterisk.call(DIALS_FOR_LONG)

    assert call.status == 'FAILURE'
    assert call.went_on


def test_a_script_that_waits_for_something_else_sees_the_hangup(asterisk: Asterisk, scripts: Scripts) -> None:
    scripts(60.0)
    start = len(asterisk.log)
    caller = asterisk.dial(WAITS)
    asterisk.log.wait(f'/{WAITS}: the script waits', start)

    caller.hang_up()

    call = caller.ends()
    assert call.status == 'HANGUP'
    assert call.number == 'left'


def test_a_redirect_looks_like_a_hangup(asterisk: Asterisk, scripts: Scripts) -> None:
    scripts(60.0)
    start = len(asterisk.log)
    caller = asterisk.dial(WAITS)
    asterisk.log.wait(f'/{WAITS}: the script waits', start)

    asterisk.cli(f'channel redirect {caller.channel} lines,31449,1')

    asterisk.log.wait(f'^ {re.escape(caller.channel)} was redirected')
    assert caller.ends().number == 'left'


def test_a_drain_that_runs_out_is_a_failure(asterisk: Asterisk, serve: Serve) -> None:
    server = serve('--prompt', HALF_A_MINUTE, '--drain', '0.1')
    caller = asterisk.dial()
    caller.hears(HALF_A_MINUTE)

    server.send(signal.SIGTERM)

    assert server.end() == 0
    call = caller.ends()
    assert (call.status, call.number, call.went_on) == ('FAILURE', '1', True)


def test_a_second_signal_is_a_failure(asterisk: Asterisk, serve: Serve) -> None:
    server = serve('--prompt', HALF_A_MINUTE)
    caller = asterisk.dial()
    caller.hears(HALF_A_MINUTE)

    server.send(signal.SIGTERM)
    server.log.wait('stopping')
    server.send(signal.SIGTERM)

    assert server.end() == 0
    call = caller.ends()
    assert (call.status, call.number, call.went_on) == ('FAILURE', '1', True)


def test_a_call_timeout_of_the_server_is_a_failure(asterisk: Asterisk, serve: Serve) -> None:
    serve('--prompt', HALF_A_MINUTE, '--call-timeout', '1.5')

    call = asterisk.call()

    assert (call.status, call.number, call.went_on) == ('FAILURE', '1', True)


def test_a_missing_prompt_is_named_in_the_log_of_the_server(asterisk: Asterisk, serve: Serve) -> None:
    server = serve('--prompt', 'no-such-sound')

    call = asterisk.call()

    assert (call.status, call.number) == ('FAILURE', '1')
    server.log.wait("WARNING .*: Asterisk could not play 'no-such-sound'")


def test_any_caller_id_can_be_spelled_and_not_every_one_said_as_digits(take_call: TakeCall) -> None:
    with take_call() as session:
        session.call.answer()
        assert session.call.say_alpha('alice.7') is None
        with pytest.raises(CommandFailed):
            session.call.say_digits('alice.7')


# The dialplan of docs/operations.md with two servers.


def test_a_call_that_was_counted_goes_to_no_other_server(asterisk: Asterisk, serve: Serve, scripts: Scripts) -> None:
    scripts(60.0)
    serve('--prompt', 'hello')

    call = asterisk.call(FAILS_OVER)

    assert (call.status, call.number) == ('SUCCESS', '1')


def test_nor_does_one_that_failed_after_it_was_counted(asterisk: Asterisk, serve: Serve, scripts: Scripts) -> None:
    scripts(60.0)
    serve('--prompt', 'no-such-sound')

    call = asterisk.call(FAILS_OVER)

    assert (call.status, call.number) == ('FAILURE', '1')


def test_a_call_goes_to_the_second_server_where_there_is_no_first(asterisk: Asterisk, scripts: Scripts) -> None:
    scripts(60.0)

    call = asterisk.call(FAILS_OVER)

    assert (call.status, call.number, call.went_on) == ('SUCCESS', 'second', True)


def test_a_call_goes_to_the_second_server_where_the_first_is_busy(
    asterisk: Asterisk, serve: Serve, scripts: Scripts
) -> None:
    scripts(60.0)
    serve('--prompt', HALF_A_MINUTE, '--max-calls', '1')
    held = asterisk.dial()
    held.hears(HALF_A_MINUTE)

    call = asterisk.call(FAILS_OVER)

    assert (call.status, call.number) == ('SUCCESS', 'second')
    held.hang_up()
    assert held.ends().number == '1'
