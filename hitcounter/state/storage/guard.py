"""The guard of a database file: it remembers the last transaction, and refuses a file that lost it.

FileStorage takes an empty file for a new database, and where it meets damage it cuts off everything
that follows, with no more than a warning. The guard looks first, and only reads. What a crash leaves
at the end of a file, a transaction that nobody was told of, it lets FileStorage cut off.
"""

import io
import itertools
import logging
import os
import shutil
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, BinaryIO, TypeVar, cast

from persistent.TimeStamp import TimeStamp
from zc.lockfile import LockError, LockFile
from ZODB.FileStorage import FileStorage
from ZODB.FileStorage.FileStorage import RedundantPackWarning, TempFormatter, packed_version
from ZODB.FileStorage.format import TRANS_HDR, CorruptedError
from ZODB.POSException import StorageError

from ...errors import RESTORE, DatabaseDamaged, DatabaseRefused, PackFailed, PackMetDamage, StateClosed, StateError
from .disk import check_room, is_mount_point, make_folder, make_private, new_file, refuse_planted, remove, sync
from .owner import is_ours, whose
from .packer import Packer
from .periodic import PeriodicTask
from .stamps import PackStamp

logger = logging.getLogger(__name__)

_MAGIC: bytes = packed_version
_HEADER = struct.Struct(TRANS_HDR)
_LENGTH = struct.Struct('>Q')
_BEFORE_ALL = bytes(8)

#: Seconds for which a process that only looks may hold a lock.
_MOMENT = 0.5

R = TypeVar('R')
_DIGITS = 16

#: Seconds between two syncs of a pack that is being written; a single sync at the end would hold up every commit.
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

    def _restore_index(self) -> Any:
        """As in FileStorage, but a stranger's index is not loaded, for it is a pickle; the file is scanned instead."""
        return super()._restore_index() if is_ours(f'{self._file_name}.index') else None

    def _save_index(self) -> None:
        if not self._is_read_only:
            make_private(f'{self._file_name}.index.index_tmp')
            super()._save_index()


class UnindexedFile(DatabaseFile):
    """A database file, open for reading without its index: only its bytes are read, and no pickle is loaded."""

    def _restore_index(self) -> None:
        return None


