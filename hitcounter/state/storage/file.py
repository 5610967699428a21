"""A database file, opened by one process and shared with others.

Beside a database file `NAME` are `NAME.lock` (the process that has it open), `NAME.guard` (its last
transaction, see guard.py), `NAME.shared` (the socket for other processes, see sharing.py), `NAME.packed`
and `NAME.backed-up` (when that was last done, see stamps.py). FileStorage adds `NAME.index` and `NAME.tmp`,
which may be lost, `NAME.pack` while it is packed, and `NAME.tr0`, `NAME.tr1` ... (what was cut off its end
after a crash).
"""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

import ZODB
import zodburi
from zc.lockfile import LockError
from ZEO.Exceptions import ClientDisconnected
from ZODB.POSException import ReadOnlyError
from ZODB.utils import z64
from zodburi.resolvers import file_storage_resolver

from ...errors import DatabaseDamaged, DatabaseInUse, DatabaseMissing, DatabaseRefused
from ..model.blame import reason
from ..model.classes import LookingDB
from .checker import check, check_new, remedy
from .data_file import DatabaseFile
from .disk import make_folder, publish, remove, sync
from .guard import remembered
from .guarded import GuardedFile
from .kind import Address, Database, Filling, S, for_threads, refusing
from .lock import holder, is_locked, until_free
from .sharing import PrivateFolder, SharedStorageServer, connect, folder_of, is_shared
from .stamps import BackupStamp, PackStamp
from .turn import NoTurn, Turn
from .uri import public, with_slashes
from .views import Views

logger = logging.getLogger(__name__)

#: Seconds that another process may take to free the file, or to answer.
OPEN_TIMEOUT = 5.0

#: Seconds that a server waits for a process that has the file open without sharing it, such as one that is ending.
ENDING_TIMEOUT = 60.0

_PAUSE = 0.05


class FileDatabase(Database):
    """An open database file."""

    is_packed_when_due = True
    known_stamps = (PackStamp, BackupStamp)

    def __init__(
        self,
        db: Any,
        description: str,
        resources: ExitStack,
        path: str,
        *,
        shared: GuardedFile | None = None,
        folder: PrivateFolder | None = None,
        frozen: 'FileState | None' = None,
    ) -> None:
        """`shared` is the file that this process shares, `folder` that of the socket if any process shares it."""
        super().__init__(db, description, resources, is_remote=folder is not None and shared is None)
        #: Its real path.
        self.path = path
        self._shared = shared
        self._folder = folder
        self._frozen = frozen

    @property
    def place(self) -> str:
        return self.path

    @property
    def is_outdated(self) -> bool:
        return self._frozen is not None and self._frozen.has_changed

    @property
    def size(self) -> int:
        return os.path.getsize(self.path)

    def stamp(self, kind: type[S]) -> S | None:
        return kind.read(self.path)

    def clock_skew(self) -> float:
        return 0.0  # another process that shares it is on this machine

    def end_packing(self) -> None:
        if self._shared is not None:
            self._shared.end_packing()

    def new_turn(self) -> Turn:
        return self._folder.turn() if self._folder else NoTurn()


#: What is appended to the name of a file that is being filled.
FILLING = '.copying'

#: What is appended to the names of the files beside a database file.
_BESIDE = ('.index', '.tmp', '.lock', '.guard')


