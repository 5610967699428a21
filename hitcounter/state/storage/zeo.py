"""A database behind a ZEO server: zeo://host:port with TLS, or the path of a unix socket.

Whoever reaches a ZEO server can run code in it, and it can run code in its clients, because pickles pass through it.
So a server that is not on this machine must be reached by TLS, unless the URI says that the network protects it.
"""

import os
import ssl
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

import zodburi
from ZEO.ClientStorage import ClientStorage
from ZEO.Exceptions import ClientDisconnected
from ZODB.Connection import TransactionMetaData
from ZODB.POSException import ReadOnlyError
from zodburi.datatypes import convert_int
from zodburi.resolvers import client_storage_resolver

from ...errors import DatabaseRefused
from ..model.classes import LookingDB
from .away import StorageAway, answering_within
from .clocks import seconds_ahead
from .kind import Database, for_threads
from .resolved import ResolvedAddress
from .sharing import always_fresh
from .tls import Files, why_silent
from .uri import public
from .zeo_place import naming, refuse_plain
from .zeo_waits import LONG_ANSWER_TIMEOUT, with_bounded_waits

#: Seconds to wait for a server that is away, unless the URI says wait_timeout: within what a caller waits for a number.
WAIT_TIMEOUT = 5

#: Seconds that a server may take for each comparison of its clock: it gives the lock when others have committed.
CLOCK_TIMEOUT = 5.0

_PORT = 9991  # as in zodburi
#: The options of a connection that are not about what it keeps.
_AGAIN = ('read_only', 'storage', 'wait_timeout')

_TLS_OPTIONS = ('certificate', 'key', 'authenticate', 'server_hostname', 'check_hostname')


class ZeoDatabase(Database):
    """An open database behind a ZEO server; `connect` connects to that once more."""

    has_clock = True

    def __init__(self, db: Any, uri: str, resources: ExitStack, connect: Callable[[], ClientStorage]) -> None:
        super().__init__(db, uri, resources, is_remote=True)
        self._connect = connect

    def clock_skew(self) -> float | None:
        # By a connection of its own: if that waits too long for the lock, no call loses its connection.
        with (
            answering_within(CLOCK_TIMEOUT),
            suppress(ReadOnlyError),
            closing(with_bounded_waits(self._connect())) as storage,
        ):
            lock = _Lock(storage)
            return seconds_ahead(lock.take, lock.taken_at)
        return None

    def pack(self, until: float) -> None:
        with answering_within(LONG_ANSWER_TIMEOUT):
            super().pack(until)


class _Lock:
    """A server's lock for commits. When it was taken is all that a ZEO server says of its clock.

    The transaction that takes it stores nothing.
    """

    def __init__(self, storage: ClientStorage) -> None:
        self._storage = storage
        self._nothing = TransactionMetaData()

    def take(self) -> None:
        """Wait until the server has given it to this process."""
        self._storage.tpc_begin(self._nothing)
        try:
            self._storage.tpc_vote(self._nothing)
        except BaseException:
            self._storage.tpc_abort(self._nothing)
            raise

    def taken_at(self) -> float:
        """When that was, by the server's clock; it is given back."""
        try:
            when = self._storage.server_status()['lock_time']
        finally:
            self._storage.tpc_abort(self._nothing)
        if when is None:
            raise StorageAway('the server was away while its clock was compared')
        return float(when)


@dataclass(frozen=True)
class _Options:
    """What the query of a zeo: URI says."""

    for_client: dict[str, Any]
    for_db: dict[str, Any]
    tls: dict[str, str]
    is_insecure: bool

    @classmethod
    def parse(cls, query: str) -> Self:
        said = dict(parse_qsl(query, keep_blank_values=True))
        tls = {name: said.pop(name) for name in _TLS_OPTIONS if name in said}
        for name in (name for name, value in tls.items() if not value):
            raise DatabaseRefused(f'{name}= is empty: give it a value, or leave it out')
        is_insecure = bool(convert_int(said.pop('insecure', '0')))
        for_client, others = client_storage_resolver.interpret_kwargs(said)
        for_client.setdefault('wait_timeout', WAIT_TIMEOUT)
        _, for_db = zodburi.resolve_uri(f'memory://?{urlencode(others)}')
        return cls(for_client, for_threads(for_db), tls, is_insecure)

    def context(self) -> ssl.SSLContext | None:
        """What TLS connects with; None without TLS."""
        if not self.tls:
            return None
        if self.is_insecure:
            raise DatabaseRefused(f'insecure=1 and {min(self.tls)}= contradict each other: leave one of them out')
        files = Files(*(self.tls.get(name) for name in ('certificate', 'key', 'authenticate')))
        return files.context(check_hostname=bool(convert_int(self.tls.get('check_hostname', '1'))))


class ZeoAddress(ResolvedAddress):
    """What a zeo: URI says."""

    @classmethod
    def parse(cls, uri: str) -> 'ZeoAddress':
        return cls(uri)

    def file(self) -> str:
        raise DatabaseRefused(
            f'{str(self)!r} is not a file: run this on the machine of the ZEO server, with the file that it serves'
        )

    def _open(self, share: bool, read_only: bool) -> Database:
        with naming(self.uri):
            parts = urlsplit(self.uri)
            options = _Options.parse(parts.query)
            if 'demostorage' in options.for_client:
                raise DatabaseRefused('demostorage is not supported: use demo:(zeo://...)/(memory://)')
            if read_only:
                options.for_client['read_only'] = 1
            if not parts.netloc:
                return self._connected(_path(parts.path, options), options)
            address = (parts.hostname or '127.0.0.1', parts.port or _PORT)
            context = options.context()
            if context is None and not options.is_insecure:
                refuse_plain(address)
            return self._connected(address, options, context)

    def _connected(
        self, place: tuple[str, int] | str, options: _Options, context: ssl.SSLContext | None = None
    ) -> Database:
        hostname = options.tls.get('server_hostname')
        connect = partial(ClientStorage, place, ssl=context, ssl_server_hostname=hostname)
        with ExitStack() as resources:
            try:
                storage = connect(**options.for_client)
            except ClientDisconnected as error:
                raise DatabaseRefused(_no_answer(place, context, hostname, options, error)) from error
            resources.enter_context(closing(storage))
            always_fresh(with_bounded_waits(storage))
            db = resources.enter_context(closing(LookingDB(storage, **options.for_db)))
            same = {name: value for name, value in options.for_client.items() if name in _AGAIN}
            return ZeoDatabase(db, public(self.uri), resources.pop_all(), partial(connect, **same))


def _path(path: str, options: _Options) -> str:
    if options.tls:
        raise DatabaseRefused(f'a unix socket needs no TLS: leave out {min(options.tls)}=')
    return os.path.normpath(path)


def _no_answer(
    place: tuple[str, int] | str,
    context: ssl.SSLContext | None,
    hostname: str | None,
    options: _Options,
    error: Exception,
) -> str:
    seconds = options.for_client['wait_timeout']
    reason = 'check that the server runs' if isinstance(place, str) else why_silent(place, context, hostname)
    return f'no connection within {seconds} s ({error}): {reason}'
