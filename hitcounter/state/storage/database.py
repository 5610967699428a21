"""Opening a database by its URI, and sharing it: what is particular to one kind of storage is here alone.

Beside a database file `NAME` lie `NAME.lock` (the process that has it open), `NAME.guard` (its last
transaction, see guard.py), `NAME.shared` (the socket for other processes, see sharing.py), `NAME.packed`
and `NAME.backed-up` (when that was last done, see notes.py), and of FileStorage's own `NAME.index` and
`NAME.tmp`, which may be lost, `NAME.pack` while it is packed, and `NAME.tr0`, `NAME.tr1` ...
(what was cut off its end after a crash).
"""

import errno
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, Self
from urllib.parse import parse_qsl, unquote, urlencode

import ZODB
import zodburi
from transaction.interfaces import NoTransaction
from zc.lockfile import LockError
from ZEO.ClientStorage import ClientStorage
from ZEO.Exceptions import ClientDisconnected
from ZODB.POSException import ReadOnlyError, StorageError
from ZODB.utils import z64
from zodburi.resolvers import file_storage_resolver

from ...errors import DatabaseDamaged, DatabaseInUse, DatabaseMissing, DatabaseRefused, StateError
from ..model.blame import reason
from ..model.classes import LookingDB
from .disk import make_folder
from .guard import DatabaseFile, GuardedFile, check, check_new, refuse_without_locks, remedy, remembered, until_free
from .owner import whose
from .sharing import PrivateFolder, SharedStorageServer, always_fresh, connect, folder_of, is_shared
from .turn import NoTurn, Turn
from .uri import public, without_secrets
from .views import View, Views

logger = logging.getLogger(__name__)

#: So many connections may be open at once before ZODB warns: more than a server has threads.
POOL_SIZE = 10_000

#: For how many seconds another process may take to free the file, or to answer.
OPEN_TIMEOUT = 5.0

#: Seconds that a server waits for a process that has the file open and does not share it, as one that is ending.
ENDING_TIMEOUT = 60.0

_PAUSE = 0.05

#: URIs of these schemes can say read_only; the storage, or the server behind it, then refuses to write.
_CAN_READ_ONLY = frozenset({'mysql', 'oracle', 'postgres', 'zeo'})


class User(Protocol):
    """Something that uses a database from a thread of its own, and must be closed before it."""

    def close(self) -> None: ...


class Database:
    """An open database, and all that was opened for it."""

    def __init__(
        self,
        db: Any,
        description: str,
        resources: ExitStack,
        *,
        path: str | None = None,
        frozen: 'FileState | None' = None,
        folder: PrivateFolder | None = None,
        is_remote: bool = False,
        is_new: bool = False,
    ) -> None:
        self.db = db
        #: What is open and how, in a phrase.
        self.description = description
        #: The real path of its file, if it is one on this machine.
        self.path = path
        #: Whether the storage may go away and come back, so that a writer must look up what it last stored.
        self.is_remote = is_remote
        #: Whether it is a file, and nothing had been stored in it before it was opened.
        self.is_new = is_new
        self._resources = resources
        self._frozen = frozen
        self._folder = folder
        #: What must be closed before it.
        self.users: list[User] = []

    def __repr__(self) -> str:
        return f'<Database {self.description}>'

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_outdated(self) -> bool:
        """Whether the file has changed, and this shows it as it was when it was opened."""
        return self._frozen is not None and self._frozen.has_changed

    def new_turn(self) -> Turn:
        """A new turn: what a writer holds from its first read until its commit, so that one after the other writes.

        It has open files, which its `close` closes.
        """
        return self._folder.turn() if self._folder else NoTurn()

    def end_packing(self) -> None:
        """Abandon a pack that this process is running, as soon as possible, and begin no other."""
        if isinstance(self.db.storage, View):
            self.db.storage.end_packing()

    def close(self) -> None:
        """Give back the file, the socket and their threads.

        All that uses it must be closed before. Otherwise it is closed now, and StateError raised.
        """
        self.end_packing()
        left = [*self.users]
        with ExitStack() as ending:
            ending.callback(self._give_back)
            for user in left:
                ending.callback(user.close)
        if left:
            raise StateError(
                f'{self.description} was closed before the state on it, which now takes no more: close it first'
            )

    def _give_back(self) -> None:
        try:
            self._resources.close()
        except NoTransaction as error:  # the file and the socket are closed nevertheless
            raise StateError(
                f'{self.description} was closed before a connection to it: close the connection first'
            ) from error


