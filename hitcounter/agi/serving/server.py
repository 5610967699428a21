"""The threaded FastAGI server.

The way of one call: the acceptor accepts the connection and reads its environment; a worker makes a Call of it, runs
the script that the environment asks for, logs one line, and closes the connection.
"""

import ipaddress
import logging
import math
import os
import socket
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from ...errors import CallError, ListenError
from ..call import Call
from ..call_log import CLOSED, FAILED, HUNG_UP, OVERDUE, Ending, log_end
from ..protocol.command import LINE_LIMIT
from ..script import Script, Scripts, run_script
from ..stream import TICK, SocketStream, bound_waits
from .acceptor import BACKLOG, HANDSHAKE_TIMEOUT, Acceptor, Network
from .connection import LINGER, Connection
from .peer_limit import PeerLimit
from .running_calls import RunningCall, RunningCalls
from .workers import Workers

logger = logging.getLogger(__name__)

#: The port that `agi://host` stands for.
PORT = 4573

#: Calls at once; each has a thread.
MAX_CALLS = 1000

#: Notices within two minutes that the other machine is gone.
_KEEPALIVE = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 6}

#: Seconds that a script has to end after its call was cut and its connection closed.
GRACE = 2.0


@dataclass(frozen=True, slots=True)
class Drained:
    """How the calls ended that were running when the server was stopped."""

    #: They ended by themselves.
    ended: int
    #: They were cut.
    closed: int
    #: They were cut, but their scripts kept running.
    forced: int


class Server:
    """Serves calls in its own threads from `start` to `stop`; callers before `start` wait.

    Each of `scripts` is called with the call alone: `bind` those that take more. Peers on other machines must be in
    one of the `allow` networks, such as `10.0.0.0/8`. `max_calls_per_peer` is how many of the calls may come
    from one address; None for any number. `call_timeout`, in seconds, ends a call whatever it is doing.
    `line_limit` is the bytes that Asterisk takes in a command; Asterisk 16 takes 2047. With `keep_withheld`,
    callers who withhold their number are logged like all others, and `call.caller_withheld` is never true. Raises
    ListenError if it cannot listen there, ScriptError if the scripts cannot be served together, ValueError for what is
    not a network.

    It installs no signal handlers: `wait`, then `stop`, in the main thread, or use it in a `with` statement, which
    stops it at the end of the block, also after an exception or Ctrl-C.
    """

    def __init__(
        self,
        scripts: Iterable[Script[..., object]],
        host: str = '127.0.0.1',
        port: int = PORT,
        *,
        allow: Iterable[Network | str] = (),
        max_calls: int = MAX_CALLS,
        max_calls_per_peer: int | None = None,
        call_timeout: float = math.inf,
        line_limit: int = LINE_LIMIT,
        keep_withheld: bool = False,
    ) -> None:
        _check_numbers(max_calls=max_calls, line_limit=line_limit)
        if max_calls_per_peer is not None:
            _check_numbers(max_calls_per_peer=max_calls_per_peer)
        if not hasattr(call_timeout, '__float__'):
            raise TypeError(f'call_timeout is {call_timeout!r}: give seconds, as a number')
        self._scripts = Scripts(scripts)
        self._peers = PeerLimit(max_calls_per_peer)
        self._call_timeout = call_timeout
        self._line_limit = line_limit
        self._keep_withheld = keep_withheld
        self._calls = RunningCalls()
        self._drained: Drained | None = None  # what `stop` returned
        networks = _networks(allow)
        with ExitStack() as opened:
            listener = opened.enter_context(_listen(host, port, only_loopback=not networks))
            #: Where it listens; if port 0 was given, the port that the system chose.
            self.address: tuple[str, int] = listener.getsockname()[:2]
            self._workers = Workers(self._serve, max_calls, 'agi worker')
            opened.callback(self._workers.stop, GRACE)
            self._acceptor = Acceptor(listener, networks, self._peers, self._workers)
            opened.pop_all()

    def __repr__(self) -> str:
        return '<Server on {}:{}>'.format(*self.address)

    def __enter__(self) -> Self:
        """Serve calls until the block ends, which cuts running calls: call `stop(drain)` before to let them end."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._calls.start()
        self._acceptor.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds until the server accepts no more calls; returns whether that has happened.

        Raises ListenError if anything but `stop` ended it; running calls continue until `stop`.
        """
        ended = self._acceptor.wait(timeout)
        if (error := self._acceptor.error) is not None:
            reason = f'{type(error).__name__}: {error}'
            raise ListenError(f'the server accepts no more calls ({reason}): start another') from error
        return ended

    def stop(self, drain: float = 0.0) -> Drained:
        """Stop listening, let calls continue for up to `drain` seconds, then cut those that are left.

        After that, each call returns the same result.
        """
        if self._drained is None:
            self._drained = self._end(drain)
        return self._drained

    def _end(self, drain: float) -> Drained:
        running = self._calls.now()
        self._acceptor.stop()
        running |= self._calls.now()
        self._workers.wait_idle(drain)
        self.cut()
        forced = self._workers.stop(GRACE)
        self._calls.stop()
        cut = self._calls.cut()
        return Drained(len(running - cut), len(cut) - forced, forced)

    def cut(self) -> None:
        """End every call now, for example to cut a drain short; any thread may call it, and it takes a second at most.

        The dialplan sees AGISTATUS=FAILURE, once Asterisk has carried out the running command.
        """
        self._calls.cut()
        self._workers.wait_idle(LINGER)
        self._calls.disconnect()

    # A worker runs what follows.

    def _serve(self, connection: Connection) -> None:
        started = time.monotonic()
        overdue = started + self._call_timeout
        running_call = self._calls.begin(connection, started, overdue)
        well = False
        try:
            script, call = self._call(connection, overdue)
            running_call.path = script.path if script else ''
            running_call.call = call
        except CallError as error:
            logger.warning('rejected %s: %s', connection.peer, error)
        else:
            ending = CLOSED if running_call.is_cut else run_script(call, script)
            self._calls.end(running_call)  # from now on nobody cuts it
            ending = _as_cut(ending, running_call)
            well = ending.well
            log_end(call, script.path if script else None, ending, time.monotonic() - started)
        finally:
            self._calls.end(running_call)
            self._peers.release(connection.peer)
            if not well:
                connection.fail()
            connection.close()

    def _call(self, connection: Connection, deadline: float) -> tuple[Script[..., object] | None, Call]:
        """The call, and the script that it asks for."""
        environment, rest = connection.environment()
        script, parameters = self._scripts.find(environment.script)
        call = Call(
            environment,
            SocketStream(connection.socket),
            rest,
            parameters=parameters,
            deadline=deadline,
            line_limit=self._line_limit,
            keep_withheld=self._keep_withheld,
            arrived=connection.arrived,
        )
        return script, call


