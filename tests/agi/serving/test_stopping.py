"""A server that stops, and the calls that go on meanwhile."""

import logging
import os
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hitcounter.agi import Call, Drained, Script, Server
from hitcounter.agi.serving import acceptor, workers
from hitcounter.agi.serving import server as server_module
from hitcounter.agi.stream import FAILURE
from hitcounter.errors import ListenError
from hitcounter.simulator import Channel, SaidNumber, place_call
from tests.support.patience import PATIENCE
from tests.support.serving import closes, held_call, is_listening, say_one, serving


def test_a_drain_lets_calls_end() -> None:
    with held_call() as (server, call, go), ThreadPoolExecutor() as other:
        drained = other.submit(server.stop, 10)
        while is_listening(server):
            pass
        go.set()
        assert drained.result(PATIENCE) == Drained(ended=1, closed=0, forced=0)
        assert call().events == [SaidNumber(1)]


def test_a_call_that_waits_when_the_server_stops_fails_at_once() -> None:
    with held_call(max_calls=1) as (server, call, go), socket.create_connection(server.address) as waiting:
        waiting.sendall(Channel().environment_block())
        while server._workers.next_deadline() is None:
            pass
        with ThreadPoolExecutor() as other:
            drained = other.submit(server.stop, 10)
            assert closes(waiting) == FAILURE
            go.set()
            assert drained.result(PATIENCE) == Drained(ended=1, closed=0, forced=0)
        assert call().status == 'SUCCESS'


def test_a_call_that_nobody_has_accepted_when_the_server_stops_fails_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor.Acceptor, '_accept', lambda _: None)
    with serving() as server, socket.create_connection(server.address) as asterisk, ThreadPoolExecutor() as other:
        asterisk.sendall(Channel().environment_block())
        stopping = other.submit(server.stop)
        assert closes(asterisk) == FAILURE
        assert stopping.result(PATIENCE) == Drained(ended=0, closed=0, forced=0)


def test_a_call_that_comes_while_all_are_cut_runs_no_script(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with serving() as server:
        server.cut()
        assert place_call(server.address, Channel(unique_id='17.1')).events == []
    assert 'closed after' in caplog.text


def test_a_drain_closes_calls_at_its_deadline() -> None:
    def ask(call: Call) -> None:
        begun.set()
        call.say_number(1)

    begun = threading.Event()
    server = Server([Script('hits', ask)], port=0)
    server.start()
    with socket.create_connection(server.address) as asterisk:
        asterisk.sendall(Channel().environment_block())
        assert begun.wait(PATIENCE)
        assert asterisk.recv(100) == b'SAY NUMBER 1 ""\n'
        assert server.stop(0.01) == Drained(ended=0, closed=1, forced=0)
        assert closes(asterisk) == FAILURE


def test_the_log_says_that_a_call_was_cut_and_what_the_dialplan_sees(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with held_call() as (server, call, go), ThreadPoolExecutor() as other:
        stopping = other.submit(server.stop)
        assert call().status == 'FAILURE'
        go.set()
        assert stopping.result(PATIENCE) == Drained(ended=0, closed=1, forced=0)
    assert re.search(
        r': closed after \S+ s: script=hits line=31415 caller=unknown agistatus=FAILURE$', caplog.text, re.M
    )


def test_a_call_that_is_cut_after_its_hangup_is_logged_as_a_hangup(caplog: pytest.LogCaptureFixture) -> None:
    begun, go = threading.Event(), threading.Event()

    def stay(_: Call) -> None:
        begun.set()
        assert go.wait(PATIENCE)

    caplog.set_level(logging.INFO)
    server = Server([Script('hits', stay)], port=0)
    with server, socket.create_connection(server.address) as asterisk, ThreadPoolExecutor() as other:
        asterisk.sendall(Channel().environment_block() + b'HANGUP\n')
        assert begun.wait(PATIENCE)
        stopping = other.submit(server.stop)
        assert closes(asterisk) == b''
        go.set()
        assert stopping.result(PATIENCE) == Drained(ended=0, closed=1, forced=0)
    assert re.search(r': closed after .* agistatus=HANGUP$', caplog.text, re.M)


def test_a_script_that_does_not_end_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, 'GRACE', 0.01)
    with held_call() as (server, _, go):
        assert server.stop() == Drained(ended=0, closed=0, forced=1)
        go.set()


def test_a_server_that_was_stopped_can_be_stopped_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server([], port=0)
    server.start()
    drained = server.stop()
    monkeypatch.setattr(workers.Workers, 'wait_idle', pytest.fail)  # there is nothing left to wait for
    assert server.stop() is drained


def test_a_server_serves_within_a_with_block() -> None:
    with Server([], port=0) as server:
        host, port = server.address
        assert repr(server) == f'<Server on {host}:{port}>'
        assert place_call(server.address, Channel(url='agi://pbx/missing')).status == 'FAILURE'
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(server.address, PATIENCE)


def test_a_server_that_was_never_started_can_be_stopped() -> None:
    server = Server([Script('hits', say_one)], port=0)
    assert server.stop() == Drained(ended=0, closed=0, forced=0)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith('agi')]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(server.address)


def test_a_drain_can_be_cut_short() -> None:
    begun = threading.Event()

    def ask(call: Call) -> None:
        begun.set()
        call.say_number(1)

    server = Server([Script('hits', ask)], port=0)
    server.start()
    with socket.create_connection(server.address) as asterisk, ThreadPoolExecutor() as other:
        asterisk.sendall(Channel().environment_block())
        assert begun.wait(PATIENCE)
        drained = other.submit(server.stop, 60)
        server.cut()
        assert drained.result(PATIENCE) == Drained(ended=0, closed=1, forced=0)


# The end of a thread that the server cannot do without.


def test_a_server_whose_acceptor_dies_stops_listening_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hooked: list[str | None] = []
    monkeypatch.setattr(threading, 'excepthook', lambda args: hooked.append(args.thread.name))

    def refuse(*_: object) -> None:
        raise OSError(28, 'No space left on device')

    with serving() as server:
        assert not server.wait(0)
        monkeypatch.setattr(server._acceptor._selector, 'register', refuse)
        with socket.create_connection(server.address) as peer:
            peer.sendall(b'agi_')
            with pytest.raises(ListenError, match='No space left'):
                server.wait(PATIENCE)
        assert not is_listening(server)
    assert hooked == ['agi acceptor']
    assert 'no more calls are accepted: OSError: [Errno 28] No space left on device' in caplog.messages


def test_a_server_is_waited_for_until_it_is_stopped() -> None:
    with serving() as server, ThreadPoolExecutor() as other:
        waiting = other.submit(server.wait)
        assert not server.wait(0.01)
        server.stop()
        assert waiting.result(PATIENCE)


def test_a_server_that_cannot_be_made_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(24, 'Too many open files')

    files = len(os.listdir('/proc/self/fd'))
    monkeypatch.setattr(server_module, 'Acceptor', refuse)
    with pytest.raises(OSError, match='Too many'):
        Server([Script('hits', say_one)], port=0)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith('agi')]
    assert len(os.listdir('/proc/self/fd')) == files
