"""A connection: one accepted socket, from its first byte to its close."""

import socket
from contextlib import suppress

from ..errors import ProtocolError
from .stream import FAILURE

#: Bytes that an environment may have; Asterisk's are about a thousand, and more with long arguments.
ENVIRONMENT_LIMIT = 65_536

_BEGIN = b'agi_'
_END = b'\n\n'


class Connection:
    """Belongs to the gatherer until the environment is whole, and from then on to one worker."""

    __slots__ = ('_failed', '_received', 'deadline', 'peer', 'socket')

    def __init__(self, accepted: socket.socket, peer: str, deadline: float) -> None:
        self.socket = accepted
        self.peer = peer
        #: Until when its environment must be whole.
        self.deadline = deadline
        self._received = b''
        self._failed = False

    @property
    def is_silent(self) -> bool:
        return not self._received

    def gather(self) -> bool:
        """Take what has come, without waiting; True once the environment is whole.

        Raises EOFError when the peer has closed, ProtocolError for what is no environment.
        """
        try:
            data = self.socket.recv(ENVIRONMENT_LIMIT - len(self._received), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            data = b''
        if not data:
            raise EOFError
        self._received += data
        if not _BEGIN.startswith(self._received[: len(_BEGIN)]):
            raise ProtocolError(f'it sent {self._received[:40]!r}, which begins no AGI environment')
        if _END in self._received:
            return True
        if len(self._received) == ENVIRONMENT_LIMIT:
            raise ProtocolError(f'its environment has more than {ENVIRONMENT_LIMIT} bytes')
        return False

    def environment(self) -> tuple[bytes, bytes]:
        """The gathered block, its empty line included, and what has come after it: perhaps a HANGUP already."""
        block, end, rest = self._received.partition(_END)
        self._received = b''
        return block + end, rest

    def fail(self) -> None:
        """Let the dialplan see AGISTATUS=FAILURE when the connection is closed."""
        self._failed = True

    def cut(self) -> None:
        """End it from another thread: whoever waits for bytes finds it closed."""
        with suppress(OSError):  # it has ended by itself
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._failed:
            with suppress(OSError):  # nobody is left to be told
                self.socket.send(FAILURE, socket.MSG_DONTWAIT)
        self.socket.close()
