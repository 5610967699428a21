"""A stream: the bytes of one session over a socket, each wait for them bounded."""

import socket
import struct
import time
from typing import Protocol

from ..errors import ConnectionLost

_CHUNK = 4096  # mostly a line


class Stream(Protocol):
    """What a call needs of the connection below it."""

    def send(self, data: bytes) -> None:
        """Send all of `data`. Raises ConnectionLost."""

    def receive(self, deadline: float) -> bytes:
        """What has come, at least one byte, waiting until time.monotonic() is `deadline` at most.

        Raises ConnectionLost when the other side closed, TimeoutError at the deadline.
        """

    def pending(self) -> bytes:
        """What has come already; nothing, if nothing has."""


class SocketStream:
    """A stream over a blocking socket that `bound_waits` has set up. One thread uses it at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, data: bytes) -> None:
        try:
            self._connection.sendall(data)
        except OSError as error:
            raise ConnectionLost(f'Asterisk took no command: {error}') from error

    def receive(self, deadline: float) -> bytes:
        while True:
            try:
                data = self._connection.recv(_CHUNK)
            except BlockingIOError:  # one tick of waiting is over
                if time.monotonic() >= deadline:
                    raise TimeoutError from None
            except OSError as error:
                raise ConnectionLost(f'Asterisk sent no reply: {error}') from error
            else:
                if not data:
                    raise ConnectionLost('Asterisk closed the connection')
                return data

    def pending(self) -> bytes:
        try:
            return self._connection.recv(_CHUNK, socket.MSG_DONTWAIT)
        except OSError:
            return b''


def bound_waits(connection: socket.socket, tick: float) -> None:
    """Let no wait on `connection`, or on what a listening one accepts, last longer than `tick` seconds.

    The kernel keeps the time, which saves Python a poll() before each recv().
    """
    timeval = struct.pack('ll', int(tick), int(tick % 1 * 1_000_000))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
