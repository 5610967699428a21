"""A database shared with other processes of the same user, over a unix socket in a private folder.

Whoever can write to the socket can run code in the server, because pickles pass through it;
a server can run code in its clients, too. So the folder is ours alone before there is a socket in it.
"""

import asyncio
import logging
import os
import socket
import stat
import struct
import time
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from ZEO.asyncio.client import exc_factories
from ZEO.asyncio.server import Acceptor, Result
from ZEO.ClientStorage import ClientStorage
from ZEO.StorageServer import StorageServer, ZEOStorage
from ZODB.POSException import ReadOnlyError, StorageError

from ... import errors
from ...errors import DatabaseRefused, PackFailed, StateError
from .disk import give
from .owner import is_self, ownership
from .turn import FileTurn
from .uri import public

logger = logging.getLogger(__name__)

#: Seconds for which a process that shares the database may keep everyone else from committing.
COMMIT_TIMEOUT = 10.0

#: Seconds for which it may leave unread what the server sends it.
READ_TIMEOUT = 60.0

_SOCKET = 'socket'
_STORAGE = '1'
_GREETING_TIMEOUT = 1.0
_JOIN_TIMEOUT = 10.0
_CREDENTIALS = struct.Struct('iII')


# Clients get an error of the server's disk as it is; ZEO would turn it into another, which looks like damage.
_DISK_ERRORS: tuple[type[OSError], ...] = (OSError, FileNotFoundError, InterruptedError, PermissionError)
exc_factories.update({f'builtins.{kind.__name__}': lambda _, arguments: OSError(*arguments) for kind in _DISK_ERRORS})


class PrivateFolder:
    """The folder of a database's socket, held open so that nobody can put another in its place."""

    def __init__(self, path: str) -> None:
        """Raise FileNotFoundError if there is none, DatabaseRefused if it is not ours."""
        self._file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._make_private(path)
        except BaseException:
            self.close()
            raise

    def _make_private(self, path: str) -> None:
        status = os.fstat(self._file)
        if not is_self(status.st_uid):
            raise DatabaseRefused(f'{path!r} cannot be used: {ownership(path)}')
        if stat.S_IMODE(status.st_mode) != 0o700:
            os.fchmod(self._file, 0o700)

    @property
    def socket(self) -> str:
        """A short name of the socket: the system binds no name of more than 107 bytes, and paths may be longer."""
        return f'/proc/self/fd/{self._file}/{_SOCKET}'

    def is_served(self) -> bool:
        """Whether a server answers. One that was killed has left its socket; one that hangs sends nothing."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_GREETING_TIMEOUT)
            try:
                probe.connect(self.socket)
                return bool(probe.recv(64))  # a ZEO server speaks first
            except OSError:
                return False

    def turn(self) -> FileTurn:
        """The turns of all processes that have the database open."""
        return FileTurn(self._file)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def folder_of(path: str) -> str:
    """The name of the folder for the socket of the database at `path`."""
    return f'{path}.shared'


def is_shared(path: str) -> bool:
    """Whether a server shares the database at `path`, or was killed; a server that is ending has removed its socket."""
    return os.path.exists(f'{folder_of(path)}/{_SOCKET}')


class SharedStorageServer:
    """Serves a storage at the socket of `path`, from a thread of its own, until it is closed."""

    def __init__(self, storage: Any, path: str) -> None:
        with suppress(FileExistsError):
            os.mkdir(folder_of(path), 0o700)
            give(folder_of(path), path)
        self._folder = PrivateFolder(folder_of(path))
        try:
            self._server = _Server(self._folder.socket, {_STORAGE: storage}, Acceptor=_Acceptor)
            self._server.lock_managers[_STORAGE].timeout = _CommitTimeout(COMMIT_TIMEOUT)
            os.chmod(self._folder.socket, 0o600)
            self._server.start_thread()
        except BaseException:
            self._folder.close()
            raise

    def close(self) -> None:
        loop = self._server.acceptor.event_loop
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._server.disconnect_all(), loop).result(_JOIN_TIMEOUT)
        self._server.close(_JOIN_TIMEOUT)
        with suppress(OSError):  # asyncio removes it since Python 3.13
            os.remove(self._folder.socket)
        self._folder.close()


def raise_refusal(refusal: tuple[str, str] | None) -> None:
    """Raise the StateError for which the server of a shared database did not pack it, if there is one."""
    if refusal:
        kind, message = refusal
        raise getattr(errors, kind)(message)


def connect(folder: PrivateFolder, **options: Any) -> Any:
    """The storage behind `folder`; raises ZEO's ClientDisconnected if its server does not answer in time."""
    return always_fresh(ClientStorage(folder.socket, _STORAGE, **options))


def always_fresh(storage: Any) -> Any:
    """Let each transaction begin with all that was committed before, and keep nothing from a server that is gone.

    ZEO would let it begin with an older state. It would go on to use the object ids that the last server gave out: the
    next one gives them out again, and two objects would be one. And it would keep its cache, though the next server may
    serve a restored backup, or lack what the last one sent.
    """
    storage.server_sync = True  # for each connection from the next
    storage.sync = storage.ping
    connected, disconnected = storage.notify_connected, storage.notify_disconnected

    def forget_ids(connection: Any, about: Any) -> None:
        storage._oids = []
        connected(connection, about)

    def forget_objects() -> None:
        storage._cache.clear()
        disconnected()

    storage.notify_connected = forget_ids
    storage.notify_disconnected = forget_objects
    return storage


