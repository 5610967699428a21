"""A simulated call over a real connection to a FastAGI server."""

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from .call import Running, SimulatedCall
from .channel import Channel, decode
from .events import CallEvent

_ONE_READ = 65536


@dataclass(frozen=True, slots=True)
class LineFromServer:
    """A line that Asterisk read, without its newline."""

    line: bytes

    def __str__(self) -> str:
        return f'> {decode(self.line)}'


@dataclass(frozen=True, slots=True)
class LineToServer:
    """A line that Asterisk sent, without its newline."""

    line: bytes

    def __str__(self) -> str:
        return f'< {decode(self.line)}'


Event = LineFromServer | LineToServer | CallEvent


def place_call(address: tuple[str, int], channel: Channel, *, timeout: float = 60.0) -> SimulatedCall:
    """Run a whole call with the server at `address`; returns it when it is over.

    Raises OSError if the server cannot be reached, and TimeoutError, which is one, if it neither sends anything nor
    closes for `timeout` seconds.
    """
    call = SimulatedCall(channel)
    for _ in run_call(call, address, timeout=timeout):
        pass
    return call


def run_call(
    call: SimulatedCall,
    address: tuple[str, int],
    *,
    timeout: float = 60.0,
    patience: float = inf,
    pace: float = 0.0,
) -> Iterator[Event]:
    """Run a call with the server at `address`; yields each event as it happens.

    `timeout` and errors are those of `place_call`. The caller hangs up after `patience` seconds of call time; playing
    one second of audio takes `pace` seconds.
    """
    with socket.create_connection(address, timeout) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield from _ConnectedCall(call, connection, timeout, patience, pace).events()


class _ConnectedCall:
    def __init__(
        self, call: SimulatedCall, connection: socket.socket, timeout: float, patience: float, pace: float
    ) -> None:
        self._call = call
        self._connection = connection
        self._timeout = timeout
        self._patience = patience
        self._pace = pace

    def events(self) -> Iterator[Event]:
        yield from self._send(self._call.opening())
        while not self._call.ended:
            piece = self._receive()
            if piece is None:
                self._patience = inf
                yield from self._hang_up()
            elif piece:
                self._call.feed(piece)
                yield from self._run_commands()
            else:
                yield from self._close()

    def _receive(self) -> bytes | None:
        """Bytes from the server, b'' if it closed, None if the caller's patience ended first."""
        if self._patience <= 0:
            return None
        began = time.monotonic()
        self._connection.settimeout(min(self._timeout, self._patience))
        try:
            return self._connection.recv(_ONE_READ)
        except TimeoutError:
            if self._patience > self._timeout:
                raise
            return None
        except ConnectionError:
            return b''
        finally:
            self._patience -= time.monotonic() - began

    def _run_commands(self) -> Iterator[Event]:
        while running := self._call.begin():
            yield LineFromServer(running.line)
            yield from running.events
            left_after = self._wait(running)
            count = len(self._call.events)
            reply = self._call.finish(running, left_after=left_after)
            yield from self._call.events[count:]
            yield from self._send(reply)

    def _wait(self, running: Running) -> float | None:
        """Let a command take its time; returns when the caller's patience ended, in seconds, or None."""
        seconds = min(running.seconds, self._patience)
        if seconds == inf:
            return None
        time.sleep(seconds * self._pace)
        self._patience -= seconds
        return seconds if self._patience <= 0 else None

    def _hang_up(self) -> Iterator[Event]:
        count = len(self._call.events)
        signal = self._call.hang_up()
        yield from self._call.events[count:]
        yield from self._send(signal)

    def _close(self) -> Iterator[Event]:
        lines, events = len(self._call.lines), len(self._call.events)
        farewell = self._call.close()
        yield from map(LineFromServer, self._call.lines[lines:])
        yield from self._call.events[events:]
        yield from self._send(farewell)

    def _send(self, raw: bytes) -> Iterator[Event]:
        self._connection.settimeout(self._timeout)
        try:
            self._connection.sendall(raw)
        except ConnectionError:
            return  # the server closed, which the next read shows
        yield from map(LineToServer, raw.split(b'\n')[:-1])
