"""The server, over real sockets."""

import ipaddress
import logging
import math
import os
import re
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest

from hitcounter.agi import Call, Drained, Script, Server
from hitcounter.agi.protocol.environment import ENVIRONMENT_LIMIT
from hitcounter.agi.serving import acceptor, running_calls, workers
from hitcounter.agi.serving import server as server_module
from hitcounter.agi.serving.connection import Connection
from hitcounter.agi.stream import FAILURE
from hitcounter.errors import CommandRefused, ConnectionLost, Hangup, ListenError, ProtocolError, UpdateFailed
from hitcounter.simulator import Channel, HangUp, HangUpTiming, SaidNumber, SimulatedCall, place_call
from tests.support.patience import PATIENCE

Handler = Callable[[Call], object]


def say_one(call: Call) -> None:
    call.say_number(1)


@contextmanager
def serving(handler: Handler = say_one, **options: object) -> Iterator[Server]:
    server = Server([Script('hits', handler)], port=0, **options)  # type: ignore[arg-type]
    server.start()
    try:
        yield server
    finally:
        server.stop()
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith('agi')]


def assert_serves(server: Server) -> None:
    assert place_call(server.address, Channel()).events == [SaidNumber(1)]


def closes(connection: socket.socket) -> bytes:
    """What comes on a connection until the server closes it."""
    connection.settimeout(PATIENCE)
    received = b''
    try:
        while piece := connection.recv(4096):
            received += piece
    except ConnectionResetError:
        pass
    return received


def test_a_call_runs_its_script_and_is_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with serving() as server:
        call = place_call(server.address, Channel(unique_id='17.1', caller_id='555', extension='31415'))
    assert call.events == [SaidNumber(1)]
    assert call.status == 'SUCCESS'
    (line,) = caplog.messages
    assert line.startswith("17.1: '555' called '31415', ended after ")


def test_a_script_that_is_not_there_fails() -> None:
    with serving() as server:
        assert place_call(server.address, Channel(url='agi://127.0.0.1/nosuch')).status == 'FAILURE'


def test_a_script_has_its_parameters_query_and_arguments() -> None:
    def tell(call: Call) -> None:
        call.say_number(len(call.parameters['line']))
        heard.append((dict(call.parameters), dict(call.query), call.environment.arguments))

    heard: list[object] = []
    server = Server([Script('vote/{line}', tell)], port=0)
    server.start()
    try:
        url = 'agi://127.0.0.1/vote/a%2Fb é?for=x&for=%79&now'
        assert place_call(server.address, Channel(url=url, arguments=('1', ''))).events == [SaidNumber(5)]
        assert place_call(server.address, Channel(url='agi://127.0.0.1/vote/')).status == 'FAILURE'
    finally:
        server.stop()
    assert heard == [({'line': 'a/b é'}, {'for': ('x', 'y'), 'now': ('',)}, ('1', ''))]


