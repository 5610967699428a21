"""The audio that Asterisk's EAGI adds to a session: what the caller says, as bytes."""

import os
import select

from ..errors import ConnectionLost
from .stream import ready

#: Samples in a second, of two bytes each.
RATE = 8000

_CHUNK = 4096  # a quarter of a second


class Audio:
    """What the caller says: signed linear samples of 16 bits in the machine's order, 8000 a second, one channel.

    Asterisk keeps about four seconds (a pipe's 64 KiB) for a script that does not read, and drops what is more.
    """

    def __init__(self, file: int) -> None:
        self._file = file

    def __repr__(self) -> str:
        return f'<Audio from file descriptor {self._file}>'

    def read(self, timeout: float = 1.0) -> bytes:
        """What came since the last time, a quarter of a second of it at most; nothing if none comes in `timeout` s.

        After a hangup none comes: look at `call.hung_up`. Raises ConnectionLost once Asterisk has closed it.
        """
        if not ready(self._file, select.POLLIN, timeout):
            return b''
        samples = os.read(self._file, _CHUNK)
        if not samples:
            raise ConnectionLost('Asterisk closed the audio')
        return samples
