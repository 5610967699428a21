"""The guard of a database file: it remembers the last transaction, and refuses a file that lost it.

FileStorage takes an empty file for a new database, and where it meets damage it cuts off everything
that follows, with no more than a warning. The guard looks first, and only reads. What a crash leaves
at the end of a file, a transaction that nobody was told of, it lets FileStorage cut off.
"""

import io
import logging
import os
import struct
import threading
import time
from contextlib import closing, suppress
from typing import Any, BinaryIO, cast

from persistent.TimeStamp import TimeStamp
from zc.lockfile import LockFile
from ZODB.blob import remove_committed_dir
from ZODB.FileStorage import FileStorage
from ZODB.FileStorage.FileStorage import TempFormatter, _truncate, packed_version
from ZODB.FileStorage.format import TRANS_HDR, CorruptedError
from ZODB.POSException import StorageError

from ..errors import DatabaseRefused, StateClosed
from .disk import check_room, sync
from .notes import Packed
from .repeated import Repeated

logger = logging.getLogger(__name__)

_MAGIC: bytes = packed_version
_HEADER = struct.Struct(TRANS_HDR)
_LENGTH = struct.Struct('>Q')
_BEFORE_ALL = bytes(8)

#: What to do about a damaged database.
RESTORE = 'restore a backup ("hitcounter restore BACKUP_FOLDER")'

#: Seconds between two times that a pack is synced while it is written; all at once would hold up every commit.
_SYNC_PAUSE = 0.2


class DatabaseFile(FileStorage):
    """A FileStorage that leaves nothing open, and no lock, when it cannot be opened."""

    def __init__(self, path: str, **options: Any) -> None:
        try:
            super().__init__(path, **options)
        except BaseException:
            for name in ('_file', '_tfile', '_lock_file'):
                opened = getattr(self, name, None)
                if opened is not None:
                    opened.close()
            raise


class _IndexedFile(DatabaseFile):
    """A database file, open to be read, whose index is written if it is missing: who opens it next need not scan it."""

    def _save_index(self) -> None:
        self._is_read_only = False
        try:
            super()._save_index()
        finally:
            self._is_read_only = True


