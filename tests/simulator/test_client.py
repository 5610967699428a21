"""Simulated calls over real connections."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from hitcounter.simulator import (
    Answered,
    CallerHungUp,
    Channel,
    HangUp,
    HangUpTiming,
    LineFromServer,
    LineToServer,
    Played,
    SaidNumber,
    SimulatedCall,
    place_call,
    run_call,
)
from tests.support.patience import PATIENCE


def test_a_call_goes_its_whole_way():
    def script(server):
        server.tell('ANSWER')
        server.tell('SAY NUMBER 42 ""')

    with serving(script) as address:
        call = place_call(address, Channel())

    assert call.events == [Answered(), SaidNumber(42)]
    assert call.lines == [b'ANSWER', b'SAY NUMBER 42 ""']
    assert call.status == 'SUCCESS'


def test_the_server_is_told_of_its_own_hangup():
    replies = []

    def script(server):
        replies.append(server.tell('HANGUP'))
        replies.append(server.rfile.readline())

    with serving(script) as address:
        call = place_call(address, Channel())

    assert replies == [b'200 result=1\n', b'HANGUP\n']
    assert call.status == 'HANGUP'


def test_the_word_failure_ends_the_call():
    def script(server):
        assert server.tell('failure') == b'HANGUP\n'
        assert server.rfile.readline() == b''

    with serving(script) as address:
        assert place_call(address, Channel()).status == 'FAILURE'


def test_a_caller_may_vanish_from_a_real_connection():
    seen = []

    with serving(lambda server: seen.append(server.tell('ANSWER'))) as address:
        call = place_call(address, Channel(hang_up=HangUp(1, HangUpTiming.VANISHING)))

    assert seen == [b'']
    assert call.status is None


def test_a_server_that_closes_at_once_is_no_failure():
    with serving(lambda server: None) as address:
        assert place_call(address, Channel()).status == 'SUCCESS'


def test_a_silent_server_is_waited_for_no_longer_than_the_timeout():
    done = threading.Event()

    with serving(lambda server: done.wait(PATIENCE)) as address:
        with pytest.raises(TimeoutError):
            place_call(address, Channel(), timeout=0.01)
        done.set()


def test_a_server_that_is_not_there_is_an_os_error():
    with serving(lambda server: None) as address:
        pass

    with pytest.raises(ConnectionRefusedError):
        place_call(address, Channel())


def test_all_that_happens_is_told_in_order():
    with serving(lambda server: server.tell('STREAM FILE hello ""')) as address:
        events = list(run_call(SimulatedCall(Channel()), address))

    assert events[0] == LineToServer(b'agi_network: yes')
    assert events[-4:] == [
        LineFromServer(b'STREAM FILE hello ""'),
        Played('hello'),
        LineToServer(b'200 result=0 endpos=8000'),
        LineToServer(b'HANGUP'),
    ]


def test_what_is_still_unread_at_the_end_is_told_too():
    with serving(lambda server: server.wfile.write(b'NOOP\nANSWER\n')) as address:
        events = list(run_call(SimulatedCall(Channel()), address))

    assert [event for event in events if not isinstance(event, LineToServer)] == [
        LineFromServer(b'NOOP'),
        LineFromServer(b'ANSWER'),
        Answered(),
    ]


def test_patience_ends_during_a_prompt():
    def script(server):
        assert server.tell('STREAM FILE short ""') == b'200 result=0 endpos=8000\n'
        reply = server.tell('STREAM FILE long ""')
        assert 24000 < int(reply.removeprefix(b'200 result=-1 endpos=')) <= 32000  # less the real time that passed
        assert server.rfile.readline() == b'HANGUP\n'

    with serving(script) as address:
        call = SimulatedCall(Channel(samples={'long': 160000}))
        events = list(run_call(call, address, patience=5))

    assert CallerHungUp() in events
    assert call.status == 'HANGUP'


def test_patience_ends_while_the_server_thinks():
    with serving(lambda server: server.rfile.readline()) as address:
        call = SimulatedCall(Channel())
        list(run_call(call, address, patience=0.01))

    assert call.events == [CallerHungUp()]


def test_a_wait_for_ever_ends_at_once_without_a_plan():
    with serving(lambda server: server.tell('WAIT FOR DIGIT -1')) as address:
        assert place_call(address, Channel()).status == 'HANGUP'


class Server(socketserver.StreamRequestHandler):
    """One call as the server sees it."""

    def handle(self) -> None:
        while self.rfile.readline() not in (b'\n', b''):
            pass
        self.server.script(self)  # type: ignore[attr-defined]  # the server has it

    def tell(self, command: str) -> bytes:
        self.wfile.write(command.encode() + b'\n')
        return self.rfile.readline()


@contextmanager
def serving(script: Callable[[Server], object]) -> Iterator[tuple[str, int]]:
    """A FastAGI server that runs `script` for each call; what goes wrong in one is raised at the end."""
    errors: list[AssertionError | OSError] = []

    def run(server: Server) -> None:
        try:
            script(server)
        except (AssertionError, OSError) as error:  # The test's to know, not this thread's.
            errors.append(error)

    with socketserver.ThreadingTCPServer(('127.0.0.1', 0), Server) as listener:
        listener.script = run  # type: ignore[attr-defined]  # for the handler
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,), name='listener')
        thread.start()
        try:
            yield listener.server_address
        finally:
            listener.shutdown()
            thread.join()
    if errors:
        raise errors[0]