@pytest.mark.parametrize('path', ['nosuch', '..', '../hits', 'hits%2F', '%', '%FF', '%00%0A', 'hits//hits', 'é'])
def test_whatever_path_is_asked_for_fails_in_one_line(path: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with serving(max_calls=1) as server:
        assert place_call(server.address, Channel(url=f'agi://127.0.0.1/{path}')).status == 'FAILURE'
    (line,) = caplog.messages
    assert f'failed (there is no script {path!r})' in line


def test_a_path_of_bytes_that_are_no_text_fails_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with serving() as server, socket.create_connection(server.address) as asterisk:
        asterisk.sendall(Channel(url='agi://pbx/\udcff?\udcfe=\udcfd').environment_block())
        assert closes(asterisk) == b'FAILURE\n'
    assert r"there is no script '\udcff?\udcfe=\udcfd'" in caplog.text


def test_the_calls_have_the_line_limit_of_the_asterisk_that_is_served() -> None:
    refused = []

    def script(call: Call) -> None:
        try:
            call.set_variable('a', 'x' * 2032)
        except CommandRefused as error:
            refused.append(str(error))
        say_one(call)

    with serving(script, line_limit=2047) as server:
        assert_serves(server)
    assert refused == ['SET VARIABLE makes a line of 2048 bytes, Asterisk takes 2047: shorten it']


@pytest.mark.parametrize('error', [ZeroDivisionError('mine'), SystemExit(3)])
def test_a_script_that_fails_ends_its_own_call_alone(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    def fail(call: Call) -> None:
        if call.environment.unique_id == 'bad':
            raise error
        call.say_number(1)

    with serving(fail, max_calls=1) as server:
        assert place_call(server.address, Channel(unique_id='bad')).status == 'FAILURE'
        assert_serves(server)
    assert [record.exc_info is not None for record in caplog.records if 'bad' in record.message] == [True]


def test_a_state_that_cannot_store_is_said_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Call) -> None:
        raise UpdateFailed('hits.hit could not be stored: No space left on device')

    with serving(fail) as server:
        assert place_call(server.address, Channel(unique_id='17.1')).status == 'FAILURE'
    assert caplog.messages == ['17.1: hits.hit could not be stored: No space left on device']
    assert caplog.records[0].exc_info is None


@pytest.mark.parametrize('how', list(HangUpTiming))
def test_a_caller_may_go_at_any_time(how: HangUpTiming, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with serving(max_calls=1) as server:
        place_call(server.address, Channel(hang_up=HangUp(1, how)))
        assert_serves(server)
    assert all(record.levelno == logging.INFO for record in caplog.records)
    assert len(caplog.records) == 2


def test_an_asterisk_that_closes_at_the_hangup_is_not_lost(caplog: pytest.LogCaptureFixture) -> None:
    def tidy_up(call: Call) -> None:
        try:
            call.say_number(1)
        except Hangup:
            call.set_variable('LEFT', 'yes')

    caplog.set_level(logging.INFO)
    with serving(tidy_up) as server, socket.create_connection(server.address) as asterisk:
        asterisk.sendall(Channel().environment_block())
        assert asterisk.recv(100) == b'SAY NUMBER 1 ""\n'
        asterisk.sendall(b'200 result=-1\nHANGUP\n')
        asterisk.shutdown(socket.SHUT_WR)
        assert closes(asterisk) == b'SET VARIABLE LEFT yes\n'
    assert 'hung up after' in caplog.text


def test_nonsense_for_a_reply_costs_its_call_alone(caplog: pytest.LogCaptureFixture) -> None:
    with serving(max_calls=1) as server:
        with socket.create_connection(server.address) as asterisk:
            asterisk.sendall(Channel().environment_block())
            assert asterisk.recv(100) == b'SAY NUMBER 1 ""\n'
            asterisk.sendall(b'banana\n')
            assert closes(asterisk) == FAILURE
        assert_serves(server)
    assert caplog.messages == []  # its one line is the call's own


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
    said = 'agi_callerid holds a newline' if LATE in rest else 'came when no command was waiting for a reply'
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
    assert 'the value of agi_callerid holds a newline (unique id 17.1)' in caplog.messages[0]


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
        (b'GET / HTTP/1.1\r\n\r\n', 'where an AGI environment begins with'),
        (b'PROXY TCP4 10.0.0.1 10.0.0.2 5000 4573\r\nagi_network: yes\n', 'where an AGI environment begins with'),
        (b'\x16\x03\x01\x02\x00', 'where an AGI environment begins with'),
        (b'agi_x: 1\n\n', 'where an AGI environment begins with'),
        (Channel(url='/usr/bin/hits').environment_block(), 'where an AGI environment begins with'),
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
    assert caplog.messages == ['127.0.0.1 was sent away: it closed before its environment was whole']


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
    assert caplog.messages == ['127.0.0.1 was sent away: it sent no whole environment within 0.2 s'] * 10


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


def is_listening(server: Server) -> bool:
    try:
        socket.create_connection(server.address).close()
    except ConnectionError:
        return False
    return True


@contextmanager
def held_call(**options: object) -> Iterator[tuple[Server, Callable[[], SimulatedCall], threading.Event]]:
    """A server with one call under way, the result of that call, and what lets it go on."""
    begun, go = threading.Event(), threading.Event()

    def hold(call: Call) -> None:
        begun.set()
        assert go.wait(PATIENCE)
        call.say_number(1)

    server = Server([Script('hits', hold)], port=0, **options)  # type: ignore[arg-type]
    server.start()
    with ThreadPoolExecutor() as callers:
        call = callers.submit(place_call, server.address, Channel())
        assert begun.wait(PATIENCE)
        yield server, lambda: call.result(PATIENCE), go


def test_a_peer_has_so_many_calls_at_once_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    with held_call(max_calls_per_peer=1) as (server, call, go):
        assert place_call(server.address, Channel()).status == 'FAILURE'
        go.set()
        assert call().events == [SaidNumber(1)]
        assert_serves(server)
        server.stop()
    assert caplog.messages == [
        '127.0.0.1 was sent away: it has all the calls that one peer may have (max_calls_per_peer)'
    ]


def test_the_cap_is_for_each_peer_by_itself() -> None:
    with held_call(max_calls_per_peer=1) as (server, _, go):
        with socket.create_connection(server.address, source_address=('127.0.0.2', 0)) as other:
            other.sendall(Channel().environment_block())
            go.set()
            assert other.recv(100) == b'SAY NUMBER 1 ""\n'
        server.stop()


def test_a_peer_without_a_whole_environment_has_no_call_yet() -> None:
    with serving(max_calls_per_peer=1) as server, socket.create_connection(server.address) as slow:
        slow.sendall(b'agi_')
        assert_serves(server)
        slow.sendall(Channel().environment_block()[4:])
        assert slow.recv(100) == b'SAY NUMBER 1 ""\n'


def test_a_call_that_ends_in_any_way_makes_room_for_the_next() -> None:
    def end(call: Call) -> None:
        if call.environment.unique_id == 'exit':
            raise SystemExit(3)
        call.say_number(1)

    with serving(end, max_calls_per_peer=1, call_timeout=0.2) as server:
        for how in HangUpTiming:
            place_call(server.address, Channel(hang_up=HangUp(1, how)))
        place_call(server.address, Channel(unique_id='exit'))
        place_call(server.address, Channel(url='agi://127.0.0.1/nosuch'))
        for sent in (b'agi_network: nonsense\nnonsense\n\n', Channel().environment_block()):
            with socket.create_connection(server.address) as asterisk:
                asterisk.sendall(sent)
                closes(asterisk)  # the second one at its deadline
        assert_serves(server)
        assert not server._peers._calls


def test_who_reads_that_a_call_failed_may_call_again_at_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with serving(max_calls_per_peer=1) as server:
        for _ in range(100):
            assert place_call(server.address, Channel(url='agi://127.0.0.1/nosuch')).status == 'FAILURE'
    assert sum('there is no script' in message for message in caplog.messages) == 100


def test_a_call_that_no_worker_takes_makes_room_for_the_next(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(workers, 'ADMISSION_TIMEOUT', 0.1)
    with held_call(max_calls=1, max_calls_per_peer=2) as (server, call, go):
        for _ in range(3):
            assert place_call(server.address, Channel()).status == 'FAILURE'
        go.set()
        assert call().events == [SaidNumber(1)]
        server.stop()
        assert not server._peers._calls
    assert ['busy' in message for message in caplog.messages] == [True] * 3


def test_calls_that_are_dismissed_or_cut_at_the_end_are_over_too() -> None:
    begun = threading.Event()

    def ask(call: Call) -> None:
        begun.set()
        call.say_number(1)

    server = Server([Script('hits', ask)], port=0, max_calls=1, max_calls_per_peer=2)
    server.start()
    with socket.create_connection(server.address) as first, socket.create_connection(server.address) as second:
        first.sendall(Channel().environment_block())
        assert begun.wait(PATIENCE)
        second.sendall(Channel().environment_block())
        while server._workers.due() is None:
            pass
        server.stop()
    assert not server._peers._calls


def test_many_calls_of_one_peer_are_counted_exactly() -> None:
    with serving(max_calls=40, max_calls_per_peer=20) as server:
        with ThreadPoolExecutor(20) as callers:
            calls = [callers.submit(place_call, server.address, Channel()) for _ in range(400)]
            assert all(call.result(PATIENCE).events == [SaidNumber(1)] for call in calls)
        assert not server._peers._calls


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
        while server._workers.due() is None:
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


def test_a_call_ends_at_its_deadline(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with serving(call_timeout=0.05) as server, socket.create_connection(server.address) as asterisk:
        asterisk.sendall(Channel().environment_block())
        assert closes(asterisk) == b'SAY NUMBER 1 ""\n' + FAILURE
    assert 'lost (Asterisk did not answer SAY NUMBER in time)' in caplog.text


def test_a_command_ends_at_its_own_time_long_before_its_call(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def wait_twice(call: Call) -> None:
        call.exec('Wait', 1)  # as long as it takes
        call.command('NOOP', timeout=0.05)

    with serving(wait_twice, call_timeout=60) as server, socket.create_connection(server.address) as asterisk:
        asterisk.sendall(Channel().environment_block())
        assert asterisk.recv(100) == b'EXEC Wait 1\n'
        asterisk.settimeout(0.2)
        with pytest.raises(TimeoutError):
            asterisk.recv(100)
        asterisk.sendall(b'200 result=0\n')
        assert closes(asterisk) == b'NOOP\n' + FAILURE
    assert 'lost (Asterisk did not answer NOOP in time)' in caplog.text


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
    assert caplog.messages == [f'{host} was sent away: it is in no allowed network']


def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    with serving() as server:
        assert server.address[0] == '127.0.0.1'


def test_it_listens_to_other_machines_only_with_an_allow_list() -> None:
    with pytest.raises(ListenError, match='name the networks that may call'):
        Server([], '0.0.0.0', 0)


def test_a_port_in_use_is_said() -> None:
    with (
        socket.create_server(('127.0.0.1', 0)) as taken,
        pytest.raises(ListenError, match=r'cannot listen on 127\.0\.0\.1 port .*: Address already in use'),
    ):
        Server([], '127.0.0.1', taken.getsockname()[1])


def test_an_unknown_host_is_said() -> None:
    with pytest.raises(ListenError, match='cannot listen on no such host'):
        Server([], 'no such host', 0)


@pytest.mark.skipif(not socket.has_ipv6, reason='this machine has no IPv6')
def test_it_listens_on_ipv6() -> None:
    server = Server([Script('hits', say_one)], '::1', 0)
    server.start()
    try:
        assert_serves(server)
    finally:
        server.stop()


# The dialplan learns that a call was not served to its end.


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
    assert 'lost (the call has lasted as long as it may) after' in caplog.text


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
    assert 'lost (the reason is not shown, since it may say who called) after' in caplog.text
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
    assert 'a worker goes on after an error of its own' in caplog.text


# Hangups while a script does something else.


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
    assert 'lost (the call has lasted as long as it may) after' in caplog.text


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
    assert 'lost (it lasted as long as a call may) after' in caplog.text


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
    assert 'no more calls are taken: OSError: [Errno 28] No space left on device' in caplog.messages


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


SECRETS = {
    'url': 'agi://127.0.0.1/hits?from=55501',
    'name': 'SIP/55502-0000',
    'caller_id': '55503',
    'caller_name': '55504',
    'rdnis': '55505',
    'account_code': '55506',
    'arguments': ('55507',),
}


def say_refused(call: Call) -> None:
    """Fails with errors whose messages show who called, one after the other."""
    try:
        raise ValueError(f'{call.environment.caller_id} {call.environment!r}')
    except ValueError:
        call.say_number(call.environment.caller_name)  # type: ignore[arg-type]


def raise_for_itself(call: Call) -> None:
    error = KeyError(call.environment.caller_id)
    raise error from error


def fail_in_the_state(call: Call) -> None:
    raise UpdateFailed(f'{call.environment.caller_id} could not be stored')


def lose(call: Call) -> None:
    raise ProtocolError(f'{call.environment.channel!r} is not a reply')


@pytest.mark.parametrize(
    ('handler', 'said'),
    [
        (say_one, 'withheld called '),
        (say_refused, 'in say_refused'),
        (raise_for_itself, 'KeyError, whose message is not shown, since it may say who called'),
        (fail_in_the_state, 'UpdateFailed, whose message'),
        (lose, 'lost (ProtocolError, whose message'),
    ],
)
def test_a_withheld_caller_is_in_no_log_however_the_call_ends(
    handler: Handler, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(handler) as server:
        place_call(server.address, Channel(presentation=35, unique_id='17.1', **SECRETS))  # type: ignore[arg-type]
    assert '555' not in caplog.text
    assert said in caplog.text
    assert "17.1: withheld called '31415'" in caplog.text


def test_a_withheld_caller_who_asks_for_no_script_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving() as server:
        url = 'agi://127.0.0.1/nosuch/55501'
        assert place_call(server.address, Channel(url=url, presentation=35)).status == 'FAILURE'
    assert '555' not in caplog.text
    assert 'failed (there is no script of its path, which is not shown, since it may say who called)' in caplog.text


@pytest.mark.parametrize(('keep', 'presentation'), [(True, 35), (False, 0), (False, 67)])
def test_a_caller_who_is_not_withheld_or_may_be_known_is_logged(
    keep: bool, presentation: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    told: list[tuple[bool, str | None]] = []

    def tell(call: Call) -> None:
        told.append((call.caller_withheld, call.environment.caller_id))

    with serving(tell, keep_withheld=keep) as server:
        place_call(server.address, Channel(caller_id='555', presentation=presentation, unique_id='17.1'))
    assert told == [(False, '555')]
    assert "17.1: '555' called '31415'" in caplog.text


def test_a_long_caller_id_and_extension_are_cut_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with serving() as server:
        place_call(server.address, Channel(caller_id='5' * 20_000, extension='9' * 20_000))
    (line,) = caplog.messages
    assert len(line) < 300


@pytest.mark.parametrize(
    ('arguments', 'error', 'said'),
    [
        ({'allow': '10.0.0.0/8'}, TypeError, "allow is '10.0.0.0/8': give a list of networks, as in"),
        ({'allow': 5}, TypeError, 'allow is 5: give a list of networks'),
        ({'allow': [5]}, TypeError, "5 is not a network: write it as in '10.0.0.0/8'"),
        ({'allow': ['ten']}, ValueError, "'ten' does not appear to be an IPv4 or IPv6 network"),
        ({'max_calls': '5'}, TypeError, "max_calls is '5': give a whole number from 1 on"),
        ({'max_calls': 0}, ValueError, 'max_calls is 0: give a whole number from 1 on'),
        ({'max_calls_per_peer': 1.5}, TypeError, 'max_calls_per_peer is 1.5: give a whole number'),
        ({'line_limit': None}, TypeError, 'line_limit is None'),
        ({'call_timeout': '60'}, TypeError, "call_timeout is '60': give seconds, as a number"),
    ],
)
def test_a_wrong_type_is_said_in_a_sentence_before_it_listens(
    arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=re.escape(said)):
        Server([], port=0, **arguments)
