"""The gatherer: one thread that accepts connections and gathers what they say first, waiting for none of them."""

import functools
import ipaddress
import logging
import selectors
import socket
import threading
import time
from collections.abc import Iterable

from ..errors import ProtocolError
from .connection import Connection
from .peers import Peers
from .workers import Workers

logger = logging.getLogger(__name__)

#: Seconds in which a peer has to send its whole environment; Asterisk sends it at once.
HANDSHAKE_TIMEOUT = 5.0

#: Connections without a whole environment that are kept; the oldest goes when there are more.
HANDSHAKES = 2_000

#: Connections accepted before the others are looked at again.
_AT_ONCE = 64

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOOPBACK = ipaddress.ip_network('127.0.0.0/8'), ipaddress.ip_network('::1/128')


class Gatherer:
    """Hands each connection to `workers` once its environment is whole.

    A peer that says nothing, or talks nonsense, costs a socket for a bounded time and one line in the log.
    All but `start` and `stop` runs in the gatherer's own thread.
    """

    def __init__(
        self, listener: socket.socket, allow: Iterable[Network], peers: Peers, workers: Workers[Connection]
    ) -> None:
        self._listener = listener
        self._allowed = (*_LOOPBACK, *allow)
        self._allows = functools.lru_cache(self._is_allowed)  # the peers are few
        self._peers = peers
        self._workers = workers
        self._thread = threading.Thread(target=self._run, name='agi gatherer', daemon=True)
        self._selector = selectors.DefaultSelector()
        self._stop, self._stopped = socket.socketpair()
        self._handshakes: dict[Connection, None] = {}  # in the order of their deadlines

    def start(self) -> None:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._stopped, selectors.EVENT_READ)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, and close what has not become a call."""
        self._stop.close()
        if self._thread.ident is None:  # it was never started
            self._close()
        else:
            self._thread.join()
        self._stopped.close()

    def _run(self) -> None:
        try:
            while self._turn():
                self._expire()
        finally:
            self._close()

    def _close(self) -> None:
        self._listener.close()
        self._selector.close()
        for connection in self._handshakes:
            connection.close()
        for connection in self._workers.dismiss():
            self._peers.leave(connection.peer)
            connection.fail()
            connection.close()

    def _turn(self) -> bool:
        """Handle what has come; False when that was the word to stop."""
        for key, _ in self._selector.select(self._patience()):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._stopped:
                return False
            elif key.data in self._handshakes:  # and did not make room for another just now
                self._gather(key.data)
        return True

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                logger.warning('a connection could not be accepted: %s', error)
                time.sleep(0.1)  # most likely there are no file descriptors left, and trying on would only spin
                return
            connection = Connection(accepted, address[0], time.monotonic() + HANDSHAKE_TIMEOUT)
            if not self._allows(connection.peer):
                logger.warning('%s was sent away: it is in no allowed network', connection.peer)
                connection.close()
            else:
                self._gather(connection)

    def _is_allowed(self, peer: str) -> bool:
        address = ipaddress.ip_address(peer.partition('%')[0])
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        return any(address in network for network in self._allowed)

    def _gather(self, connection: Connection) -> None:
        try:
            whole = connection.gather()
        except EOFError:
            self._give_up(connection, '' if connection.is_silent else 'it closed before its environment was whole')
        except ProtocolError as error:
            self._give_up(connection, str(error))
        else:
            if whole:
                self._hand_over(connection)
            elif connection not in self._handshakes:
                self._await_more(connection)

    def _await_more(self, connection: Connection) -> None:
        if len(self._handshakes) >= HANDSHAKES:
            self._give_up(next(iter(self._handshakes)), 'its environment was not whole and others need the room')
        self._handshakes[connection] = None
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def _hand_over(self, connection: Connection) -> None:
        if not self._peers.admit(connection.peer):
            connection.fail()
            self._give_up(connection, 'it has all the calls that one peer may have (--max-calls-per-peer)')
            return
        self._forget(connection)
        self._workers.hand(connection)

    def _patience(self) -> float | None:
        """Seconds until the next deadline; None if there is none."""
        deadlines = [next(iter(self._handshakes)).deadline] if self._handshakes else []
        if (due := self._workers.due()) is not None:
            deadlines.append(due)
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _expire(self) -> None:
        now = time.monotonic()
        while self._handshakes and (connection := next(iter(self._handshakes))).deadline <= now:
            self._give_up(connection, f'it sent no whole environment within {HANDSHAKE_TIMEOUT:g} s')
        for connection in self._workers.attend():
            self._peers.leave(connection.peer)
            connection.fail()
            self._give_up(connection, 'all workers are busy: allow more of them (--max-calls), or call later')

    def _give_up(self, connection: Connection, reason: str) -> None:
        if reason:  # a bare port probe is silent
            logger.warning('%s was sent away: %s', connection.peer, reason)
        self._forget(connection)
        connection.close()

    def _forget(self, connection: Connection) -> None:
        if connection in self._handshakes:
            del self._handshakes[connection]
            self._selector.unregister(connection.socket)
