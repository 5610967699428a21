"""The test kit: runs calls with a script, in memory or over a real connection, without a PBX.

The other side is a simulated call, which is tested against recordings of a real Asterisk. What happened is in its
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
from .simulator import *  # noqa: F403 all of it belongs to the kit, and its __all__ is the one list of names
from .simulator import Channel, HangUpTiming, SimulatedCall
from .simulator.events import *  # noqa: F403 -- a type checker does not see these through the line above

__all__ = ['connect', 'dial', 'serving']
__all__ += simulator.__all__

#: Seconds that calls have to end before a test's server cuts them.
_DRAIN = 1.0


def dial(channel: Channel, script: Callable[[Call], object]) -> SimulatedCall:
    """Run a whole call with `script`, in memory and in this thread; returns Asterisk's side of it when it is over.

    A hangup, or an Asterisk that vanishes, ends the call as on a server. Anything else that the script raises is raised
    here. The script's path need not be the channel's, unless it has parameters.
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
    """A call in memory, on which the test itself gives the commands, and the simulated call that answers them."""
    asterisk = _LocalCall(channel)
    environment, rest = Environment.opening(asterisk.opening())
    call = Call(
        environment,
        asterisk.wire,
        rest,
        parameters=parameters,
        line_limit=channel.line_limit,
        arrived=channel.arrived,
    )
    asterisk.wire.clear()  # of what is in `rest`
    return call, asterisk


@contextmanager
def serving(scripts: Iterable[Script[..., object]]) -> Iterator[tuple[str, int]]:
    """Serve `scripts` on a free port of this machine, for `place_call`; yields the address."""
    server = Server(scripts, port=0)
    server.start()
    try:
        yield server.address
    finally:
        server.stop(_DRAIN)


class _LocalCall(SimulatedCall):
    """A simulated call whose bytes, unasked ones too, reach the script's side at once."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel)
        self.wire = _Wire(self)

    def hang_up(self) -> bytes:
        return self.wire.carry(super().hang_up())

    def idle(self, seconds: float) -> bytes:
        return self.wire.carry(super().idle(seconds))


class _Wire:
    """The stream between a call and its simulated other side."""

    def __init__(self, asterisk: SimulatedCall) -> None:
        self._asterisk = asterisk
        self._pieces: deque[bytes] = deque()

    def carry(self, piece: bytes) -> bytes:
        """Take bytes that Asterisk sends unasked; the call reads them with its next reply."""
        if piece:
            self._pieces.append(piece)
        return piece

    def clear(self) -> None:
        self._pieces.clear()

    def send(self, data: bytes) -> None:
        self._asterisk.feed(data)
        while running := self._asterisk.begin():
            if running.timing is HangUpTiming.AFTER:
                self._pieces.append(self._asterisk.finish(replace(running, timing=None)))
                self._asterisk.hang_up()
            else:
                self._pieces.append(self._asterisk.finish(running))

    def receive(self, deadline: float) -> bytes:
        if self._pieces:
            return self._pieces.popleft()
        if self._asterisk.ended:
            raise ConnectionLost('Asterisk closed the connection')
        raise TimeoutError  # nobody else could send anything

    def pending(self) -> bytes:
        pieces, self._pieces = b''.join(self._pieces), deque()
        return pieces

    def wait(self, seconds: float) -> bool:
        if seconds and not self._pieces and not self._asterisk.ended:
            self._asterisk.idle(seconds)
        return bool(self._pieces) or self._asterisk.ended