class _Server(StorageServer):
    """A ZEO server whose clients cannot hold up the others."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._started = time.time()

    def create_client_handler(self) -> '_Client':
        return _Client(self, self.read_only)

    def server_status(self, storage_id: str) -> dict[str, Any]:
        """As in ZEO, and with the connected processes that this one can see; `status` asks for it."""
        processes = [_process(client.connection) for client in self.stats[storage_id].connections]
        seen = sorted(filter(None, processes))
        return {
            **super().server_status(storage_id),
            'started': self._started,
            'processes': seen,
            'commands': {process: _command(process) for process in seen},
            'unseen': processes.count(0),
        }

    async def disconnect_all(self) -> None:
        """Call it before `close`, which races with its own thread to disconnect clients before that thread ends."""
        self.acceptor.server.close()
        for connection in list(self.acceptor.connections):
            _disconnect(connection)
        await asyncio.sleep(0)  # the connections close now


class _Acceptor(Acceptor):
    """Knows every connection, even one that has not yet said which storage it wants."""

    def __init__(self, *arguments: Any) -> None:
        self.connections: WeakSet[Any] = WeakSet()
        super().__init__(*arguments)

    def factory(self) -> Any:
        connection = super().factory()
        self.connections.add(connection)
        return connection


def _process(connection: Any) -> int | None:
    """The id of the process at the other end, if it still exists; 0 if it cannot be seen from here."""
    transport = connection and connection.sm_protocol and connection.sm_protocol.transport
    peer = transport and transport.get_extra_info('socket')
    if peer is None:
        return None
    id_, _, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(id_)


def _command(process: int) -> str:
    with suppress(OSError), open(f'/proc/{process}/cmdline', 'rb') as file:
        return ' '.join(map(public, file.read().decode(errors='backslashreplace').split('\0'))).strip()
    return ''


def _disconnect(connection: Any) -> None:
    """Close a connection at once, even if the client never reads what is still to be sent."""
    transport = connection.sm_protocol and connection.sm_protocol.transport
    connection.close()
    if transport:
        transport.abort()


class _CommitTimeout:
    """Ends the transaction of a client that keeps the commit lock too long; ZEO's lock manager calls it.

    ZEO has a time-out of its own, a thread that nobody can end.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def begin(self, client: '_Client') -> None:
        reason = f'it kept everyone else from committing for {self._seconds:g} s'
        self._timer = client.connection.loop.call_later(self._seconds, client.drop, reason)

    def end(self, client: '_Client') -> None:
        self._timer.cancel()

    def is_alive(self) -> bool:
        return True


class _Client(ZEOStorage):
    """What the server knows of one client. All of it runs in the server's thread."""

    _stalled: asyncio.TimerHandle | None = None

    def notify_connected(self, connection: Any) -> None:
        super().notify_connected(connection)
        # The connection calls these by name; ZEO offers no other hook.
        self._close, connection.close = connection.close, self.close
        self._pause, connection.pause_writing = connection.pause_writing, self.pause_writing
        self._resume, connection.resume_writing = connection.resume_writing, self.resume_writing

    def notify_disconnected(self) -> None:
        self._cancel_stalled()
        self.iterator_gc([*self._iterators])  # ZEO would leave the file open for each that was not read to its end
        super().notify_disconnected()

    def close(self) -> Any:
        """Close the connection, and abort its transaction: ZEO would let it keep the commit lock forever."""
        if self.connected:
            self.notify_disconnected()
        return self._close()

    def tpc_finish(self, id: str) -> Any:
        """As in ZEO, but it sends the client the id of its own transaction.

        ZEO asks the storage for the last one, and the server itself may have committed another since.
        """
        if not self._check_tid(id):
            return None
        self.stats.commits += 1
        tid = self.storage.tpc_finish(self.transaction, self._invalidate)
        self.async_('info', self.get_size_info())
        return Result(tid, self._clear_transaction)

    def server_status(self) -> dict[str, Any]:
        return {**super().server_status(), 'asking': _process(self.connection)}

    def drop(self, reason: str) -> None:
        logger.warning('a process that shares the database is disconnected: %s', reason)
        _disconnect(self.connection)

    def pause_writing(self) -> None:
        """The client reads too slowly: ZEO now collects in memory what is to be sent, without limit."""
        self._stalled = self.connection.loop.call_later(
            READ_TIMEOUT, self.drop, f'it read nothing for {READ_TIMEOUT:g} s'
        )
        self._pause()

    def resume_writing(self) -> None:
        self._cancel_stalled()
        self._resume()

    def _cancel_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def pack(self, *options: Any) -> Any:
        if self.read_only:  # ZEO lets readers pack
            raise ReadOnlyError
        return super().pack(*options)

    def _pack_impl(self, time: float) -> tuple[str, str] | None:
        """As in ZEO, in a thread of its own, but the client gets the class and message of an expected failure."""
        try:
            super()._pack_impl(time)
        except StateError as error:
            return type(error).__name__, str(error)
        except StorageError as error:
            return PackFailed.__name__, str(error)
        return None
