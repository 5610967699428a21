"""A session with the real Asterisk that the test itself leads, command by command."""

import socket
import time
from collections.abc import Callable, Iterable

from hitcounter.agi import Call
from hitcounter.agi.protocol.environment import OF_SERVER, EnvironmentBuffer
from hitcounter.agi.stream import SocketStream, bound_waits
from tests.support.asterisk.telephony import Caller
from tests.support.patience import PATIENCE

TakeCall = Callable[..., 'Session']
"""Lets someone call, as `Asterisk.dial` does, and begins the session."""


class Session:
    """A caller, and the `call` as a script has it; the end of the block closes it."""

    def __init__(self, caller: Caller, listener: socket.socket) -> None:
        self.caller = caller
        self._connection, _ = listener.accept()
        bound_waits(self._connection, 5)
        stream = SocketStream(self._connection)
        opening = EnvironmentBuffer(OF_SERVER)
        while not opening.feed(stream.receive(time.monotonic() + PATIENCE)):
            pass
        environment, rest = opening.take()
        self.call = Call(environment, stream, rest, deadline=time.monotonic() + 120)

    def exchange(self, pieces: Iterable[bytes], lines: int) -> bytes:
        """Send bytes as no call would, each piece by itself; returns so many lines of what Asterisk answers."""
        for piece in pieces:
            self._connection.sendall(piece)
            time.sleep(0.1)  # so that Asterisk reads each by itself; nothing tells when it has
        with self._connection.dup() as connection:
            connection.settimeout(PATIENCE)
            answers = b''
            while answers.count(b'\n') < lines:
                answers += connection.recv(4096)
        return answers

    def __enter__(self) -> 'Session':
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
