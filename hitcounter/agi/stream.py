"""A stream: the bytes of one session over a socket or two pipes, each wait for them bounded."""

import os
import select
import socket
import struct
import time
from contextlib import suppress
from typing import Protocol

from ..errors import ConnectionLost

#: Bytes that are read at once: mostly more than a line, and as many as Python keeps in its own small blocks. Each
#: call that waits for a reply holds them.
_CHUNK = 479

#: Seconds that a read waits within the kernel, which costs nothing, before it checks its deadline. A nearer deadline
#: limits the wait itself.
TICK = 5.0

#: The socket option that gives the memory of what has come and was not read, then more (asm-generic/socket.h).
_SO_MEMINFO = 55
_NO_MEMORY = bytes(4)

#: Seconds that Asterisk may leave a pipe full.
_SEND_TIMEOUT = 10.0

_LONGEST_POLL = 3600.0

#: A line that begins so makes Asterisk set AGISTATUS to FAILURE, and the dialplan can go elsewhere.
FAILURE = b'FAILURE\n'


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

    def wait(self, seconds: float) -> bool:
        """Wait, for `seconds` at most, until something comes or the other side closes; returns whether it did."""


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
            left = deadline - time.monotonic()
            if left < TICK and not self.wait(left):
                raise TimeoutError
            try:
                data = self._connection.recv(_CHUNK)
            except BlockingIOError:  # one tick of waiting is over
                continue
            except OSError as error:
                raise ConnectionLost(f'Asterisk sent no reply: {error}') from error
            else:
                if not data:
                    raise ConnectionLost('Asterisk closed the connection')
                return data

    def pending(self) -> bytes:
        try:
            if self._is_empty():
                return b''
            return self._connection.recv(_CHUNK, socket.MSG_DONTWAIT)
        except OSError:
            return b''

    def _is_empty(self) -> bool:
        """Whether nothing has come, as far as that can be told without recv(), which lets another thread go first."""
        connection = self._connection
        return (
            connection.family != socket.AF_UNIX  # where the bytes are on the account of who sent them
            and connection.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, len(_NO_MEMORY)) == _NO_MEMORY
        )

    def wait(self, seconds: float) -> bool:
        return ready(self._connection.fileno(), select.POLLIN, seconds)


class StdioStream:
    """A stream over a pair of pipes, such as those that Asterisk gives to a process; it closes them."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    def send(self, data: bytes) -> None:
        if self._outgoing < 0:
            raise ConnectionLost('the call is over')
        try:
            while data:
                if not ready(self._outgoing, select.POLLOUT, _SEND_TIMEOUT):
                    raise TimeoutError('the pipe is full')
                data = data[os.write(self._outgoing, data[: select.PIPE_BUF]) :]  # as much as never blocks
        except OSError as error:
            raise ConnectionLost(f'Asterisk took no command: {error}') from error

    def receive(self, deadline: float) -> bytes:
        while not self.wait(deadline - time.monotonic()):
            if time.monotonic() >= deadline:
                raise TimeoutError
        data = self._read()
        if not data:
            raise ConnectionLost('Asterisk closed the connection')
        return data

    def pending(self) -> bytes:
        return self._read() if self.wait(0) else b''

    def wait(self, seconds: float) -> bool:
        return ready(self._incoming, select.POLLIN, seconds)

    def _read(self) -> bytes:
        try:
            return os.read(self._incoming, _CHUNK)
        except OSError as error:
            raise ConnectionLost(f'Asterisk sent no reply: {error}') from error

    def close(self) -> None:
        """Give both pipes back; what is not open is no error."""
        incoming, self._incoming = self._incoming, -1
        outgoing, self._outgoing = self._outgoing, -1
        for file in (incoming, outgoing):
            with suppress(OSError):
                os.close(file)


def ready(file: int, event: int, seconds: float) -> bool:
    """Whether `file` can be read or written, waiting for it so many seconds, and never more than an hour."""
    poll = select.poll()
    poll.register(file, event)
    return bool(poll.poll(1000 * max(0.0, min(seconds, _LONGEST_POLL))))


def bound_waits(connection: socket.socket, tick: float) -> None:
    """Let no wait on `connection`, or on what a listening one accepts, last longer than `tick` seconds.

    The kernel keeps the time, which saves Python a poll() before each recv().
    """
    timeval = struct.pack('ll', int(tick), int(tick % 1 * 1_000_000))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
