"""Servers of the tests, in this process."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from hitcounter.agi import Call, Script, Server
from hitcounter.errors import ProtocolError
from hitcounter.simulator import Channel, SaidNumber, SimulatedCall, place_call
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


def lose(call: Call) -> None:
    raise ProtocolError(f'{call.environment.channel!r} is not a reply')
