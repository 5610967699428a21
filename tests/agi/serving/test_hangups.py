"""Hangups and time-outs while a script does something else."""

import logging
import math
import socket
import threading
from datetime import timedelta

import pytest

from hitcounter.agi import Call
from hitcounter.agi.serving import running_calls
from hitcounter.agi.stream import FAILURE
from hitcounter.errors import Hangup
from hitcounter.simulator import Channel, place_call
from tests.support.patience import PATIENCE
from tests.support.serving import closes, serving


def test_a_script_that_waits_for_something_else_sees_the_hangup() -> None:
    seen = []

    def wait(call: Call) -> None:
        call.answer()
        seen.append(call.wait_for_hangup(0.01))
        answered.set()
        while not call.hung_up:
            pass
        seen.append(call.wait_for_hangup(60))
        with pytest.raises(Hangup):
            call.set_variable('LEFT', 'yes')
        call.set_variable('LEFT', 'again')

    answered = threading.Event()
    with serving(wait) as server, socket.create_connection(server.address) as asterisk:
        asterisk.sendall(Channel().environment_block())
        assert asterisk.recv(100) == b'ANSWER\n'
        asterisk.sendall(b'200 result=0\n')
        assert answered.wait(PATIENCE)
        asterisk.sendall(b'HANGUP\n')
        assert asterisk.recv(100) == b'SET VARIABLE LEFT yes\n'
        asterisk.sendall(b'200 result=1\n')
        assert asterisk.recv(100) == b'SET VARIABLE LEFT again\n'
        asterisk.sendall(b'200 result=1\n')
        assert closes(asterisk) == b''
    assert seen == [False, True]


def test_a_close_is_as_good_as_a_hangup(caplog: pytest.LogCaptureFixture) -> None:
    taken = threading.Event()

    def wait(call: Call) -> None:
        taken.set()
        assert call.wait_for_hangup(timedelta(minutes=1))

    caplog.set_level(logging.INFO)
    with serving(wait) as server:
        with socket.create_connection(server.address) as asterisk:
            asterisk.sendall(Channel().environment_block())
        assert taken.wait(PATIENCE)
        assert server._workers.wait_idle(PATIENCE)
    assert 'hung up after' in caplog.text


def test_a_wait_for_the_hangup_ends_with_the_time_of_the_call(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with (
        serving(lambda call: call.wait_for_hangup(60), call_timeout=0.2) as server,
        socket.create_connection(server.address) as asterisk,
    ):
        asterisk.sendall(Channel().environment_block())
        assert closes(asterisk) == FAILURE
    assert 'lost (the call has reached its time limit) after' in caplog.text


def test_a_call_that_sends_no_command_is_ended_at_its_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(running_calls, 'LOOK', 0.01)

    def wait(call: Call) -> None:
        while not call.hung_up:  # which it is once Asterisk, told of the failure, has closed
            pass

    caplog.set_level(logging.INFO)
    with serving(wait, call_timeout=0.1, max_calls=1) as server:
        assert place_call(server.address, Channel()).status == 'FAILURE'
        assert server._workers.wait_idle(PATIENCE)
    assert 'lost (it reached the time limit for calls) after' in caplog.text


def test_a_script_that_outstays_its_call_is_reported_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(running_calls, 'LOOK', 0.01)
    monkeypatch.setattr(running_calls, 'OVERSTAY', 0.1)
    reported, looked = threading.Event(), threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: reported.set() if 'still runs' in record.getMessage() else None  # type: ignore[method-assign]
    running_calls.logger.addHandler(handler)

    def stay(_: Call) -> None:
        assert reported.wait(PATIENCE)
        assert looked.wait(PATIENCE)

    try:
        with serving(stay) as server:
            with socket.create_connection(server.address) as asterisk:
                asterisk.sendall(Channel(unique_id='17.1').environment_block() + b'HANGUP\n')
                assert reported.wait(PATIENCE)
            server._calls._look(math.inf)
            looked.set()
    finally:
        running_calls.logger.removeHandler(handler)
    (said,) = [message for message in caplog.messages if 'still runs' in message]
    assert said.startswith("17.1: the script 'hits' still runs 0 s after its call ended")
