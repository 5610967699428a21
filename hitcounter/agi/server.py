"""The threaded FastAGI server.

The way of one call: the gatherer accepts the connection and gathers its environment; a worker makes a Call of it,
runs the script that the environment asks for, closes, and logs one line.
"""

import ipaddress
import logging
import math
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import CallError, ListenError
from .call import Call
from .command import LINE_LIMIT
from .connection import Connection
from .environment import Environment
from .gatherer import HANDSHAKE_TIMEOUT, Gatherer, Network
from .peers import Peers
from .script import Script, Scripts, lead
from .stream import SocketStream, bound_waits
from .workers import Workers

logger = logging.getLogger(__name__)

#: The port that Asterisk takes for `agi://host`.
PORT = 4573

#: Calls at once, each of which has a thread.
MAX_CALLS = 1000

#: Seconds between two looks of a waiting worker at its call's clocks.
TICK = 5.0

#: Notices a machine that is gone without a word in two minutes.
_KEEPALIVE = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 6}

#: Seconds that a script has to end once its call was cut.
GRACE = 2.0


@dataclass(frozen=True, slots=True)
class Drained:
    """How the calls ended that were under way when the server was told to stop."""

    #: They went on to their own end.
    ended: int
    #: They were cut.
    closed: int
    #: They were cut, and their scripts ran on even then.
    forced: int


class Server:
    """Serves calls in threads of its own from `start` to `stop`; who calls before that waits.

    Each of the `scripts` is run with the call alone: `bind` those that take more. Peers outside this machine must
    be in one of the `allow` networks, such as `10.0.0.0/8`. `max_calls_per_peer` is how many of the calls may come
    from one address; None for any number. `call_timeout`, in seconds, ends a call whatever it is doing with Asterisk.
    `line_limit` is the bytes that Asterisk takes in a command; Asterisk 16 takes 2047. With `keep_withheld` callers who
    withhold who they are are logged like all others, and `call.caller_withheld` is never true. Raises ListenError when
    the address cannot be had, ScriptError when the scripts cannot be served together, ValueError for what is not a
    network.
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
        self._scripts = Scripts(scripts)
        self._peers = Peers(max_calls_per_peer)
        self._call_timeout = call_timeout
        self._line_limit = line_limit
        self._keep_withheld = keep_withheld
        networks = tuple(map(ipaddress.ip_network, allow))
        listener = _listen(host, port, only_loopback=not networks)
        #: Where it listens; the port is the one that the system chose if 0 was asked for.
        self.address: tuple[str, int] = listener.getsockname()[:2]
        self._workers = Workers(self._serve, max_calls, 'agi worker')
        self._gatherer = Gatherer(listener, networks, self._peers, self._workers)
        # Each worker adds and removes its own; `cut` reads.
        self._calls: set[Connection] = set()
        self._cut: set[Connection] = set()
        self._is_cut = False

    def start(self) -> None:
        self._gatherer.start()

    def stop(self, drain: float = 0.0) -> Drained:
        """Stop listening, let the calls end within `drain` seconds, then cut those that are left."""
        under_way = set(self._calls)
        self._gatherer.stop()
        under_way |= self._calls
        self._workers.wait_idle(drain)
        self.cut()
        forced = self._workers.stop(GRACE)
        return Drained(len(under_way - self._cut), len(self._cut) - forced, forced)

    def cut(self) -> None:
        """End every call at once, from any thread, so as to cut a drain short."""
        self._is_cut = True
        for connection in tuple(self._calls):
            self._cut.add(connection)
            connection.cut()

    # A worker runs what follows.

    def _serve(self, connection: Connection) -> None:
        self._calls.add(connection)
        if self._is_cut:
            self._cut.add(connection)
            connection.cut()
        started = time.monotonic()
        try:
            script, call = self._call(connection, started)
        except CallError as error:
            logger.warning('%s was sent away: %s', connection.peer, error)
        else:
            ending = self._run(script, call, connection)
            logger.info(
                '%s: %s called %.82r, %s after %.3f s',
                call.environment.unique_id,
                call.shown_caller,
                call.environment.extension,
                ending,
                time.monotonic() - started,
            )
        finally:
            self._peers.leave(connection.peer)
            connection.close()
            self._calls.discard(connection)

    def _call(self, connection: Connection, started: float) -> tuple[Script[..., object] | None, Call]:
        """The call, and the script that it asks for. The block itself is not kept for as long as the call lasts."""
        block, rest = connection.environment()
        environment = Environment.parse(block)
        script, parameters = self._scripts.find(environment.script)
        call = Call(
            environment,
            SocketStream(connection.socket),
            rest,
            parameters=parameters,
            deadline=started + self._call_timeout,
            line_limit=self._line_limit,
            keep_withheld=self._keep_withheld,
        )
        return script, call

    def _run(self, script: Script[..., object] | None, call: Call, connection: Connection) -> str:
        """Run the call's script, if there is one; returns how the call ended, for the log."""
        if connection in self._cut:
            return 'closed'
        well, ending = lead(call, script)
        if not well:
            connection.fail()
        return 'closed' if well and connection in self._cut else ending


def _listen(host: str, port: int, *, only_loopback: bool) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        if only_loopback and not ipaddress.ip_address(str(address[0]).partition('%')[0]).is_loopback:
            raise ListenError(f'{host} is open to other machines: name the networks that may call (--allow)')
        listener = socket.create_server(address, family=family, backlog=4096)
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