def _as_cut(ending: Ending, running_call: RunningCall) -> Ending:
    """How a call ended whose script came to `ending`: what cut the call before goes before that, unless it failed.

    Asterisk closes the connection of a call that was cut, which may look like a hangup.
    """
    if not (running_call.is_cut or running_call.is_overdue):
        return ending
    if ending != FAILED:
        ending = OVERDUE if running_call.is_overdue else CLOSED
    if running_call.connection.has_failed:
        return ending
    return ending._replace(agistatus=HUNG_UP.agistatus)  # the caller was gone before that


def _check_numbers(**numbers: int) -> None:
    for name, number in numbers.items():
        if not isinstance(number, int):
            raise TypeError(f'{name} is {number!r}: give a whole number from 1 on')
        if number < 1:
            raise ValueError(f'{name} is {number}: give a whole number from 1 on')


def _networks(allow: Iterable[Network | str]) -> tuple[Network, ...]:
    if isinstance(allow, str | bytes) or not isinstance(allow, Iterable):
        raise TypeError(f"allow is {allow!r}: give a list of networks, as in ['10.0.0.0/8']")
    return tuple(map(_network, allow))


def _network(network: Network | str) -> Network:
    if isinstance(network, int | bytes):  # which would be taken for an address
        raise TypeError(f"{network!r} is not a network: write it as in '10.0.0.0/8'")
    return ipaddress.ip_network(network)


def _listen(host: str, port: int, *, only_loopback: bool) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        if only_loopback and not ipaddress.ip_address(str(address[0]).partition('%')[0]).is_loopback:
            raise ListenError(f'{host} is open to other machines: give the networks that may call')
        listener = socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        raise ListenError(f'cannot listen on {host} port {port}: {_reason(error)}; choose another address') from error
    # Accepted sockets inherit these. One is accepted only when its first bytes have come.
    listener.setblocking(False)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, int(HANDSHAKE_TIMEOUT))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        listener.setsockopt(socket.IPPROTO_TCP, option, value)
    bound_waits(listener, TICK)
    return listener


def _reason(error: OSError) -> str:
    known = isinstance(error, socket.gaierror) or not error.errno
    return str(error.strerror) if known else os.strerror(error.errno or 0)