@dataclass(frozen=True, repr=False)
class FileAddress(Address):
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
        path, _, query = with_slashes(uri).removeprefix('file://').partition('?')
        if not path:
            raise DatabaseRefused(f'{public(uri)!r} names no file: write it like file:var/hitcounter.fs')
        options, others = file_storage_resolver.interpret_kwargs(dict(parse_qsl(query)))
        _, for_db = zodburi.resolve_uri(f'memory://?{urlencode(others)}')
        read_only = bool(options.pop('read_only', False))
        blob_dir = options.pop('blobstorage_dir', None)
        options['blob_dir'] = blob_dir and os.path.abspath(blob_dir)
        for useless in sorted({*options} - {'blob_dir', 'quota'}):
            raise DatabaseRefused(f'{public(uri)!r} has the option {useless!r}, which is not supported: leave it out')
        # The real path: otherwise the same file under two names would have two locks.
        real = os.path.realpath(unquote(path, errors='surrogateescape'))
        return cls(uri, real, read_only, options, for_threads(for_db))

    @property
    def files(self) -> tuple[str, ...]:
        return (self.path,)

    def file(self) -> str:
        return self.path

    @contextmanager
    def filling(self) -> Iterator[Filling]:
        with refusing(self.uri), ExitStack() as resources:
            made = _begin_filling(self)
            storage = resources.enter_context(closing(GuardedFile(made, **self.for_file)))
            opened = resources.pop_all()
        with opened:
            yield Filling(storage, lambda: FileDatabase(LookingDB(storage, **self.for_db), made, ExitStack(), made))
        sync(made)
        with refusing(self.uri):
            publish(made, self.path)
            remove(*(made + suffix for suffix in _BESIDE))
            sync(os.path.dirname(self.path))

    def _open(self, share: bool, read_only: bool) -> Database:
        return _open_file(self, share, read_only)

    def _open_as_stored(self) -> Database:
        with ExitStack() as resources:
            _check_made(self.path)
            storage = resources.enter_context(closing(_open_to_read(self)))
            db = resources.enter_context(closing(_database_in(storage, self)))
            return FileDatabase(db, f'{self.path}, as it was when opened', resources.pop_all(), self.path)

    def _open_alone(self) -> Database:
        if self.read_only:
            raise DatabaseRefused(f'{self.path!r} is opened for writing: leave out read_only')
        with ExitStack() as resources:
            try:
                storage = resources.enter_context(closing(until_free(lambda: _open_there(self))))
            except LockError as error:
                raise DatabaseInUse(f'{self.path!r} is open in {holder(self.path)}: stop that one first') from error
            db = resources.enter_context(closing(LookingDB(storage, **self.for_db)))
            return FileDatabase(db, self.path, resources.pop_all(), self.path)


def _begin_filling(address: FileAddress) -> str:
    """The name of the file while it is filled; what an earlier one left is removed."""
    made = address.path + FILLING
    if is_locked(made) or is_locked(address.path):
        raise DatabaseInUse(f'{address.path!r} is being filled, or open in another process: name another file')
    if os.path.lexists(address.path) or remembered(address.path) is not None:
        raise DatabaseRefused(f'{address.path!r} already exists: name a new file, or move that one away')
    remove(made, *(made + suffix for suffix in _BESIDE))
    return made


def _open_file(address: FileAddress, share: bool, read_only: bool) -> Database:
    read_only = read_only or address.read_only
    if read_only and share:
        raise DatabaseRefused(f'{address.path!r} is opened for sharing, and so for writing: leave out read_only')
    began, waits = time.monotonic(), False
    while True:
        try:
            return _own(address) if share else _join(address, read_only)
        except (LockError, ClientDisconnected) as error:
            may_end = share and not is_shared(address.path)
            if time.monotonic() - began > (ENDING_TIMEOUT if may_end else OPEN_TIMEOUT):
                raise DatabaseInUse(
                    f'{address.path!r} is open in {holder(address.path)}{"" if share else ", which does not answer"}: '
                    f'stop that one, or wait until it is done'
                ) from error
            if may_end and not waits and time.monotonic() - began > OPEN_TIMEOUT:
                logger.warning(
                    '%s is open in %s: waiting up to %g s for its end',
                    address.path,
                    holder(address.path),
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
        database = FileDatabase(db, address.path, resources.pop_all(), address.path, shared=storage, folder=folder)
        database.is_new = is_new
        return database


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
        if folder is not None and folder.is_served():
            shared_by = folder
            storage = connect(folder, name=path, wait_timeout=OPEN_TIMEOUT, read_only=read_only, **address.for_client)
            description = f'{path}, shared by {holder(path)}'
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
        return FileDatabase(db, description, resources.pop_all(), path, folder=shared_by, frozen=frozen)


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
    if is_locked(path):
        raise LockError
    _check_made(path)


def _check_made(path: str) -> None:
    if os.path.exists(path) and os.path.getsize(path):
        return
    check_new(path)
    if remembered(path) is None:
        raise DatabaseMissing(f'{path!r} is not a database yet')


def _open_to_write(address: FileAddress) -> GuardedFile:
    return GuardedFile(address.path, **address.for_file)


def _open_there(address: FileAddress) -> GuardedFile:
    _check_there(address.path)
    return _open_to_write(address)


def _open_to_read(address: FileAddress) -> DatabaseFile:
    check(address.path)
    return DatabaseFile(address.path, read_only=True, **address.for_file)
