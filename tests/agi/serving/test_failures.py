"""The dialplan learns that a call was not served to its end."""

import logging
import socket
import time
from contextlib import suppress

import pytest

from hitcounter.agi import Call
from hitcounter.agi.serving import acceptor
from hitcounter.agi.serving import server as server_module
from hitcounter.agi.stream import FAILURE
from hitcounter.errors import ConnectionLost, ProtocolError
from hitcounter.simulator import Channel, place_call
from tests.support.patience import PATIENCE
from tests.support.serving import assert_serves, closes, serving


def goes_through(peer: socket.socket, data: bytes) -> bool:
    try:
        peer.sendall(data)
    except ConnectionError:
        return False
    return True


def test_a_failure_is_read_also_where_much_was_sent_that_nobody_reads() -> None:
    with serving(max_calls_per_peer=1) as server:
        for _ in range(20):
            with socket.create_connection(server.address) as peer:
                peer.sendall(b'GET / HTTP/1.1\r\n\r\n' + b'x' * 60_000)
                received = b''
                while piece := peer.recv(100):  # a reset would raise here
                    received += piece
                assert received == FAILURE


def test_a_peer_that_was_sent_away_and_stays_holds_up_nobody_and_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, 'LINGER', 0.2)
    with serving(max_calls=1) as server:
        peers = [socket.create_connection(server.address) for _ in range(10)]
        for peer in peers:
            peer.sendall(b'GET / HTTP/1.1\r\n\r\n')
        assert_serves(server)
        for peer in peers:
            with peer:
                assert closes(peer) == FAILURE
                while goes_through(peer, b'x'):  # until it is dropped
                    pass
        assert_serves(server)


def test_a_flood_after_a_failure_is_read_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, 'LINGER', 60.0)
    with serving() as server, socket.create_connection(server.address) as peer:
        peer.settimeout(PATIENCE)
        assert not all(goes_through(peer, b'GET / HTTP/1.1\r\n' * 1000) for _ in range(1000))


def test_a_worker_waits_shortly_for_a_failure_to_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('hitcounter.agi.serving.connection.LINGER', 0.1)

    def lose(call: Call) -> None:
        call.command('NOOP', timeout=0.01)

    with serving(lose, max_calls=1) as server, socket.create_connection(server.address) as stuck:
        stuck.sendall(Channel().environment_block())
        assert closes(stuck) == b'NOOP\n' + FAILURE
        with socket.create_connection(server.address) as other:
            other.sendall(Channel().environment_block())
            assert closes(other) == b'NOOP\n' + FAILURE


def test_a_script_that_passes_over_a_lost_command_has_failed_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    def pass_over(call: Call) -> None:
        with suppress(ConnectionLost):
            call.command('NOOP', timeout=0.01)

    caplog.set_level(logging.INFO)
    with serving(pass_over) as server, socket.create_connection(server.address) as asterisk:
        asterisk.sendall(Channel().environment_block())
        assert closes(asterisk) == b'NOOP\n' + FAILURE
    assert 'lost (Asterisk did not answer NOOP in time) after' in caplog.text


def test_a_script_that_passes_over_the_end_of_its_call_in_a_wait_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    def pass_over(call: Call) -> None:
        with suppress(ConnectionLost):
            call.wait_for_hangup(PATIENCE)

    caplog.set_level(logging.INFO)
    with serving(pass_over, call_timeout=0.2) as server, socket.create_connection(server.address) as asterisk:
        asterisk.sendall(Channel().environment_block())
        assert closes(asterisk) == FAILURE
    assert 'lost (the call has reached its time limit) after' in caplog.text


def test_why_a_call_was_lost_is_not_said_of_who_withholds_the_number(caplog: pytest.LogCaptureFixture) -> None:
    def pass_over(call: Call) -> None:
        with suppress(ProtocolError):
            call.noop()

    caplog.set_level(logging.INFO)
    with serving(pass_over) as server, socket.create_connection(server.address) as asterisk:
        asterisk.sendall(Channel(presentation=32).environment_block())
        assert asterisk.recv(100) == b'NOOP\n'
        asterisk.sendall(b'Lovelace\n')
        assert closes(asterisk) == FAILURE
    assert 'lost (the reason is not shown because it may identify the caller) after' in caplog.text
    assert 'Lovelace' not in caplog.text


def test_a_time_out_ends_when_it_is_over_and_not_at_some_tick() -> None:
    lasted = []

    def wait(call: Call) -> None:
        began = time.monotonic()
        try:
            call.command('NOOP', timeout=0.2)
        finally:
            lasted.append(time.monotonic() - began)

    with serving(wait) as server, socket.create_connection(server.address) as asterisk:
        asterisk.sendall(Channel().environment_block())
        closes(asterisk)
    assert 0.2 <= lasted[0] < 1.0


def test_an_error_of_the_server_itself_fails_its_call_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_module, 'SocketStream', None)
    with serving(max_calls=1) as server:
        assert place_call(server.address, Channel()).status == 'FAILURE'
        monkeypatch.undo()
        assert_serves(server)
    assert 'a worker continues after an unexpected error' in caplog.text
