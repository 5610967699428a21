"""A stream: the bytes of one call over a socket or two pipes, with a limit on each wait."""

import os
import select
import socket
import struct
import time
from contextlib import suppress
from typing import Protocol

from ..errors import ConnectionLost

#: Bytes read at once: usually more than a line, and small enough for Python's own allocator. Each call that waits
#: for a reply holds them.
_CHUNK = 479

#: Seconds that a read waits in the kernel, at no cost, before it checks its deadline. A nearer deadline limits the
#: wait itself.
TICK = 5.0

#: The socket option whose value begins with the memory of unread data (asm-generic/socket.h).
_SO_MEMINFO = 55
_NO_MEMORY = bytes(4)

#: Seconds for which Asterisk may leave a pipe full.
_SEND_TIMEOUT = 10.0

_LONGEST_POLL = 3600.0

#: A line that begins like this makes Asterisk set AGISTATUS to FAILURE, so that the dialplan can react.
FAILURE = b'FAILURE\n'


class Stream(Protocol):
    """What a call needs of the connection below it."""

    def send(self, data: bytes) -> None:
        """Send all of `data`. Raises ConnectionLost."""

    def receive(self, deadline: float) -> bytes:
        """Return the bytes received, at least one, waiting until `deadline` on the clock of time.monotonic().

        Raises ConnectionLost when the other side closed, TimeoutError at the deadline.
        """

    def pending(self) -> bytes:
        """Return the bytes received so far, perhaps none, without waiting."""

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds` until something arrives or the other side closes; returns whether it did."""


class SocketStream:
    """A stream over a blocking socket that `bound_waits` has set up. One thread uses it at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, data: bytes) -> None:
        try:
            self._connection.sendall(data)
        except OSError as error:
            raise ConnectionLost(f'Asterisk accepted no command: {error}') from error

    def receive(self, deadline: float) -> bytes:
        while True:
            left = deadline - time.monotonic()
            if left < TICK and not self.wait(left):
                raise TimeoutError
            try:
                data = self._connection.recv(_CHUNK)
            except BlockingIOError:  # one tick has passed
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
        """Whether nothing has arrived, found out without recv(), which would let another thread run first."""
        connection = self._connection
        return (
            connection.family != socket.AF_UNIX  # where unread bytes count as the sender's memory
            and connection.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, len(_NO_MEMORY)) == _NO_MEMORY
        )

    def wait(self, seconds: float) -> bool:
        return ready(self._connection.fileno(), select.POLLIN, seconds)


class StdioStream:
    """A stream over a pair of pipes, such as a process gets from Asterisk; it closes them."""

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
            raise ConnectionLost(f'Asterisk accepted no command: {error}') from error

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
        """Close both pipes, even if they are closed already."""
        incoming, self._incoming = self._incoming, -1
        outgoing, self._outgoing = self._outgoing, -1
        for file in (incoming, outgoing):
            with suppress(OSError):
                os.close(file)


def ready(file: int, event: int, seconds: float) -> bool:
    """Whether `file` can be read or written, after waiting up to `seconds`, and never more than an hour."""
    poll = select.poll()
    poll.register(file, event)
    return bool(poll.poll(1000 * max(0.0, min(seconds, _LONGEST_POLL))))


def bound_waits(connection: socket.socket, tick: float) -> None:
    """Limit every wait on `connection`, and on connections that a listening one accepts, to `tick` seconds.

    The kernel keeps the time, which saves Python a poll() before each recv().
    """
    timeval = struct.pack('ll', int(tick), int(tick % 1 * 1_000_000))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
