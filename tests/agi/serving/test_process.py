"""A call over a pair of streams, as a process of its own has them."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hitcounter.agi import Call, Script
from hitcounter.agi.serving import process
from hitcounter.agi.serving.process import run
from hitcounter.agi.stream import StdioStream
from hitcounter.errors import ScriptError
from hitcounter.simulator import Channel, SaidNumber, SimulatedCall

#: Seconds by which the system may place the start of a process too early: it counts in these.
CLOCK_TICK = 1 / os.sysconf('SC_CLK_TCK')


@pytest.fixture
def pipes() -> Iterator[tuple[StdioStream, int, int]]:
    """A stream over pipes, and the ends at which Asterisk reads and writes."""
    incoming, to_it = os.pipe()
    from_it, outgoing = os.pipe()
    with closing(StdioStream(incoming, outgoing)) as stream:
        yield stream, from_it, to_it
    os.close(from_it)
    os.close(to_it)


def test_a_script_runs_over_any_pair_of_streams(pipes: tuple[StdioStream, int, int]) -> None:
    stream, from_it, to_it = pipes
    asterisk = SimulatedCall(Channel(url='/usr/bin/say', arguments=['say', '42']))

    def play() -> None:
        os.write(to_it, asterisk.opening())
        while line := os.read(from_it, 4096):
            os.write(to_it, asterisk.receive(line))

    def say(call: Call) -> None:
        call.say_number(int(call.environment.arguments[0]))

    player = threading.Thread(target=play, name='asterisk')
    player.start()
    try:
        assert run([Script('say', say)], stream, ['say', '42'])
    finally:
        stream.close()
        player.join()
    assert asterisk.events == [SaidNumber(42)]


def opens_no_call(pipes: tuple[StdioStream, int, int], opening: bytes, *arguments: str) -> bool:
    """Whether a process whose call begins so runs no script, and lets the dialplan see FAILURE."""
    stream, from_it, to_it = pipes
    ran: list[Call] = []
    os.write(to_it, opening)
    well = run([Script('hits', ran.append)], stream, arguments)
    assert well == bool(ran)
    return not ran and os.read(from_it, 100) == b'FAILURE\n'


def process_channel(**values: object) -> Channel:
    return Channel(url='/usr/bin/hits', **values)  # type: ignore[arg-type]


def test_an_environment_of_asterisk_opens_a_call(pipes: tuple[StdioStream, int, int]) -> None:
    assert not opens_no_call(pipes, process_channel().environment_block(), 'hits')


@pytest.mark.parametrize(
    ('channel', 'said'),
    [
        (Channel(), "begins with b'agi_request: '"),
        (process_channel(caller_id='1001\nx'), 'the value of agi_callerid contains a newline'),
        (process_channel(caller_id='1001\n'), 'the value of agi_callerid contains a newline'),
        (process_channel(caller_id='1001\nagi_arg_1: hits'), 'the value of agi_callerid contains a newline'),
        (process_channel(caller_id='1001\nagi_network_script: hits'), 'the value of agi_callerid contains a newline'),
        (process_channel(caller_name='x\n\n200 result=1'), 'the value of agi_calleridname contains a newline'),
        (process_channel(extension='1\nagi_extension: 2'), 'value of agi_context or agi_extension contains a newline'),
        (process_channel(arguments=['hits\n', 'x']), 'the value of agi_arg_1 contains a newline'),
    ],
)
def test_a_newline_in_a_value_opens_no_call(
    channel: Channel, said: str, pipes: tuple[StdioStream, int, int], caplog: pytest.LogCaptureFixture
) -> None:
    assert opens_no_call(pipes, channel.environment_block(), 'hits')
    assert said in caplog.text


def test_a_newline_in_an_argument_adds_none(pipes: tuple[StdioStream, int, int]) -> None:
    arguments = ('hits', 'role', 'Ada\nagi_arg_4: admin')
    stream, _, to_it = pipes
    found: list[tuple[str, ...]] = []
    os.write(to_it, process_channel(arguments=arguments).environment_block())
    assert run([Script('hits', lambda call: found.append(call.environment.arguments))], stream, arguments)
    assert found == [arguments[1:]]


def test_the_newlines_that_end_the_last_argument_are_cut_off_as_on_a_server(
    pipes: tuple[StdioStream, int, int],
) -> None:
    stream, _, to_it = pipes
    arguments = ('hits', 'one', 'two\n\n')
    found: list[tuple[str, ...]] = []
    os.write(to_it, process_channel(arguments=arguments).environment_block())
    assert run([Script('hits', lambda call: found.append(call.environment.arguments))], stream, arguments)
    assert found == [('one', 'two')]


def test_more_behind_an_environment_than_a_reply_may_have_is_a_failure(
    pipes: tuple[StdioStream, int, int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr('hitcounter.agi.protocol.reply.REPLY_LIMIT', 10)
    stream, from_it, to_it = pipes
    os.write(to_it, process_channel().environment_block() + b'x' * 200)

    assert not run([], stream)

    assert os.read(from_it, 100) == b'FAILURE\n'
    assert 'Asterisk does not send a reply of more than' in caplog.text


@pytest.mark.parametrize('opening', [b'', b'agi_req', b'agi_request: x\nagi_channel: '])
def test_an_environment_that_ends_too_early_is_a_failure(
    opening: bytes, pipes: tuple[StdioStream, int, int], caplog: pytest.LogCaptureFixture
) -> None:
    stream, from_it, to_it = pipes
    os.write(to_it, opening)
    os.dup2(os.open(os.devnull, os.O_WRONLY), to_it)

    assert not run([], stream)

    assert os.read(from_it, 100) == b'FAILURE\n'
    assert caplog.messages == ['the call was not accepted: connection closed before the AGI environment was complete']


@pytest.mark.parametrize(
    ('opening', 'said'),
    [
        (b'', 'no environment came within 0.01 s: let Asterisk start this program'),
        (b'agi_request: x\n', 'no environment came within 0.01 s'),
        (b'GET / HTTP/1.1\n\n', "it sent b'GET / HTTP/1.1"),
        (b'agi_request: ' + b'x' * 1000, 'has more than 1000 bytes'),
    ],
)
def test_what_opens_no_call_is_a_failure_with_a_sentence(
    opening: bytes,
    said: str,
    pipes: tuple[StdioStream, int, int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr('hitcounter.agi.serving.process.HANDSHAKE_TIMEOUT', 0.01)
    monkeypatch.setattr('hitcounter.agi.protocol.environment.ENVIRONMENT_LIMIT', 1000)
    stream, from_it, to_it = pipes
    os.write(to_it, opening)

    assert not run([], stream)

    assert os.read(from_it, 100) == b'FAILURE\n'
    ((_, level, message),) = caplog.record_tuples
    assert level == logging.ERROR
    assert said in message


def test_a_script_of_the_wrong_kind_is_a_failure_too(pipes: tuple[StdioStream, int, int]) -> None:
    stream, from_it, to_it = pipes
    os.write(to_it, as_for_a_process())

    with pytest.raises(ScriptError):
        run([Script('a', print), Script('a', print)], stream)

    assert os.read(from_it, 100) == b'FAILURE\n'


@pytest.mark.parametrize(('said', 'sent'), [(b'', b'NOOP\n'), (b'banana\n', b'')])
def test_a_command_without_a_reply_that_makes_sense_is_a_failure(
    said: bytes, sent: bytes, pipes: tuple[StdioStream, int, int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stream, from_it, to_it = pipes
    os.write(to_it, as_for_a_process())
    os.write(to_it, said)

    assert not run([Script('', lambda call: call.command('NOOP', timeout=0.01))], stream)

    assert os.read(from_it, 100) == sent + b'FAILURE\n'
    assert ('lost (' if sent else 'was not accepted') in caplog.text


def test_a_wait_for_the_hangup_ends_with_its_signal(
    pipes: tuple[StdioStream, int, int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stream, from_it, to_it = pipes
    os.write(to_it, as_for_a_process())

    def wait(call: Call) -> None:
        assert not call.wait_for_hangup(0.01)
        threading.Timer(0.01, os.kill, [os.getpid(), signal.SIGHUP]).start()
        assert call.wait_for_hangup(60)

    assert run([Script('', wait)], stream)

    assert os.read(from_it, 100) == b''
    assert ': hung up after ' in caplog.text


def test_the_signals_of_the_thread_are_as_before_once_the_call_is_over(pipes: tuple[StdioStream, int, int]) -> None:
    stream, _, to_it = pipes
    os.write(to_it, SimulatedCall(process_channel()).opening())
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.getsignal(signal.SIGHUP)
    assert run([Script('', lambda call: None)], stream)
    assert (signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.getsignal(signal.SIGHUP)) == before


def test_a_wait_for_the_hangup_ends_with_the_pipe(pipes: tuple[StdioStream, int, int]) -> None:
    stream, _, to_it = pipes
    os.write(to_it, as_for_a_process())

    def wait(call: Call) -> None:
        assert not call.hung_up
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, to_it)  # closes Asterisk's end
        os.close(nothing)
        assert call.hung_up
        assert call.wait_for_hangup(60)

    assert run([Script('', wait)], stream)


def as_for_a_process() -> bytes:
    """The environment without what it says to a server alone."""
    lines = Channel().environment_block().split(b'\n')
    return b'\n'.join(line for line in lines if not line.startswith(b'agi_network'))


def test_a_call_arrived_when_its_process_was_started_however_long_that_takes_to_begin() -> None:
    code = 'import time; from hitcounter.agi.serving import process; print(process._process_started(), time.time())'
    before = time.time()
    with subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True) as started:
        after = time.time()
        assert started.stdout is not None
        arrived, now = map(float, started.stdout.read().split())
    assert before - CLOCK_TICK <= arrived <= after < now


@pytest.mark.parametrize('said', [None, b'', b'7 (x) S 1', b'7 (a) b) S ' + b'x ' * 40])
def test_where_nothing_says_when_the_process_was_started_a_call_arrives_when_it_begins(
    said: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = tmp_path / 'stat'
    if said is not None:
        stat.write_bytes(said)
    monkeypatch.setattr('hitcounter.agi.serving.process._STAT', str(stat))
    before = time.time()
    assert before <= process._process_started() <= time.time()