class GuardedFile(DatabaseFile):
    """A database file, open for writing, whose guard remembers each transaction."""

    _file: BinaryIO
    _tfile: BinaryIO

    def __init__(self, path: str, **options: Any) -> None:
        repair(path)
        self._packing = threading.Lock()  # held by who packs, or closes
        self._failure: BaseException | None = None
        super().__init__(path, **options)
        try:
            self._guard = Guard(path)
            self._guard.remember(self.lastTransaction())
        except BaseException:
            super().close()
            raise

    def tpc_begin(self, *transaction: Any) -> None:
        if self._failure:
            raise StorageError(
                f'{self._file_name!r} can only be read since its disk failed ({self._failure}): see to the disk, and '
                f'start the server again')
        super().tpc_begin(*transaction)

    def tpc_finish(self, transaction: Any, f: Any = None) -> bytes:
        tid: bytes = super().tpc_finish(transaction, f)
        self._guard.remember(tid)
        return tid

    def tpc_vote(self, transaction: Any) -> Any:
        try:
            return super().tpc_vote(transaction)
        except OSError:
            with self._lock:
                # What is left in the buffer would be written with the next transaction, and lie behind it.
                self._file = _anew(self._file, 'r+b')
                self._file.truncate(self._pos)
                self._files.flush()
            raise

    def _finish(self, tid: bytes, *description: Any) -> None:
        """As in FileStorage, which would close itself when the disk fails: this stays open to be read."""
        self._file.seek(self._pos + 16)
        self._file.write(self._tstatus.encode())
        try:
            self._finish_finish(tid)
        except BaseException as error:
            self._failure = error  # nobody knows what is on disk until it is read again
            self._file = _anew(self._file, 'r+b')
            raise

    def _clear_temp(self) -> None:
        try:
            super()._clear_temp()
        except OSError:  # the disk is full, and a buffer too
            self._tfile = _anew(self._tfile, 'w+b')
            self._tfmt = TempFormatter(self._tfile)

    def _save_index(self) -> None:
        try:
            super()._save_index()
        except OSError as error:
            logger.warning('the index of %s could not be written: the next start takes longer (%s)',
                           self._file_name, error)
            with suppress(FileNotFoundError):
                os.remove(f'{self._file_name}.index.index_tmp')

    def pack(self, t: float, referencesf: Any, gc: bool | None = None) -> None:
        """As in FileStorage, but the old file is removed, once the new one is on disk for certain."""
        with self._packing:
            if self._file.closed:
                raise StateClosed(f'{self._file_name!r} is closed: pack it while it is open')
            self._pack(t, referencesf, gc)

    def _pack(self, t: float, referencesf: Any, gc: bool | None) -> None:
        path, folder = self._file_name, os.path.dirname(self._file_name)
        before, started = self.getSize(), time.time()
        check_room(folder, before, 'a pack')
        with closing(Repeated('pack sync', _SYNC_PAUSE, lambda: _sync_if_there(f'{path}.pack'))):
            super().pack(t, referencesf, gc)
        # FileStorage renames the packed file without waiting until it is on disk.
        sync(path)
        sync(folder)
        for tid, _ in self.lastInvalidations(1):
            self._guard.remember(tid)
        self._remove_old()
        now = time.time()
        packed = Packed(now, before, self.getSize(), now - started)
        packed.write(path)
        logger.info('packed %s: %d bytes, now %d, in %.1f s', path, packed.before, packed.after, packed.seconds)

    def _remove_old(self) -> None:
        """It takes as much room again, and holds what the pack was to remove."""
        with suppress(FileNotFoundError):
            os.remove(f'{self._file_name}.old')
        if self.blob_dir and os.path.exists(f'{self.blob_dir}.old'):
            remove_committed_dir(f'{self.blob_dir}.old')
        with self._commit_lock:  # the objects of earlier transactions still lie in the temporary file
            self._tfile.seek(0)
            self._tfile.truncate()

    @staticmethod
    def packer(storage: 'GuardedFile', *options: Any) -> Any:
        """Called within `pack`, one at a time."""
        storage._guard.forget()  # if all that the last transaction stored is garbage, it goes, too
        packed = f'{storage._file_name}.pack'
        os.close(_open(packed, os.O_WRONLY | os.O_CREAT))  # or FileStorage would ask the umask
        try:
            return FileStorage.packer(storage, *options)
        except BaseException:
            with suppress(FileNotFoundError):
                os.remove(packed)
            raise

    def close(self) -> None:
        """Close the file; a pack that goes on, and would rename it, is waited for."""
        with self._packing:
            super().close()
            self._guard.close()


class Guard:
    """The id of a database's last transaction: 16 hexadecimal digits in a small file beside it."""

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()  # owns _tid and _file, and keeps the writes in order
        self._tid = _BEFORE_ALL
        self._file = _open(guard_of(path), os.O_WRONLY | os.O_CREAT)

    def remember(self, tid: bytes) -> None:
        """Note a transaction that is on disk.

        Not synced itself: after a power failure it may be older than the file, which does no harm,
        but never newer.
        """
        with self._lock:
            if tid > self._tid:
                try:
                    self._write(tid)
                except OSError as error:  # the transaction is stored all the same, and nobody may be told otherwise
                    logger.warning('the guard could not note a transaction: %s', error)

    def forget(self) -> None:
        """Let any transaction be the last, until one is remembered."""
        with self._lock:
            self._write(_BEFORE_ALL)

    def _write(self, tid: bytes) -> None:
        os.pwrite(self._file, tid.hex().encode(), 0)
        self._tid = tid

    def close(self) -> None:
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1


def guard_of(path: str) -> str:
    """The name of the guard's own file."""
    return f'{path}.guard'


def remembered(path: str) -> bytes | None:
    """The id in the guard's file; None if there is no such file, or a power failure left it unwritten."""
    try:
        with open(guard_of(path), 'rb') as file:
            tid = bytes.fromhex(file.read(16).decode())
    except (FileNotFoundError, ValueError):
        return None
    return tid if len(tid) == 8 else None


def repair(path: str) -> None:
    """Refuse a file that is not what was stored; cut off a last transaction that was never finished."""
    with closing(LockFile(f'{path}.lock')):  # nobody writes while we look; FileStorage takes it again
        whole = check(path, _IndexedFile)
        torn = _size(path) - whole
        if torn:
            logger.warning('%s ends with %d bytes of a transaction never finished: cut off', path, torn)
            # FileStorage would do it, but go on with the id of what it cut off as the last one.
            with open(path, 'r+b') as file:
                _truncate(file, path, whole)


