"""A connection: one accepted socket, from its first byte to its close."""

import select
import socket
import time
from contextlib import suppress

from ..protocol.environment import OF_SERVER, Environment, EnvironmentBuffer
from ..stream import FAILURE, ready

#: Seconds and bytes for which a connection is still read, and the bytes discarded, after FAILURE was sent. If it were
#: closed with unread bytes, the system would reset it, and a reset can overtake FAILURE. Asterisk closes it at once,
#: unless it is carrying out a command.
LINGER = 1.0
LINGER_BYTES = 262_144


class Connection:
    """Owned by the acceptor until the environment is complete, and then by one worker."""

    __slots__ = ('_failed', '_left', '_opening', 'arrived', 'deadline', 'peer', 'socket')

    def __init__(self, accepted: socket.socket, peer: str, deadline: float) -> None:
        self.socket = accepted
        self.peer = peer
        #: When it was accepted, in seconds since 1970, UTC.
        self.arrived = time.time()
        #: When its environment must be complete, or, after it failed, when it is closed.
        self.deadline = deadline
        self._opening = EnvironmentBuffer(OF_SERVER)
        self._failed = False
        self._left = LINGER_BYTES

    @property
    def is_silent(self) -> bool:
        return not self._opening

    def read_environment(self) -> bool:
        """Read what has arrived, without waiting; returns whether the environment is complete.

        Raises EOFError if the peer has closed, ProtocolError for what cannot become an environment.
        """
        try:
            data = self.socket.recv(self._opening.room, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            data = b''
        if not data:
            raise EOFError
        return self._opening.feed(data)

    def environment(self) -> tuple[Environment, bytes]:
        """The environment, and the bytes after it, perhaps already a HANGUP.

        Raises ProtocolError for what Asterisk does not send.
        """
        return self._opening.take()

    @property
    def has_failed(self) -> bool:
        """Whether `fail` has been called."""
        return self._failed

    def fail(self) -> None:
        """Let the dialplan see AGISTATUS=FAILURE, and send nothing more. Any thread may call it, and it does not wait.

        Asterisk reads it once it has carried out the running command.
        """
        if self._failed:
            return
        self._failed = True
        with suppress(OSError):  # the other side is gone, or does not read
            self.socket.send(FAILURE, socket.MSG_DONTWAIT)
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def is_parting(self) -> bool:
        """Discard what has arrived since `fail`, without waiting; returns whether to wait for more."""
        try:
            received = len(self.socket.recv(4096, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._left -= received
        return received > 0 and self._left > 0

    def cut(self) -> None:
        """End it from another thread: a worker that waits for bytes finds it closed."""
        with suppress(OSError):  # it has ended by itself
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it. If it failed, first wait up to LINGER seconds until the other side has read FAILURE."""
        if self._failed:
            deadline = time.monotonic() + LINGER
            while (left := deadline - time.monotonic()) > 0:
                if ready(self.socket.fileno(), select.POLLIN, left) and not self.is_parting():
                    break
        self.socket.close()

    def drop(self) -> None:
        """Close it at once."""
        self.socket.close()