class _IndexedFile(DatabaseFile):
    """A database file, open for reading, whose index is written if it is missing, to save the next process the scan."""

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
        self._packing = threading.Lock()  # held while the file is packed or closed
        self._ending = False  # whether to abandon a pack
        self._failure: BaseException | None = None
        make_private(f'{path}.tmp')
        _begin(path)
        blob_dir = options.get('blob_dir')
        if blob_dir and not os.path.exists(blob_dir):
            make_folder(blob_dir)
        super().__init__(path, pack_keep_old=False, **options)
        try:
            self._guard = Guard(path)
            self._guard.begin(self.lastTransaction())
        except BaseException:
            super().close()
            raise

    def tpc_begin(self, *transaction: Any) -> None:
        if self._failure:
            raise StorageError(
                f'{self._file_name!r} can only be read since its disk failed ({self._failure}): see to the disk, and '
                f'start the server again'
            )
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
                self._file = _reopened(self._file, 'r+b')
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
            self._file = _reopened(self._file, 'r+b')
            raise

    def _clear_temp(self) -> None:
        try:
            super()._clear_temp()
        except OSError:  # the disk is full, and a buffer too
            self._tfile = _reopened(self._tfile, 'w+b')
            self._tfmt = TempFormatter(self._tfile)

    def _save_index(self) -> None:
        try:
            super()._save_index()
        except (OSError, StateError) as error:
            logger.warning(
                'the index of %s could not be written: the next start takes longer (%s)', self._file_name, error
            )
            with suppress(OSError):
                os.remove(f'{self._file_name}.index.index_tmp')

    def pack(self, t: float, referencesf: Any, gc: bool | None = None) -> None:
        """As in FileStorage, but a single rename replaces the file by the packed one, which is on disk by then.

        So a process that is killed leaves either of them, whole, under the database's name. Raises StateClosed if the
        file is closed meanwhile, PackMetDamage, PackFailed or NoRoom; then the file is as it was.
        """
        with self._packing, self._saying_why():
            self._go_on()
            if is_mount_point(self._file_name):
                raise PackFailed(
                    f'{self._file_name!r} is mounted by itself, so that a packed file cannot replace it: mount its '
                    f'folder instead'
                )
            if self._index:
                stop = TimeStamp(*time.gmtime(t)[:5], t % 60).raw()
                self._pack(stop, referencesf, self._pack_gc if gc is None else gc)

    @contextmanager
    def _saying_why(self) -> Iterator[None]:
        try:
            yield
        except CorruptedError as error:
            raise PackMetDamage(f'{self._file_name!r} was not packed and is as it was: {error}') from error
        except DatabaseRefused as error:
            raise PackFailed(f'{self._file_name!r} was not packed and is as it was: {error}') from error
        except PermissionError as error:
            raise PackFailed(
                f'{self._file_name!r} was not packed and is as it was ({error.strerror}): {whose(error)}'
            ) from error
        except OSError as error:
            raise PackFailed(
                f'{self._file_name!r} was not packed and is as it was ({error}): see to the disk'
            ) from error

    def end_packing(self) -> None:
        """Let a pack that is running raise StateClosed before its next record, and begin no other."""
        self._ending = True

    def _go_on(self) -> None:
        if self._ending:
            raise StateClosed(f'{self._file_name!r} is closed or closing: it was not packed, and is as it was')

    def _pack(self, stop: bytes, referencesf: Any, collect: bool) -> None:
        path, folder = self._file_name, os.path.dirname(self._file_name)
        for left in filter(os.path.lexists, (f'{path}.pack', f'{path}.old')):  # by a process that was killed
            refuse_planted(left)
            os.remove(left)
        before, started = self.getSize(), time.time()
        check_room(folder, before, 'a pack')
        self._pack_is_in_progress = True  # FileStorage then refuses to undo what may be gone
        try:
            self._replace(stop, referencesf, collect)
        finally:
            self._pack_is_in_progress = False
            remove(f'{path}.pack')
        now = time.time()
        packed = PackStamp(now, before, self.getSize(), now - started)
        packed.write(path)
        logger.info('packed %s: %d bytes, now %d, in %.1f s', path, packed.before, packed.after, packed.seconds)

    def _replace(self, stop: bytes, referencesf: Any, collect: bool) -> None:
        os.close(new_file(f'{self._file_name}.pack', self._file_name))  # or the packer would ask the umask
        packer = Packer(self, referencesf, stop, collect, self._go_on)
        with closing(PeriodicTask('pack sync', _SYNC_PAUSE, lambda: _sync_if_there(f'{self._file_name}.pack'))):
            try:
                size = packer.pack()
            except RedundantPackWarning:  # the pack before has removed all there is to remove
                return
            finally:
                packer.close()
        if size is None:
            return
        try:
            self._take(size, packer.index)
            self._tfile.seek(0)  # it still holds the objects of earlier transactions
            self._tfile.truncate()
        finally:
            self._commit_lock.release()
        if self.blob_dir:
            self._remove_blob_files_tagged_for_removal_during_pack()
        if not self._ending:  # otherwise `close` writes it in a moment
            with self._lock:
                self._save_index()

    def _take(self, size: int, index: Any) -> None:
        """Go on with the packed file. The commit lock is held."""
        path = self._file_name
        sync(f'{path}.pack')
        remove(f'{path}.index')  # its positions are those of the old file
        last = last_transaction(f'{path}.pack') or _BEFORE_ALL
        with self._files.write_lock(), self._lock:
            packed = os.open(f'{path}.pack', os.O_RDWR | os.O_CLOEXEC)
            try:
                with self._guard.passing_to(last):
                    os.replace(f'{path}.pack', path)
            except BaseException:
                os.close(packed)
                raise
            self._files.empty()
            self._file.close()
            self._file = cast(BinaryIO, open(path, 'r+b', opener=lambda *_: packed))  # noqa: SIM115 -- closed by `close`
            self._initIndex(index, self._tindex)
            self._pos = size
        try:
            sync(os.path.dirname(path))
        except OSError as error:
            self._failure = error  # a power failure might bring back the old file, without what is stored from now on
            raise PackFailed(
                f'{path!r} was packed, and can only be read since its disk failed ({error}): see to the disk, and '
                f'start the server again'
            ) from error

    def close(self) -> None:
        """Close the file; a pack that is running is abandoned, unless it is just replacing the file."""
        self.end_packing()
        with self._packing:
            super().close()
            self._guard.close()