def open_database(uri: str, *, share: bool = False, read_only: bool = False) -> Database:
    """Open what `uri` names.

    With `share`, be the process that owns it and lets others in; a file that is missing is made. Without,
    go through the process that shares it, if there is one. Raises DatabaseInUse or DatabaseRefused.
    """
    scheme = _scheme(uri)
    with _refusing(uri):
        if scheme == 'file':
            return _open_file(FileAddress.parse(uri), share, read_only)
        return _open_other(uri, scheme, read_only)


def open_as_stored(uri: str) -> Database:
    """Open what `uri` names only to read it, as it is now; a file itself, even if a process shares it."""
    if _scheme(uri) != 'file':
        return open_database(uri, read_only=True)
    with _refusing(uri), ExitStack() as resources:
        address = FileAddress.parse(uri)
        _check_made(address.path)
        storage = resources.enter_context(closing(_open_to_read(address)))
        db = resources.enter_context(closing(_database_in(storage, address)))
        return Database(db, f'{address.path}, as it was when opened', resources.pop_all(), path=address.path)


def open_alone(uri: str) -> Database:
    """Open what `uri` names to change all of it: a file of no other process, which cannot open it meanwhile.

    Raises DatabaseInUse if one has it open for longer than a moment, or DatabaseRefused.
    """
    if _scheme(uri) != 'file':
        return open_database(uri)
    with _refusing(uri), ExitStack() as resources:
        address = FileAddress.parse(uri)
        if address.read_only:
            raise DatabaseRefused(f'{address.path!r} is to be written: leave out read_only')
        try:
            storage = resources.enter_context(closing(until_free(lambda: _open_there(address))))
        except LockError as error:
            raise DatabaseInUse(f'{address.path!r} is open in {_owner(address.path)}: stop that one first') from error
        db = resources.enter_context(closing(LookingDB(storage, **address.for_db)))
        return Database(db, address.path, resources.pop_all(), path=address.path)


def path_of(uri: str) -> str:
    """The real path of the database file that `uri` names. Raises DatabaseRefused if it names none."""
    if _scheme(uri) != 'file':
        raise DatabaseRefused(f'{public(uri)!r} is not a file: use what its own storage offers for that')
    with _refusing(uri):
        return FileAddress.parse(uri).path


def _scheme(uri: str) -> str:
    if not isinstance(uri, str):
        raise DatabaseRefused(f'{uri!r} is not a URI of a database: write it like file:var/hitcounter.fs')
    scheme, colon, _ = uri.partition(':')
    if not scheme or not colon:
        raise DatabaseRefused(f'{public(uri)!r} is not a URI of a database: write it like file:var/hitcounter.fs')
    return scheme


@contextmanager
def _refusing(uri: str) -> Iterator[None]:
    """Say in one sentence why the database cannot be opened, whatever went wrong."""
    try:
        yield
    except StateError:
        raise
    except PermissionError as error:
        raise DatabaseRefused(f'{public(uri)!r} cannot be opened ({_reason(error)}): {whose(error)}') from error
    except OSError as error:
        todo = 'name a file in a folder that can be written, on a disk with room'
        if error.errno == errno.EIO:
            todo = 'see to the disk'
        raise DatabaseRefused(f'{public(uri)!r} cannot be opened ({_reason(error)}): {todo}') from error
    except (KeyError, ValueError, StorageError) as error:
        raise _refused(uri, error) from error


def _reason(error: OSError) -> str:
    if not error.strerror:
        return str(error)
    return f'{error.filename!r}: {error.strerror}' if error.filename else error.strerror


def _refused(uri: str, error: Exception) -> DatabaseRefused:
    return DatabaseRefused(
        f'{public(uri)!r} cannot be opened, {type(error).__name__}: {without_secrets(str(error), uri)}: see to its '
        f'options, and that what it names is there'
    )


def _open_other(uri: str, scheme: str, read_only: bool) -> Database:
    if scheme == 'memory':  # another process has another memory: there is nothing to protect
        uri = _with_slashes(uri)
    factory, options = _resolve(uri)
    if read_only and scheme != 'memory':
        factory, options = _resolve(_read_only(uri, scheme))
    with ExitStack() as resources:
        storage = resources.enter_context(closing(_opened(uri, factory)))
        if isinstance(storage, ClientStorage):
            always_fresh(storage)
        db = resources.enter_context(closing(LookingDB(storage, **_for_threads(options))))
        return Database(db, public(uri), resources.pop_all(), is_remote=scheme != 'memory')


