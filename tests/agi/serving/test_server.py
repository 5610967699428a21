"""The server, over real sockets."""

import logging
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hitcounter.agi import Call, Script, Server
from hitcounter.agi.stream import FAILURE
from hitcounter.errors import CommandRefused, Hangup, ListenError, UpdateFailed
from hitcounter.simulator import Channel, HangUp, HangUpTiming, SaidNumber, place_call
from tests.support.patience import PATIENCE
from tests.support.serving import assert_serves, closes, say_one, serving


def test_a_call_runs_its_script_and_is_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with serving() as server:
        call = place_call(server.address, Channel(unique_id='17.1', caller_id='555', extension='31415'))
    assert call.events == [SaidNumber(1)]
    assert call.status == 'SUCCESS'
    (line,) = caplog.messages
    assert re.fullmatch(r'17\.1: ended after 0\.\d{3} s: script=hits line=31415 caller=555 agistatus=SUCCESS', line)


def test_a_script_that_is_not_there_fails() -> None:
    with serving() as server:
        assert place_call(server.address, Channel(url='agi://127.0.0.1/nosuch')).status == 'FAILURE'


def test_a_script_has_its_parameters_query_and_arguments() -> None:
    def tell(call: Call) -> None:
        call.say_number(len(call.parameters['line']))
        heard.append((dict(call.parameters), dict(call.url_query), call.environment.arguments))

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


def test_a_call_arrives_when_its_connection_is_accepted_however_long_it_waits_for_a_worker() -> None:
    def hold(call: Call) -> None:
        arrived.append(call.arrived)
        begun.set()
        assert go.wait(PATIENCE)

    arrived: list[float] = []
    begun, go = threading.Event(), threading.Event()
    before = time.time()
    with serving(hold, max_calls=1) as server, ThreadPoolExecutor() as callers:
        first = callers.submit(place_call, server.address, Channel())
        assert begun.wait(PATIENCE)
        second = callers.submit(place_call, server.address, Channel())
        while server._workers.next_deadline() is None:
            pass
        waiting = time.time()
        go.set()
        assert first.result(PATIENCE).status == second.result(PATIENCE).status == 'SUCCESS'
    assert before <= arrived[0] <= arrived[1] <= waiting


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


def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    with serving() as server:
        assert server.address[0] == '127.0.0.1'


def test_it_listens_to_other_machines_only_with_an_allow_list() -> None:
    with pytest.raises(ListenError, match='give the networks that may call'):
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
