"""Streams for tests: the other side of a call in memory."""

from collections import deque
from collections.abc import Iterable

from hitcounter.errors import ConnectionLost


class Scripted:
    """A stream on which these pieces arrive, each after one more read; then the other side has closed.

    What is `late` comes unasked after all of them.
    """

    def __init__(self, pieces: Iterable[bytes] = (), late: bytes = b'') -> None:
        self.sent: list[bytes] = []
        self.deadlines: list[float] = []
        self._pieces = deque(pieces)
        self._unasked = b''
        self._late = late

    def comes_unasked(self, data: bytes) -> None:
        """Let this come now, while no command is under way."""
        self._unasked += data

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def receive(self, deadline: float) -> bytes:
        self.deadlines.append(deadline)
        if not self._pieces:
            raise ConnectionLost('no more pieces')
        return self._pieces.popleft()

    def pending(self) -> bytes:
        self.wait(0)
        unasked, self._unasked = self._unasked, b''
        return unasked

    def wait(self, seconds: float) -> bool:
        if not self._pieces:
            self._unasked += self._late
            self._late = b''
        return bool(self._unasked)
