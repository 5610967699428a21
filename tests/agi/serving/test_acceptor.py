"""What comes to the server before a call: environments, peers that are rejected, too few descriptors."""

import ipaddress
import logging
import math
import os
import resource
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from hitcounter.agi import Call, Server
from hitcounter.agi.protocol.environment import ENVIRONMENT_LIMIT
from hitcounter.agi.serving import acceptor, workers
from hitcounter.agi.serving.connection import Connection
from hitcounter.agi.stream import FAILURE
from hitcounter.errors import ProtocolError
from hitcounter.simulator import Channel, SaidNumber, place_call
from tests.support.patience import PATIENCE
from tests.support.serving import assert_serves, closes, serving

WHOLE = Channel(unique_id='17.1').environment_block()

AT_THE_NAME = WHOLE.index(b'agi_calleridname')

#: What a caller who forges a whole block leaves for later: Asterisk's own lines after the caller ID.
LATE = WHOLE[AT_THE_NAME:]


@pytest.mark.parametrize('rest', [LATE, b'200 result=1\n', b'200 result=1\n\n' + LATE, b'x\n', b'200 res'])
def test_a_line_after_the_environment_that_is_not_a_hangup_is_a_failure_and_nothing_runs(
    rest: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with serving() as server:
        with socket.create_connection(server.address) as asterisk:
            asterisk.sendall(WHOLE + rest)
            assert closes(asterisk) == b'FAILURE\n'
        assert_serves(server)
    said = 'agi_callerid contains a newline' if LATE in rest else 'came when no command was waiting for a reply'
    assert said in caplog.messages[0]


@pytest.mark.parametrize('rest', [b'\n' + WHOLE[AT_THE_NAME:], b'\n200 result=1\n\n' + WHOLE[AT_THE_NAME:]])
def test_the_rest_of_a_block_that_comes_later_than_its_forged_end_changes_nothing(
    rest: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with serving() as server:
        with socket.create_connection(server.address) as asterisk:
            asterisk.sendall(WHOLE[:AT_THE_NAME] + b'\n')
            assert asterisk.recv(100) == b'FAILURE\n'
            asterisk.sendall(rest)
            assert closes(asterisk) == b''
        assert_serves(server)
    assert 'the value of agi_callerid contains a newline (unique id 17.1)' in caplog.messages[0]


@pytest.mark.parametrize('rest', [LATE, b'\n' + LATE, b'x\n'])
def test_the_rest_of_a_block_that_comes_later_than_a_command_ends_the_call(
    rest: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with serving() as server, socket.create_connection(server.address) as asterisk:
        asterisk.sendall(WHOLE)
        assert asterisk.recv(100) == b'SAY NUMBER 1 ""\n'
        asterisk.sendall(rest + b'200 result=0\n')
        assert closes(asterisk) == b'FAILURE\n'
    assert ' is not a reply of Asterisk) after' in caplog.text


@pytest.mark.parametrize(('rest', 'ends'), [(b'', b''), (b'HANGUP\n', b''), (LATE, b'FAILURE\n')])
def test_what_comes_during_a_script_without_a_command_counts_at_its_end(rest: bytes, ends: bytes) -> None:
    go = threading.Event()

    def wait(_: Call) -> None:
        assert go.wait(PATIENCE)

    with serving(wait) as server, socket.create_connection(server.address) as asterisk:
        asterisk.sendall(WHOLE)
        asterisk.sendall(rest)
        go.set()
        assert closes(asterisk) == ends


def test_a_script_that_does_not_hear_of_a_protocol_error_fails_all_the_same() -> None:
    def deaf(call: Call) -> None:
        with suppress(ProtocolError):
            call.say_number(1)

    with serving(deaf) as server, socket.create_connection(server.address) as asterisk:
        asterisk.sendall(WHOLE)
        assert asterisk.recv(100) == b'SAY NUMBER 1 ""\n'
        asterisk.sendall(LATE)
        assert closes(asterisk) == b'FAILURE\n'


def test_an_environment_in_pieces_is_put_together() -> None:
    with serving() as server, socket.create_connection(server.address) as asterisk:
        asterisk.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in Channel().environment_block():
            asterisk.send(bytes([byte]))
        assert asterisk.recv(100) == b'SAY NUMBER 1 ""\n'


@pytest.mark.parametrize(
    ('sent', 'said'),
    [
        (b'GET / HTTP/1.1\r\n\r\n', 'but an AGI environment begins with'),
        (b'PROXY TCP4 10.0.0.1 10.0.0.2 5000 4573\r\nagi_network: yes\n', 'but an AGI environment begins with'),
        (b'\x16\x03\x01\x02\x00', 'but an AGI environment begins with'),
        (b'agi_x: 1\n\n', 'but an AGI environment begins with'),
        (Channel(url='/usr/bin/hits').environment_block(), 'but an AGI environment begins with'),
        (b'agi_network: yes\nnonsense\n\n', 'the line after agi_network is not agi_request'),
        (b'agi_network: yes\nagi_request: ' + b'x' * 70_000, 'more than 65536 bytes'),
    ],
)
def test_what_is_no_environment_is_sent_away_in_one_line(
    sent: bytes, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with serving() as server:
        with socket.create_connection(server.address) as peer:
            peer.sendall(sent)
            assert closes(peer) == FAILURE
        assert_serves(server)
    assert len(caplog.messages) == 1
    assert said in caplog.messages[0]


def test_more_behind_an_environment_than_a_reply_may_have_ends_that_call_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr('hitcounter.agi.protocol.reply.REPLY_LIMIT', 1000)
    with serving(max_calls=1) as server:
        with socket.create_connection(server.address) as peer:
            peer.sendall(Channel().environment_block() + b'x' * 1001)
            assert closes(peer) == FAILURE
        assert_serves(server)
    assert 'does not send a reply of more than' in caplog.messages[0]


@pytest.mark.parametrize('over', [0, 1])
def test_an_environment_has_no_more_than_its_limit_however_it_comes(over: int) -> None:
    block = Channel().environment_block().removesuffix(b'\n')
    block += b'agi_arg_1: ' + b'x' * (ENVIRONMENT_LIMIT + over - len(block) - 13) + b'\n\n'
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(ours, '127.0.0.1', math.inf)
        theirs.sendall(block[:-2])
        assert not connection.read_environment()
        theirs.sendall(block[-2:] + b'HANGUP\n')
        if over:
            with pytest.raises(ProtocolError, match='more than 65536 bytes'):
                connection.read_environment()
        else:
            assert connection.read_environment()
            environment, rest = connection.environment()
            assert rest == b''
            assert len(environment.arguments[0]) > ENVIRONMENT_LIMIT - 1000


def test_half_an_environment_and_a_close_is_said_and_a_bare_probe_is_not(caplog: pytest.LogCaptureFixture) -> None:
    with serving() as server:
        with socket.create_connection(server.address) as peer:
            peer.sendall(b'agi_network: yes\n')
            peer.shutdown(socket.SHUT_WR)
            assert closes(peer) == FAILURE
        socket.create_connection(server.address).close()
        assert_serves(server)
    assert caplog.messages == ['rejected 127.0.0.1: connection closed before the AGI environment was complete']


def test_a_slow_peer_is_sent_away_and_costs_no_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(acceptor, 'HANDSHAKE_TIMEOUT', 0.2)
    with serving(max_calls=1) as server:
        peers = [socket.create_connection(server.address) for _ in range(10)]
        for peer in peers:
            peer.sendall(b'agi_network: yes\n')
        assert_serves(server)
        for peer in peers:
            assert closes(peer) == FAILURE
            peer.close()
    assert caplog.messages == ['rejected 127.0.0.1: no complete environment came within 0.2 s'] * 10


def test_the_oldest_of_too_many_slow_peers_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, 'HANDSHAKES', 1)
    with (
        serving() as server,
        socket.create_connection(server.address) as first,
        socket.create_connection(server.address) as second,
    ):
        first.sendall(b'agi_')
        assert_serves(server)  # so that the first was there before the second
        second.sendall(b'agi_')
        assert closes(first) == FAILURE
        second.sendall(Channel().environment_block()[4:])
        assert second.recv(100) == b'SAY NUMBER 1 ""\n'


def test_a_call_too_many_waits_shortly_and_then_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(workers, 'ADMISSION_TIMEOUT', 0.1)
    begun, go = threading.Event(), threading.Event()

    def hold(call: Call) -> None:
        begun.set()
        assert go.wait(PATIENCE)
        call.say_number(1)

    with serving(hold, max_calls=1) as server, ThreadPoolExecutor() as callers:
        held = callers.submit(place_call, server.address, Channel())
        assert begun.wait(PATIENCE)
        assert place_call(server.address, Channel()).status == 'FAILURE'
        go.set()
        assert held.result(PATIENCE).events == [SaidNumber(1)]
    assert [message for message in caplog.messages if 'busy' in message]


def test_a_call_that_waits_is_served_when_a_worker_is_free() -> None:
    begun, go = threading.Event(), threading.Event()

    def hold(call: Call) -> None:
        begun.set()
        assert go.wait(PATIENCE)
        call.say_number(1)

    with serving(hold, max_calls=1) as server, ThreadPoolExecutor() as callers:
        calls = [callers.submit(place_call, server.address, Channel()) for _ in range(5)]
        assert begun.wait(PATIENCE)
        go.set()
        assert [call.result(PATIENCE).events for call in calls] == [[SaidNumber(1)]] * 5


def test_peers_outside_the_allowed_networks_are_sent_away(caplog: pytest.LogCaptureFixture) -> None:
    with serving() as server:
        gathering = server._acceptor
        allowed = ['127.0.0.1', '127.8.9.10', '::1', '::ffff:127.0.0.1', 'fe80::1%lo']
        assert [gathering._is_allowed(peer) for peer in allowed] == [True, True, True, True, False]
        assert not gathering._is_allowed('192.0.2.1')
    networks = [ipaddress.ip_network(network) for network in ('192.0.2.0/24', '2001:db8::/32')]
    with serving(allow=networks) as server:
        peers = ['192.0.2.1', '::ffff:192.0.2.1', '2001:db8::1', '198.51.100.1', '::ffff:198.51.100.1', '2001:db9::1']
        assert [server._acceptor._is_allowed(peer) for peer in peers] == [True] * 3 + [False] * 3
    with serving(allow=['192.0.2.0/24']) as server:
        assert server._acceptor._is_allowed('192.0.2.1')
    with pytest.raises(ValueError, match='host bits'):
        Server([], port=0, allow=['192.0.2.1/24'])


@pytest.mark.parametrize(('host', 'other'), [('127.0.0.1', '192.0.2.0/24'), ('::1', '2001:db8::/32')])
def test_a_peer_that_is_not_allowed_is_told_so_and_no_more(
    host: str, other: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(acceptor, '_LOOPBACK', ())
    with (
        serving(host=host, allow=[ipaddress.ip_network(other)]) as server,
        socket.create_connection(server.address) as peer,
    ):
        peer.sendall(Channel().environment_block())
        assert closes(peer) == FAILURE
    with serving(host=host, allow=[ipaddress.ip_network(host)]) as server:
        assert_serves(server)
    assert caplog.messages == [f'rejected {host}: its address is not in an allowed network']


# Few files.


def test_slow_peers_keep_no_more_files_than_the_calls_leave() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with serving(max_calls=1) as server:
            slow = [socket.create_connection(server.address) for _ in range(60)]
            for peer in slow:
                peer.sendall(b'agi_')
            assert_serves(server)
            assert len(server._acceptor._handshakes) <= 256 // 8
            for peer in slow:
                peer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_where_no_file_is_left_a_slow_peer_makes_way_for_a_call() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving() as server, socket.socket() as slow, socket.socket() as peer, ExitStack() as files:
        slow.connect(server.address)
        slow.sendall(b'agi_')
        while not server._acceptor._handshakes:
            pass
        last = next(iter(server._acceptor._handshakes)).socket.fileno()
        while (file := os.dup(peer.fileno())) < last:
            files.callback(os.close, file)
        os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1, hard))
        try:
            peer.connect(server.address)
            peer.sendall(Channel().environment_block())
            assert closes(slow) == FAILURE
            assert peer.recv(100) == b'SAY NUMBER 1 ""\n'
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_many_calls_at_once_are_all_served() -> None:
    with serving(max_calls=40) as server, ThreadPoolExecutor(40) as callers:
        calls = [callers.submit(place_call, server.address, Channel()) for _ in range(400)]
        assert all(call.result(PATIENCE).events == [SaidNumber(1)] for call in calls)


def test_a_thousand_silent_peers_hold_up_nobody() -> None:
    with serving(max_calls=1) as server:
        silent = [socket.create_connection(server.address) for _ in range(500)]
        slow = [socket.create_connection(server.address) for _ in range(400)]
        for peer in slow:
            peer.send(b'agi_')
        assert_serves(server)
        for peer in silent + slow:
            peer.close()


def test_no_descriptors_left_is_said_and_passes() -> None:
    said = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: said.set() if 'Too many open files' in record.getMessage() else None  # type: ignore[method-assign]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving() as server, socket.socket() as peer:
        acceptor.logger.addHandler(handler)
        resource.setrlimit(resource.RLIMIT_NOFILE, (peer.fileno() + 1, hard))
        try:
            peer.connect(server.address)
            peer.sendall(Channel().environment_block())
            assert said.wait(PATIENCE)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            acceptor.logger.removeHandler(handler)
        assert peer.recv(100) == b'SAY NUMBER 1 ""\n'
