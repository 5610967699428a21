"""A session with the real Asterisk that the test itself leads, command by command."""

import socket
import time
from collections.abc import Callable

from patience import PATIENCE
from telephony import Caller

from hitcounter.agi import Call, Environment
from hitcounter.agi.stream import SocketStream, bound_waits

Lead = Callable[..., 'Session']
"""Lets someone call, as `Asterisk.dial` does, and begins the session."""


class Session:
    """A caller, and the `call` as a script has it; the end of the block closes it."""

    def __init__(self, caller: Caller, listener: socket.socket) -> None:
        self.caller = caller
        self._connection, _ = listener.accept()
        bound_waits(self._connection, 5)
        stream = SocketStream(self._connection)
        received = b''
        while b'\n\n' not in received:
            received += stream.receive(time.monotonic() + PATIENCE)
        block, end, rest = received.partition(b'\n\n')
        self.call = Call(Environment.parse(block + end), stream, rest, deadline=time.monotonic() + 120)

    def __enter__(self) -> 'Session':
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
