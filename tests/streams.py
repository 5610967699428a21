"""Streams for tests: the other side of a call in memory."""

from collections import deque
from collections.abc import Iterable

from hitcounter.agi.call import Call
from hitcounter.agi.environment import Environment
from hitcounter.agi.pretend import Channel, PretendCall
from hitcounter.errors import ConnectionLost


class Scripted:
    """A stream on which these pieces arrive, each after one more read; then the other side has closed."""

    def __init__(self, pieces: Iterable[bytes] = (), late: bytes = b'') -> None:
        self.sent: list[bytes] = []
        self._pieces = deque(pieces)
        self._late = late

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def receive(self, deadline: float) -> bytes:
        if not self._pieces:
            raise ConnectionLost('no more pieces')
        return self._pieces.popleft()

    def pending(self) -> bytes:
        late, self._late = self._late, b''
        return late


class Pretended(Scripted):
    """A stream to a pretend Asterisk."""

    def __init__(self, call: PretendCall) -> None:
        super().__init__()
        self._call = call

    def send(self, data: bytes) -> None:
        super().send(data)
        self._pieces.append(self._call.receive(data))


def dial(channel: Channel) -> tuple[Call, PretendCall, Pretended]:
    """A call to a pretend Asterisk, that Asterisk, and the stream between them."""
    pretend = PretendCall(channel)
    stream = Pretended(pretend)
    block, end, rest = pretend.opening().partition(b'\n\n')
    return Call(Environment.parse(block + end), stream, rest), pretend, stream
