"""The audio that EAGI adds to a call: the caller's voice, as bytes."""

import os
import select

from ..errors import ConnectionLost
from .stream import ready

#: Samples in a second, of two bytes each.
RATE = 8000

_CHUNK = 4096  # a quarter of a second


class Audio:
    """The caller's voice: signed linear samples of 16 bits in the machine's byte order, 8000 a second, one channel.

    If the script does not read, Asterisk keeps about four seconds (a pipe's 64 KiB) and drops the rest.
    """

    def __init__(self, file: int) -> None:
        self._file = file

    def __repr__(self) -> str:
        return f'<Audio from file descriptor {self._file}>'

    def read(self, timeout: float = 1.0) -> bytes:
        """The samples since the last read, a quarter of a second at most; b'' if none arrive within `timeout` seconds.

        After a hangup none arrive: check `call.hung_up`. Raises ConnectionLost once Asterisk has closed it.
        """
        if not ready(self._file, select.POLLIN, timeout):
            return b''
        samples = os.read(self._file, _CHUNK)
        if not samples:
            raise ConnectionLost('Asterisk closed the audio')
        return samples