def _resolve(uri: str) -> tuple[Callable[[], Any], dict[str, Any]]:
    """What opens the storage, and the options for the database on it."""
    try:
        factory, options = zodburi.resolve_uri(uri)
        return factory, options
    except zodburi.NoResolverForScheme as error:
        raise DatabaseRefused(
            f'{public(uri)!r} names a kind of storage that is not installed here: file:, memory:, zeo:, '
            f'demo: and zconfig: are, postgres: comes with RelStorage'
        ) from error
    except Exception as error:  # each kind of storage has errors of its own
        raise _refused(uri, error) from error


def _opened(uri: str, factory: Callable[[], Any]) -> Any:
    try:
        return factory()
    except Exception as error:  # here, too
        raise _refused(uri, error) from error


def _with_slashes(uri: str) -> str:
    """zodburi wants memory:// and file://."""
    scheme, _, rest = uri.partition(':')
    return f'{scheme}://{rest.removeprefix("//")}'


def _read_only(uri: str, scheme: str) -> str:
    if scheme not in _CAN_READ_ONLY:
        raise DatabaseRefused(
            f'{public(uri)!r} cannot be opened only to be read: name the storage behind it, or open it for writing'
        )
    return f'{uri}{"&" if "?" in uri else "?"}read_only=1'


def _for_threads(options: dict[str, Any]) -> dict[str, Any]:
    return {**options, 'pool_size': max(POOL_SIZE, options['pool_size'])}


@dataclass(frozen=True)
class FileAddress:
    """What a file: URI says."""

    path: str
    read_only: bool
    for_file: dict[str, Any]
    for_db: dict[str, Any]

    @property
    def for_client(self) -> dict[str, Any]:
        blob_dir = self.for_file['blob_dir']
        return {'blob_dir': blob_dir, 'shared_blob_dir': blob_dir is not None}

    @classmethod
    def parse(cls, uri: str) -> 'FileAddress':
        """Take zodburi's file://relative and file:///absolute, and file:relative and file:/absolute.

        In the path, `%3F` is a question mark and `%25` a percent sign.
        """
        path, _, query = _with_slashes(uri).removeprefix('file://').partition('?')
        if not path:
            raise DatabaseRefused(f'{public(uri)!r} names no file: write it like file:var/hitcounter.fs')
        options, others = file_storage_resolver.interpret_kwargs(dict(parse_qsl(query)))
        _, for_db = zodburi.resolve_uri(f'memory://?{urlencode(others)}')
        read_only = bool(options.pop('read_only', False))
        blob_dir = options.pop('blobstorage_dir', None)
        options['blob_dir'] = blob_dir and os.path.abspath(blob_dir)
        for useless in sorted({*options} - {'blob_dir', 'quota'}):
            raise DatabaseRefused(f'{public(uri)!r} has the option {useless!r}, of no use here: leave it out')
        # Its real path, or the same file under two names would have two locks.
        return cls(os.path.realpath(unquote(path, errors='surrogateescape')), read_only, options, _for_threads(for_db))


def _open_file(address: FileAddress, share: bool, read_only: bool) -> Database:
    read_only = read_only or address.read_only
    if read_only and share:
        raise DatabaseRefused(f'{address.path!r} is to be shared, and so to be written: leave out read_only')
    began, waits = time.monotonic(), False
    while True:
        try:
            return _own(address) if share else _join(address, read_only)
        except (LockError, ClientDisconnected) as error:
            may_end = share and not is_shared(address.path)
            if time.monotonic() - began > (ENDING_TIMEOUT if may_end else OPEN_TIMEOUT):
                raise DatabaseInUse(
                    f'{address.path!r} is open in {_owner(address.path)}{"" if share else ", which does not answer"}: '
                    f'stop that one, or wait until it is done'
                ) from error
            if may_end and not waits and time.monotonic() - began > OPEN_TIMEOUT:
                logger.warning(
                    '%s is open in %s: waiting up to %g s for its end',
                    address.path,
                    _owner(address.path),
                    ENDING_TIMEOUT,
                )
                waits = True
        time.sleep(_PAUSE)  # the other process may be opening or closing it