def check(path: str, reader: type[DatabaseFile] = DatabaseFile) -> int:
    """Up to which byte the file holds whole transactions, all that were stored; changes nothing of it."""
    expected = remembered(path)  # read first, for the file may grow while we look
    size = _size(path)
    if not size:
        _check_new(path, expected)
        return 0
    with open(path, 'rb') as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            todo = f'{RESTORE}, or name another file' if expected else 'name another file'
            raise DatabaseRefused(f'{path!r} is no database of ours, and was left as it is: {todo}')
        whole = _whole(path, file, size, reader)
        _check_last(path, expected, _last(file, whole))
        if size > whole and _last(file, size) is not None:
            raise DatabaseRefused(
                f'{path!r} is damaged at byte {whole}, and transactions follow: it was left as it is; '
                f'{RESTORE}, or give up what follows with "truncate -s {whole}"')
    return whole


def _size(path: str) -> int:
    if not os.path.exists(path):
        return 0
    if not os.path.isfile(path):  # what is written to a device is gone, and a pipe is waited for
        raise DatabaseRefused(f'{path!r} is a directory, a device or a pipe: name a file')
    return os.path.getsize(path)


def _check_new(path: str, expected: bytes | None) -> None:
    if expected is not None:
        raise DatabaseRefused(
            f'{path!r} is missing or empty, but transactions were stored in it until {_when(expected)}: '
            f'{RESTORE}, or remove {guard_of(path)!r} to begin anew')


def _check_last(path: str, expected: bytes | None, last: bytes | None) -> None:
    if expected is not None and (last or _BEFORE_ALL) < expected:
        raise DatabaseRefused(
            f'{path!r} can be read up to its transaction of {_when(last)}, but one of {_when(expected)} '
            f'was stored in it: it is damaged or an older copy, and was left as it is; '
            f'{RESTORE}, or remove {guard_of(path)!r} to go on without what is lost')


def _whole(path: str, file: BinaryIO, size: int, reader: type[DatabaseFile]) -> int:
    """Up to which byte FileStorage reads: with its index at once, and what it does not read it would cut off."""
    try:
        with closing(reader(path, read_only=True)) as storage:
            return min(int(storage.getSize()), size)
    except (StorageError, CorruptedError, ValueError, struct.error) as error:
        whole = _end_of_chain(file)
        if whole == size:  # so the damage is within a transaction
            raise DatabaseRefused(
                f'{path!r} is damaged, and was left as it is ({error}): {RESTORE}, or save '
                f'what can be read with "python -m ZODB.fsrecover"') from error
        return whole


def _end_of_chain(file: BinaryIO) -> int:
    """Where the last transaction ends that says the same length at its begin and its end."""
    end = len(_MAGIC)
    while True:
        file.seek(end)
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return end
        _, length, *_ = _HEADER.unpack(header)
        following = end + length + _LENGTH.size
        if _start(file, following) != end:
            return end
        end = following


def _last(file: BinaryIO, end: int) -> bytes | None:
    """The id of the whole transaction that ends at `end`, if there is one."""
    start = _start(file, end)
    if start is None:
        return None
    file.seek(start)
    tid: bytes = file.read(len(_BEFORE_ALL))
    return tid


def _start(file: BinaryIO, end: int) -> int | None:
    """Where the whole transaction begins that ends at `end`, if there is one."""
    try:
        file.seek(end - _LENGTH.size)
        length, = _LENGTH.unpack(file.read(_LENGTH.size))
        start = int(end - _LENGTH.size - length)
        file.seek(start)
        _, length_again, status, *_ = _HEADER.unpack(file.read(_HEADER.size))
    except (OSError, ValueError, OverflowError, struct.error):  # there is no such place in the file
        return None
    return start if length_again == length >= _HEADER.size and status in b' pu' else None


def _when(tid: bytes | None) -> str:
    return f'{TimeStamp(tid)} UTC' if tid else 'no time'


def _anew(file: BinaryIO, mode: str) -> BinaryIO:
    """The same file opened again; what `file` could not write is let go of."""
    again = cast(BinaryIO, open(file.name, mode))  # noqa: SIM115 -- the storage closes it
    cast(io.BufferedRandom, file).raw.close()  # the buffer is not flushed so
    return again


def _sync_if_there(path: str) -> None:
    with suppress(FileNotFoundError):
        sync(path)


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
