"""The test kit: leads calls with a script, in memory or over a real connection, where there is no PBX.

A pretend Asterisk plays the other side; it is held against recordings of a real one. What happened is then in its
`events`, `lines`, `status`, `variables` and `database`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import MappingProxyType

from . import simulator
from .agi import Call, Environment, Script, Server
from .agi.script import Scripts, refuse_what_never_ran
from .errors import ConnectionLost, Hangup, ScriptError
from .simulator import *  # noqa: F403 all of it belongs to the kit, and its names stand in one list
from .simulator import Channel, HangUpTiming, SimulatedCall
from .simulator.events import *  # noqa: F403 -- a type checker does not see these through the line above

__all__ = ['connect', 'dial', 'serving']
__all__ += simulator.__all__

#: Seconds that calls have to end before a test's server cuts them.
_DRAIN = 1.0


def dial(channel: Channel, script: Callable[[Call], object]) -> SimulatedCall:
    """Lead a whole call with `script`, in memory and in this thread; returns the pretend Asterisk when it is over.

    A caller who hangs up, and an Asterisk that vanishes, end the call as they do on a server. Whatever else the
    script raises is raised here. Its path need not be the channel's, unless it has parameters.
    """
    call, asterisk = connect(channel, parameters=_parameters(channel, script))
    with suppress(Hangup, ConnectionLost):
        refuse_what_never_ran(script(call), script)
    asterisk.close()
    return asterisk


def _parameters(channel: Channel, script: Callable[[Call], object]) -> Mapping[str, str]:
    if not isinstance(script, Script):
        return {}
    found, parameters = Scripts([script]).find(channel.network_script)
    if found is None and '{' in script.path:
        raise ScriptError(f'{channel.url!r} does not ask for the script {script}: give the channel such a url')
    return parameters


def connect(channel: Channel, *, parameters: Mapping[str, str] = MappingProxyType({})) -> tuple[Call, SimulatedCall]:
    """A call in memory, on which the test itself gives the commands, and the pretend Asterisk that answers them."""
    asterisk = _NearAsterisk(channel)
    environment, rest = Environment.opening(asterisk.opening())
    call = Call(environment, asterisk.line, rest, parameters=parameters, line_limit=channel.line_limit)
    asterisk.line.clear()  # of what is in `rest`
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


class _NearAsterisk(SimulatedCall):
    """A pretend Asterisk that is heard at once over a line, also what it says unasked."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel)
        self.line = _Line(self)

    def hang_up(self) -> bytes:
        return self.line.carry(super().hang_up())

    def idle(self, seconds: float) -> bytes:
        return self.line.carry(super().idle(seconds))


class _Line:
    """The stream between a call and a pretend Asterisk."""

    def __init__(self, asterisk: SimulatedCall) -> None:
        self._asterisk = asterisk
        self._pieces: deque[bytes] = deque()

    def carry(self, piece: bytes) -> bytes:
        """Take what Asterisk says unasked, of which the call learns with its next reply."""
        if piece:
            self._pieces.append(piece)
        return piece

    def clear(self) -> None:
        self._pieces.clear()

    def send(self, data: bytes) -> None:
        self._asterisk.feed(data)
        while running := self._asterisk.begin():
            if running.manner is HangUpTiming.AFTER:
                self._pieces.append(self._asterisk.finish(replace(running, manner=None)))
                self._asterisk.hang_up()
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

    def wait(self, seconds: float) -> bool:
        if seconds and not self._pieces and not self._asterisk.ended:
            self._asterisk.idle(seconds)
        return bool(self._pieces) or self._asterisk.ended
