"""A call over a pair of streams, as a process of its own has them."""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from hitcounter.agi import Call, Script
from hitcounter.agi.pretend import Channel, PretendCall, SaidNumber
from hitcounter.agi.process import run
from hitcounter.agi.stream import StdioStream


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
    asterisk = PretendCall(Channel(url='agi://pbx/say', arguments=['42']))

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
    assert asterisk.heard == [SaidNumber(42)]


def test_more_behind_an_environment_than_a_reply_may_have_is_a_failure(
    pipes: tuple[StdioStream, int, int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr('hitcounter.agi.reply.REPLY_LIMIT', 100)
    stream, from_it, to_it = pipes
    os.write(to_it, b'agi_request: x\n\n' + b'x' * 200)

    assert not run([], stream)

    assert os.read(from_it, 100) == b'FAILURE\n'
    assert 'a reply of more than' in caplog.text


@pytest.mark.parametrize(
    ('opening', 'said'),
    [
        (b'', 'no environment came within 0.01 s: this is for Asterisk to start'),
        (b'agi_request: x\n', 'no environment came within 0.01 s'),
        (b'GET / HTTP/1.1\n\n', 'is no "name: value" line of an AGI environment'),
        (b'agi_arg_1: ' + b'x' * 1000, 'has more than 1000 bytes'),
    ],
)
def test_what_opens_no_call_is_a_failure_with_a_sentence(
    opening: bytes,
    said: str,
    pipes: tuple[StdioStream, int, int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr('hitcounter.agi.process.HANDSHAKE_TIMEOUT', 0.01)
    monkeypatch.setattr('hitcounter.agi.process.ENVIRONMENT_LIMIT', 1000)
    stream, from_it, to_it = pipes
    os.write(to_it, opening)

    assert not run([], stream)

    assert os.read(from_it, 100) == b'FAILURE\n'
    (_, level, message), = caplog.record_tuples
    assert level == logging.ERROR
    assert said in message