def _own(address: FileAddress) -> Database:
    """Open the file, or make it, and share it."""
    with ExitStack() as resources:
        _make_folder(os.path.dirname(address.path))
        storage = resources.enter_context(closing(GuardedFile(address.path, **address.for_file)))
        is_new = storage.lastTransaction() == z64
        views = Views(storage)
        db = resources.enter_context(closing(_database_in(views.open(), address)))
        resources.enter_context(closing(SharedStorageServer(views.open(), address.path)))
        folder = resources.enter_context(closing(PrivateFolder(folder_of(address.path))))
        return Database(db, address.path, resources.pop_all(), path=address.path, folder=folder, is_new=is_new)


def _make_folder(folder: str) -> None:
    if not os.path.isdir(folder):
        with suppress(FileExistsError):
            make_folder(folder)
        logger.info('made the folder %s', folder)


def _join(address: FileAddress, read_only: bool) -> Database:
    """Go through the process that shares the file; if there is none, open the file."""
    path = address.path
    with ExitStack() as resources:
        folder, frozen = None, None
        with suppress(FileNotFoundError):
            folder = resources.enter_context(closing(PrivateFolder(folder_of(path))))
        if folder is not None and folder.answers():
            shared_by = folder
            storage = connect(folder, name=path, wait_timeout=OPEN_TIMEOUT, read_only=read_only, **address.for_client)
            description = f'{path}, shared by {_owner(path)}'
        else:
            _check_there(path)
            shared_by = None
            frozen = FileState(path) if read_only else None
            storage = _open_to_read(address) if read_only else _open_to_write(address)
            description = f'{path}, as it was when opened' if read_only else path
        resources.enter_context(closing(storage))
        db = resources.enter_context(closing(_database_in(storage, address)))
        if read_only:
            description += ', read only'
        return Database(
            db,
            description,
            resources.pop_all(),
            path=path,
            frozen=frozen,
            folder=shared_by,
            is_remote=shared_by is not None,
        )


def _database_in(storage: Any, address: FileAddress) -> ZODB.DB:
    """Open it, unless its root is lost: ZODB would make a new root, and everything would start from nothing."""
    try:
        if storage.lastTransaction() != z64:
            storage.load(z64)
        return LookingDB(storage, **address.for_db)
    except (OSError, ClientDisconnected, ReadOnlyError):  # the last: nothing was ever stored in it
        raise
    except Exception as error:  # damaged bytes may raise anything
        raise DatabaseDamaged(
            f'{address.path!r} is damaged, and was left as it is (its root: {reason(error)}): {remedy(address.path)}'
        ) from error


class FileState:
    """A file's inode and size at one moment: whatever is stored later changes one of them."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen = self._look()

    @property
    def has_changed(self) -> bool:
        return self._look() != self._seen

    def _look(self) -> tuple[int, int] | None:
        with suppress(FileNotFoundError):
            status = os.stat(self._path)
            return status.st_ino, status.st_size
        return None


def _check_there(path: str) -> None:
    """Raise LockError if another process has the file open, which it may be creating just now."""
    if _locked(path):
        raise LockError
    _check_made(path)


def _check_made(path: str) -> None:
    if os.path.exists(path) and os.path.getsize(path):
        return
    check_new(path)
    if remembered(path) is None:
        raise DatabaseMissing(f'{path!r} is not a database yet')


def _locked(path: str) -> bool:
    try:
        with open(f'{path}.lock') as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # released at once, when it is closed: see until_free
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    except OSError as error:
        refuse_without_locks(path, error)
        raise
    return False


def _open_to_write(address: FileAddress) -> GuardedFile:
    return GuardedFile(address.path, **address.for_file)


def _open_there(address: FileAddress) -> GuardedFile:
    _check_there(address.path)
    return _open_to_write(address)


def _open_to_read(address: FileAddress) -> DatabaseFile:
    check(address.path)
    return DatabaseFile(address.path, read_only=True, **address.for_file)


def _owner(path: str) -> str:
    """The process that has the file open, according to its lock file; in a container it may have another id."""
    with suppress(OSError, ValueError), open(f'{path}.lock') as file:
        process = int(file.read())
        if _has_open(process, file.fileno()):
            return f'the process with id {process}'
        return f'another process (with id {process} where it runs, as in a container)'
    return 'another process'


def _has_open(process: int, file: int) -> bool:
    """Whether we can see that a process has the same file open."""
    wanted, folder = os.fstat(file), f'/proc/{process}/fd'
    with suppress(OSError):
        for name in os.listdir(folder):
            with suppress(OSError):
                if os.path.samestat(os.stat(f'{folder}/{name}'), wanted):
                    return True
    return False
