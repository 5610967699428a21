"""The test kit: leads calls with a script, in memory or over a real connection, where there is no PBX.

A pretend Asterisk plays the other side; it is held against recordings of a real one. What happened is then in its
`heard`, `lines`, `status`, `variables` and `database`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from .agi import Call, Environment, Script, Server, pretend
from .agi.pretend import *  # noqa: F403 all of it belongs to the kit, and its names stand in one list
from .agi.pretend import Channel, Manner, PretendCall
from .errors import ConnectionLost, Hangup

__all__ = ['connect', 'dial', 'serving']
__all__ += pretend.__all__

#: Seconds that calls have to end before a test's server cuts them.
_DRAIN = 1.0


def dial(channel: Channel, script: Callable[[Call], object]) -> PretendCall:
    """Lead a whole call with `script`, in memory and in this thread; returns the pretend Asterisk when it is over.

    A caller who hangs up, and an Asterisk that vanishes, end the call as they do on a server. Whatever else the
    script raises is raised here.
    """
    call, asterisk = connect(channel)
    with suppress(Hangup, ConnectionLost):
        script(call)
    asterisk.close()
    return asterisk


def connect(channel: Channel) -> tuple[Call, PretendCall]:
    """A call in memory, on which the test itself gives the commands, and the pretend Asterisk that answers them."""
    asterisk = PretendCall(channel)
    block, end, rest = asterisk.opening().partition(b'\n\n')
    call = Call(Environment.parse(block + end), _Line(asterisk), rest, line_limit=channel.line_limit)
    return call, asterisk


@contextmanager
def serving(scripts: Iterable[Script[..., object]]) -> Iterator[tuple[str, int]]:
    """A server with these `scripts` on a free port of this machine, for `place_call`; gives its address."""
    server = Server(scripts, port=0)
    server.start()
    try:
        yield server.address
    finally:
        server.stop(_DRAIN)


class _Line:
    """The stream between a call and a pretend Asterisk."""

    def __init__(self, asterisk: PretendCall) -> None:
        self._asterisk = asterisk
        self._pieces: deque[bytes] = deque()

    def send(self, data: bytes) -> None:
        self._asterisk.feed(data)
        while running := self._asterisk.begin():
            if running.manner is Manner.AFTER:  # of which the script learns at its next command
                self._pieces.append(self._asterisk.finish(replace(running, manner=None)))
                self._pieces.append(self._asterisk.hang_up())
            else:
                self._pieces.append(self._asterisk.finish(running))

    def receive(self, deadline: float) -> bytes:
        if self._pieces:
            return self._pieces.popleft()
        if self._asterisk.ended:
            raise ConnectionLost('Asterisk closed the connection')
        raise TimeoutError  # there is nobody else who could send

    def pending(self) -> bytes:
        pieces, self._pieces = b''.join(self._pieces), deque()
        return pieces