class Guard:
    """The id of a database's last transaction: 16 hexadecimal digits in a small file beside it.

    While a packed file replaces the database, the id of the packed file's last transaction follows.
    """

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()  # owns _tid and _file, and keeps the writes in order
        self._tid = _BEFORE_ALL
        make_private(guard_of(path))
        self._file = os.open(guard_of(path), os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def remember(self, tid: bytes) -> None:
        """Stamp a transaction that is on disk.

        Not synced itself: after a power failure it may be older than the file, which does no harm,
        but never newer.
        """
        with self._lock:
            if tid > self._tid:
                try:
                    self._write(tid)
                except OSError as error:  # the transaction is stored all the same, and nobody may be told otherwise
                    logger.warning('the guard could not note a transaction: %s', error)

    def begin(self, tid: bytes) -> None:
        """Stamp the last transaction of a file that was just opened, and found whole."""
        with self._lock:
            if tid != _BEFORE_ALL:
                self._write(tid)
                os.ftruncate(self._file, _DIGITS)

    @contextmanager
    def passing_to(self, tid: bytes) -> Iterator[None]:
        """While the file is replaced by a packed one, whose last transaction is `tid`, accept either of them.

        The ids differ if a pack removes the last transaction because all that it stored was garbage.
        """
        with self._lock:
            os.pwrite(self._file, (self._tid + tid).hex().encode(), 0)
            os.fsync(self._file)
            try:
                yield
                self._write(tid)
            finally:
                os.ftruncate(self._file, _DIGITS)

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
    return next(iter(_in_guard(path)), None)


def _in_guard(path: str) -> list[bytes]:
    """The ids in the guard's file: of the last transaction, and of that of a packed file that was replacing it."""
    with suppress(FileNotFoundError, ValueError), open(guard_of(path), 'rb') as file:
        told = bytes.fromhex(file.read(2 * _DIGITS).decode())
        return [tid for tid in (told[:8], told[8:]) if len(tid) == 8]
    return []


def repair(path: str) -> None:
    """Refuse a file that is not what was stored; cut off a last transaction that was never finished.

    A file that an interrupted pack left under another name gets its own again. Raises LockError if another process
    has the file open.
    """
    _check_ours(path)  # first, so that no lock is left beside what is not a database
    with closing(take_lock(path)):  # nobody writes while we look; FileStorage takes it again
        _put_back(path)
        whole = check(path, _IndexedFile)
        torn = _size(path) - whole
        if torn:
            logger.warning('%s ends with %d bytes of a transaction never finished: cut off', path, torn)
            _cut_off(path, whole)


def _begin(path: str) -> None:
    """Make a missing or empty file a database. FileStorage would do so later, and lose it again if the disk is full."""
    if not os.path.exists(path):
        make_private(path)
    with open(path, 'r+b') as file:
        if not os.fstat(file.fileno()).st_size:
            file.write(_MAGIC)


def _cut_off(path: str, whole: int) -> None:
    """Move what follows byte `whole` to a file of its own.

    FileStorage would do so, too, but then take the id of the transaction that it cut off for the last one.
    """
    kept = next(name for name in (f'{path}.tr{number}' for number in itertools.count()) if not os.path.lexists(name))
    make_private(kept)
    with open(path, 'r+b') as file, open(kept, 'wb') as tail:
        file.seek(whole)
        shutil.copyfileobj(file, tail)
        tail.flush()
        os.fsync(tail.fileno())
        file.truncate(whole)


def take_lock(path: str) -> LockFile:
    """Lock the database at `path` against all other processes. Raises LockError if one of them has it locked."""
    make_private(f'{path}.lock')
    try:
        return LockFile(f'{path}.lock')
    except LockError as error:
        refuse_without_locks(path, error.__context__)
        raise


def until_free(attempt: Callable[[], R], locked: type[Exception] = LockError) -> R:
    """What `attempt` returns; retried for a moment while it raises `locked`, since others lock a file just to look."""
    deadline = time.monotonic() + _MOMENT
    while True:
        try:
            return attempt()
        except locked:
            if time.monotonic() > deadline:
                raise
        time.sleep(_MOMENT / 20)


def refuse_without_locks(path: str, error: BaseException | None) -> None:
    """Raise DatabaseRefused if `error` does not say that another process has the lock."""
    if isinstance(error, OSError) and not isinstance(error, BlockingIOError | PermissionError):
        raise DatabaseRefused(
            f'{path!r} cannot be locked ({error.strerror}), as on some network file systems: put it on a local disk'
        ) from error


def _put_back(path: str) -> None:
    """Undo half a pack of ZODB's own, which renames the file, then the packed one: it may be killed in between."""
    old, expected = f'{path}.old', remembered(path)
    if _size(path) or expected in (None, _BEFORE_ALL) or last_transaction(old) != expected:
        return
    os.replace(old, path)
    sync(os.path.dirname(path))
    logger.warning('%s was missing, because a pack of it was interrupted: it was found as %s and put back', path, old)


def check(path: str, reader: type[DatabaseFile] = DatabaseFile) -> int:
    """Up to which byte the file holds whole transactions, all that were stored; changes nothing of it."""
    told = _in_guard(path)  # read first, since the file may grow meanwhile
    size = _check_ours(path)
    if not size:
        check_new(path)
        return 0
    with open(path, 'rb') as file:
        whole = _whole(path, file, size, reader)
        _check_last(path, told, _last(file, whole))
        if size > whole and _last(file, size) is not None:
            todo = remedy(path, f'give up what follows with "truncate -s {whole}"')
            raise DatabaseDamaged(
                f'{path!r} is damaged at byte {whole}, and transactions follow: it was left as it is; {todo}'
            )
    return whole


def _check_ours(path: str) -> int:
    """The size of the file at `path`. Raises DatabaseRefused unless it begins as a database, or there is nothing."""
    size = _size(path)
    if size:
        with open(path, 'rb') as file:
            begin = file.read(len(_MAGIC))
        if begin != _MAGIC:
            strange = f'{path!r} is not a database of ours, and was left as it is'
            if _in_guard(path) or _left(path):
                raise DatabaseDamaged(f'{strange}: {remedy(path, "name another file")}')
            raise DatabaseRefused(f'{strange}: name another file')
    return size


def _size(path: str) -> int:
    if not os.path.exists(path):
        return 0
    if not os.path.isfile(path):  # what is written to a device is gone, and a pipe is waited for
        raise DatabaseRefused(f'{path!r} is a directory, a device or a pipe: name a file')
    return os.path.getsize(path)


def check_new(path: str) -> None:
    """Raise DatabaseRefused unless the missing or empty file at `path` may become a new database."""
    _size(path)  # a device is not to become one
    told, left = remembered(path), _left(path)
    until = '' if told in (None, _BEFORE_ALL) else f' until {_when(told)}'
    if left:
        raise DatabaseDamaged(
            f'{path!r} is missing or empty, because a pack of it was interrupted, and transactions were stored in it'
            f'{until}: {_go_on_with(left, path)}'
        )
    if told is not None:
        todo = remedy(path, f'remove {guard_of(path)!r} to start a new one')
        raise DatabaseDamaged(f'{path!r} is missing or empty, but transactions were stored in it{until}: {todo}')


def _check_last(path: str, told: list[bytes], last: bytes | None) -> None:
    if not told or (last or _BEFORE_ALL) >= told[0] or last in told:
        return
    found = f'can be read up to its transaction of {_when(last)}' if last else 'holds no transaction'
    todo = remedy(path, f'remove {guard_of(path)!r} to go on without what is lost')
    raise DatabaseDamaged(
        f'{path!r} {found}, but one of {_when(told[0])} was stored in it: it is damaged or an older copy, and was left '
        f'as it is; {todo}'
    )


def remedy(path: str, otherwise: str = '') -> str:
    """What to do about a damaged database: go on with what a pack left of it, or else restore it, or do `otherwise`."""
    last = remembered(path) or _BEFORE_ALL
    left = {name: tid for name, tid in _left(path).items() if tid >= last}
    return _go_on_with(left, path) if left else f'{RESTORE}, or {otherwise}' if otherwise else RESTORE


def _go_on_with(left: dict[str, bytes], path: str) -> str:
    holds = ', '.join(f'{name!r} holds what was stored until {_when(tid)}' for name, tid in left.items())
    return f'{holds}; look at a copy, and rename it to {path!r} if nothing is missing there'


def _left(path: str) -> dict[str, bytes]:
    """The files beside the one at `path` that a pack left, and the last transaction of each."""
    found = {name: last_transaction(name) for name in (f'{path}.old', f'{path}.pack')}
    return {name: tid for name, tid in found.items() if tid is not None}


def last_transaction(path: str) -> bytes | None:
    """The id of the last transaction in the file at `path`; None if there is no such file, or its end is damaged."""
    with suppress(OSError), open(path, 'rb') as file:
        return _last(file, os.fstat(file.fileno()).st_size)
    return None


def _whole(path: str, file: BinaryIO, size: int, reader: type[DatabaseFile]) -> int:
    """Up to which byte FileStorage reads: with its index at once, and what it does not read it would cut off."""
    try:
        with closing(reader(path, read_only=True)) as storage:
            return min(int(storage.getSize()), size)
    except (StorageError, CorruptedError, ValueError, struct.error) as error:
        whole = _end_of_chain(file)
        if whole == size:  # so the damage is within a transaction
            todo = remedy(path, 'save what can be read with "python -m ZODB.fsrecover"')
            raise DatabaseDamaged(f'{path!r} is damaged, and was left as it is ({error}): {todo}') from error
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
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        start = int(end - _LENGTH.size - length)
        file.seek(start)
        _, length_again, status, *_ = _HEADER.unpack(file.read(_HEADER.size))
    except (OSError, ValueError, OverflowError, struct.error):  # there is no such place in the file
        return None
    return start if length_again == length >= _HEADER.size and status in b' pu' else None


def _when(tid: bytes | None) -> str:
    return f'{TimeStamp(tid)} UTC' if tid else 'no time'


def _reopened(file: BinaryIO, mode: str) -> BinaryIO:
    """The same file opened again; what `file` could not write is let go of."""
    again = cast(BinaryIO, open(file.name, mode))  # noqa: SIM115 -- the storage closes it
    cast(io.BufferedRandom, file).raw.close()  # the buffer is not flushed so
    return again


def _sync_if_there(path: str) -> None:
    with suppress(FileNotFoundError):
        sync(path)
