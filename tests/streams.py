"""Streams for tests: the other side of a call in memory."""

from collections import deque
from collections.abc import Iterable

from hitcounter.errors import ConnectionLost


class Scripted:
    """A stream on which these pieces arrive, each after one more read; then the other side has closed."""

    def __init__(self, pieces: Iterable[bytes] = (), late: bytes = b'') -> None:
        self.sent: list[bytes] = []
        self.deadlines: list[float] = []
        self._pieces = deque(pieces)
        self._late = late

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def receive(self, deadline: float) -> bytes:
        self.deadlines.append(deadline)
        if not self._pieces:
            raise ConnectionLost('no more pieces')
        return self._pieces.popleft()

    def pending(self) -> bytes:
        late, self._late = self._late, b''
        return late

    def wait(self, seconds: float) -> bool:
        return bool(self._late)
