"""The acceptor: one thread that accepts connections and reads their environments, without blocking on any of them."""

import functools
import ipaddress
import logging
import math
import resource
import selectors
import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress

from ...errors import ProtocolError
from ..protocol.environment import INCOMPLETE
from .connection import LINGER, Connection
from .peer_limit import PeerLimit
from .workers import Workers

logger = logging.getLogger(__name__)

#: The thread's name. If it ends, there are no more calls.
NAME = 'agi acceptor'

#: Seconds within which a peer must send its whole environment; Asterisk sends it at once.
HANDSHAKE_TIMEOUT = 5.0

#: The most connections without a call: those still sending their environment, and rejected ones not closed yet. If
#: there are more, the oldest is dropped. Fewer are kept if the system allows few open files: calls need most of them.
HANDSHAKES = 2_000
_FILES_FOR_EACH = 8

#: Seconds without accepting, after accepting has failed.
_PAUSE = 0.1

#: The most connections that the system queues until they are accepted.
BACKLOG = 4096

#: Connections accepted in a row before others are read.
_AT_ONCE = 64

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOOPBACK = ipaddress.ip_network('127.0.0.0/8'), ipaddress.ip_network('::1/128')


class Acceptor:
    """Submits each connection to `workers` once its environment is complete.

    A peer that sends nothing, or nonsense, costs a socket for a limited time and one line in the log. A rejected peer
    gets FAILURE, for AGISTATUS, and a moment to read it: meanwhile its connection is parting.
    Everything except `start`, `stop` and `wait` runs in the acceptor's own thread.
    """

    def __init__(
        self, listener: socket.socket, allow: Iterable[Network], peers: PeerLimit, workers: Workers[Connection]
    ) -> None:
        self._listener = listener
        self._allowed = (*_LOOPBACK, *allow)
        self._allows = functools.lru_cache(self._is_allowed)  # the peers are few
        self._peers = peers
        self._workers = workers
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)
        self._ended = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._stop, self._stopped = socket.socketpair()
        self._handshakes: dict[Connection, None] = {}  # in the order of their deadlines
        self._parting: dict[Connection, None] = {}  # the same
        self._resume = math.inf  # when to accept again, after a pause
        #: The error that ended it; None if `stop` did.
        self.error: BaseException | None = None

    def start(self) -> None:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._stopped, selectors.EVENT_READ)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, and close the connections that are not calls yet."""
        self._stop.close()
        if self._thread.ident is None:  # it was never started
            self._close()
        else:
            self._thread.join()
        self._stopped.close()

    def wait(self, timeout: float | None) -> bool:
        """Wait up to `timeout` seconds until it has ended; returns whether it has."""
        return self._ended.wait(timeout)

    def _run(self) -> None:
        try:
            while self._turn():
                self._expire()
        except BaseException as error:
            self.error = error
            logger.critical('no more calls are accepted: %s: %s', type(error).__name__, error)
            raise
        finally:
            self._close()

    def _close(self) -> None:
        """Reject all connections without a call, and give them a moment to read that."""
        self._reject_unaccepted()
        self._listener.close()
        with suppress(Exception):  # what ended the thread may happen again
            for connection in tuple(self._handshakes):
                self._reject(connection, '')
            for connection in self._workers.cancel_waiting():
                self._peers.release(connection.peer)
                self._reject(connection, '')
            while self._parting:
                self._await_parting()
        for connection in (*self._handshakes, *self._parting):
            connection.drop()
        self._selector.close()
        self._ended.set()

    def _reject_unaccepted(self) -> None:
        """Asterisk regards these as connected: if they were reset, the dialplan would see a success."""
        with suppress(OSError):  # usually BlockingIOError: there are no more
            for _ in range(BACKLOG):
                accepted, address = self._listener.accept()
                self._reject(Connection(accepted, address[0], 0.0), '')

    def _await_parting(self) -> None:
        deadline = next(iter(self._parting)).deadline
        for key, _ in self._selector.select(max(0.0, deadline - time.monotonic())):
            if key.data in self._parting:
                self._part(key.data)
            elif key.data is None:
                self._selector.unregister(key.fileobj)
        self._expire_parting(time.monotonic())

    def _turn(self) -> bool:
        """Handle what has arrived; returns False if it was the signal to stop."""
        for key, _ in self._selector.select(self._patience()):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._stopped:
                return False
            elif key.data in self._handshakes:  # and was not dropped for another just now
                self._read_environment(key.data)
            elif key.data in self._parting:
                self._part(key.data)
        return True

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                logger.warning('a connection could not be accepted: %s', error)
                self._make_way()  # most likely there are no file descriptors left
                return
            connection = Connection(accepted, address[0], time.monotonic() + HANDSHAKE_TIMEOUT)
            if not self._allows(connection.peer):
                self._reject(connection, 'its address is not in an allowed network')
            else:
                self._read_environment(connection)

    def _make_way(self) -> None:
        """Drop the oldest connection without a call; if there is none, pause: an immediate retry would only spin."""
        if self._handshakes or self._parting:
            self._drop_oldest()
            return
        self._selector.unregister(self._listener)
        self._resume = time.monotonic() + _PAUSE

    def _is_allowed(self, peer: str) -> bool:
        address = ipaddress.ip_address(peer.partition('%')[0])
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        return any(address in network for network in self._allowed)

    def _read_environment(self, connection: Connection) -> None:
        try:
            whole = connection.read_environment()
        except EOFError:
            if connection.is_silent:  # a bare port probe
                self._forget(connection)
                connection.drop()
            else:
                self._reject(connection, INCOMPLETE)
        except ProtocolError as error:
            self._reject(connection, str(error))
        else:
            if whole:
                self._submit(connection)
            elif connection not in self._handshakes:
                self._keep(connection, self._handshakes)

    def _submit(self, connection: Connection) -> None:
        if not self._peers.acquire(connection.peer):
            self._reject(connection, 'it already has as many calls as one peer may have (max_calls_per_peer)')
            return
        self._forget(connection)
        self._workers.submit(connection)

    def _patience(self) -> float | None:
        """Seconds until the next deadline; None if there is none."""
        deadlines = [next(iter(some)).deadline for some in (self._handshakes, self._parting) if some]
        if (due := self._workers.next_deadline()) is not None:
            deadlines.append(due)
        if self._resume < math.inf:
            deadlines.append(self._resume)
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _expire(self) -> None:
        now = time.monotonic()
        while self._handshakes and (connection := next(iter(self._handshakes))).deadline <= now:
            self._reject(connection, f'no complete environment came within {HANDSHAKE_TIMEOUT:g} s')
        self._expire_parting(now)
        for connection in self._workers.start_overdue():
            self._peers.release(connection.peer)
            self._reject(connection, 'all workers are busy: allow more of them (max_calls), or call later')
        if self._resume <= now:
            self._resume = math.inf
            self._selector.register(self._listener, selectors.EVENT_READ)

    # Connections without a call, and how they end.

    def _keep(self, connection: Connection, among: dict[Connection, None]) -> None:
        if len(self._handshakes) + len(self._parting) >= _most_kept():
            self._drop_oldest()
        among[connection] = None
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def _drop_oldest(self) -> None:
        if self._parting:
            self._drop(next(iter(self._parting)))
            return
        connection = next(iter(self._handshakes))
        logger.warning('rejected %s: its environment was incomplete, and others need the room', connection.peer)
        connection.fail()
        self._drop(connection)

    def _reject(self, connection: Connection, reason: str) -> None:
        if reason:
            logger.warning('rejected %s: %s', connection.peer, reason)
        self._forget(connection)
        connection.fail()
        connection.deadline = time.monotonic() + LINGER
        if connection.is_parting():
            self._keep(connection, self._parting)
        else:
            connection.drop()

    def _part(self, connection: Connection) -> None:
        if not connection.is_parting():
            self._drop(connection)

    def _expire_parting(self, now: float) -> None:
        while self._parting and (connection := next(iter(self._parting))).deadline <= now:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        self._forget(connection)
        connection.drop()

    def _forget(self, connection: Connection) -> None:
        for among in (self._handshakes, self._parting):
            if connection in among:
                del among[connection]
                with suppress(KeyError):  # registering it failed, which has ended the thread
                    self._selector.unregister(connection.socket)


def _most_kept() -> int:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(HANDSHAKES, max(1, files // _FILES_FOR_EACH)) if files != resource.RLIM_INFINITY else HANDSHAKES
