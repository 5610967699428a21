"""How many calls each peer may have at once."""

import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hitcounter.agi import Call, Script, Server
from hitcounter.agi.serving import workers
from hitcounter.simulator import Channel, HangUp, HangUpTiming, SaidNumber, place_call
from tests.support.patience import PATIENCE
from tests.support.serving import assert_serves, closes, held_call, serving


def test_a_peer_has_so_many_calls_at_once_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    with held_call(max_calls_per_peer=1) as (server, call, go):
        assert place_call(server.address, Channel()).status == 'FAILURE'
        go.set()
        assert call().events == [SaidNumber(1)]
        assert_serves(server)
        server.stop()
    assert caplog.messages == [
        'rejected 127.0.0.1: it already has as many calls as one peer may have (max_calls_per_peer)'
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
        while server._workers.next_deadline() is None:
            pass
        server.stop()
    assert not server._peers._calls


def test_many_calls_of_one_peer_are_counted_exactly() -> None:
    with serving(max_calls=40, max_calls_per_peer=20) as server:
        with ThreadPoolExecutor(20) as callers:
            calls = [callers.submit(place_call, server.address, Channel()) for _ in range(400)]
            assert all(call.result(PATIENCE).events == [SaidNumber(1)] for call in calls)
        assert not server._peers._calls
