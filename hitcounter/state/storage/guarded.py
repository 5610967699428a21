"""A database file that is open for writing: its guard remembers each transaction, and a pack replaces it at once."""

import io
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, BinaryIO, cast

from persistent.TimeStamp import TimeStamp
from ZODB.FileStorage.FileStorage import RedundantPackWarning, TempFormatter
from ZODB.FileStorage.format import CorruptedError
from ZODB.POSException import StorageError

from ...errors import DatabaseRefused, PackFailed, PackMetDamage, StateClosed, StateError
from .checker import last_transaction, make_database, repair
from .data_file import DatabaseFile
from .disk import check_room, is_mount_point, make_folder, make_private, new_file, refuse_planted, remove, sync
from .guard import BEFORE_ALL, Guard
from .owner import whose
from .packer import Packer
from .periodic import PeriodicTask
from .stamps import PackStamp

logger = logging.getLogger(__name__)

#: Seconds between two syncs of a pack that is being written; a single sync at the end would hold up every commit.
_SYNC_PAUSE = 0.2


class GuardedFile(DatabaseFile):
    """A database file, open for writing, whose guard remembers each transaction."""

    _file: BinaryIO
    _tfile: BinaryIO

    def __init__(self, path: str, **options: Any) -> None:
        repair(path)
        self.__packing = threading.Lock()  # held while the file is packed or closed
        self.__ending = False  # whether to abandon a pack
        self.__failure: BaseException | None = None
        make_private(f'{path}.tmp')
        make_database(path)
        blob_dir = options.get('blob_dir')
        if blob_dir and not os.path.exists(blob_dir):
            make_folder(blob_dir)
        super().__init__(path, pack_keep_old=False, **options)
        try:
            self.__guard = Guard(path)
            self.__guard.begin(self.lastTransaction())
        except BaseException:
            super().close()
            raise

    def tpc_begin(self, *transaction: Any) -> None:
        if self.__failure:
            raise StorageError(
                f'{self._file_name!r} can only be read since its disk failed ({self.__failure}): check the disk, and '
                f'start the server again'
            )
        super().tpc_begin(*transaction)

    def tpc_finish(self, transaction: Any, f: Any = None) -> bytes:
        tid: bytes = super().tpc_finish(transaction, f)
        self.__guard.remember(tid)
        return tid

    def tpc_vote(self, transaction: Any) -> Any:
        try:
            return super().tpc_vote(transaction)
        except OSError:
            with self._lock:
                # What is left in the buffer would be written with the next transaction, after it.
                self._file = _reopened(self._file, 'r+b')
                self._file.truncate(self._pos)
                self._files.flush()
            raise

    def _finish(self, tid: bytes, *description: Any) -> None:
        """As in FileStorage, which would close itself when the disk fails; this stays open for reading."""
        self._file.seek(self._pos + 16)
        self._file.write(self._tstatus.encode())
        try:
            self._finish_finish(tid)
        except BaseException as error:
            self.__failure = error  # nobody knows what is on disk until it is read again
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
        """As in FileStorage, but a single rename replaces the file with the packed one, which is on disk by then.

        So if the process is killed, the file under the database's name is one of the two, and intact. Raises
        StateClosed if the file is closed meanwhile, PackMetDamage, PackFailed or NoRoom; then the file is as it was.
        """
        with self.__packing, self.__saying_why():
            self.__go_on()
            if is_mount_point(self._file_name):
                raise PackFailed(
                    f'{self._file_name!r} is mounted by itself, so a packed file cannot replace it: mount its '
                    f'folder instead'
                )
            if self._index:
                stop = TimeStamp(*time.gmtime(t)[:5], t % 60).raw()
                self.__pack(stop, referencesf, self._pack_gc if gc is None else gc)

    @contextmanager
    def __saying_why(self) -> Iterator[None]:
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
                f'{self._file_name!r} was not packed and is as it was ({error}): check the disk'
            ) from error

    def end_packing(self) -> None:
        """Let a pack that is running raise StateClosed before its next record, and begin no other."""
        self.__ending = True

    def __go_on(self) -> None:
        if self.__ending:
            raise StateClosed(f'{self._file_name!r} is closed or closing: it was not packed, and is as it was')

    def __pack(self, stop: bytes, referencesf: Any, collect: bool) -> None:
        path, folder = self._file_name, os.path.dirname(self._file_name)
        for left in filter(os.path.lexists, (f'{path}.pack', f'{path}.old')):  # by a process that was killed
            refuse_planted(left)
            os.remove(left)
        before, started = self.getSize(), time.time()
        check_room(folder, before, 'a pack')
        self._pack_is_in_progress = True  # FileStorage then refuses to undo what may be gone
        try:
            self.__replace(stop, referencesf, collect)
        finally:
            self._pack_is_in_progress = False
            remove(f'{path}.pack')
        now = time.time()
        packed = PackStamp(now, before, self.getSize(), now - started)
        packed.write(path)
        logger.info('packed %s: %d bytes, now %d, in %.1f s', path, packed.before, packed.after, packed.seconds)

    def __replace(self, stop: bytes, referencesf: Any, collect: bool) -> None:
        os.close(new_file(f'{self._file_name}.pack', self._file_name))  # or the packer would ask the umask
        packer = Packer(self, referencesf, stop, collect, self.__go_on)
        with closing(PeriodicTask('pack sync', _SYNC_PAUSE, lambda: _sync_if_there(f'{self._file_name}.pack'))):
            try:
                size = packer.pack()
            except RedundantPackWarning:  # an earlier pack has removed everything
                return
            finally:
                packer.close()
        if size is None:
            return
        try:
            self.__take(size, packer.index)
            self._tfile.seek(0)  # it still holds the objects of earlier transactions
            self._tfile.truncate()
        finally:
            self._commit_lock.release()
        if self.blob_dir:
            self._remove_blob_files_tagged_for_removal_during_pack()
        if not self.__ending:  # otherwise `close` writes it in a moment
            with self._lock:
                self._save_index()

    def __take(self, size: int, index: Any) -> None:
        """Go on with the packed file. The commit lock is held."""
        path = self._file_name
        sync(f'{path}.pack')
        remove(f'{path}.index')  # its positions are those of the old file
        last = last_transaction(f'{path}.pack') or BEFORE_ALL
        with self._files.write_lock(), self._lock:
            packed = os.open(f'{path}.pack', os.O_RDWR | os.O_CLOEXEC)
            try:
                with self.__guard.passing_to(last):
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
            self.__failure = error  # a power failure might bring back the old file, without what is stored from now on
            raise PackFailed(
                f'{path!r} was packed, and can only be read since its disk failed ({error}): check the disk, and '
                f'start the server again'
            ) from error

    def close(self) -> None:
        """Close the file; a pack that is running is abandoned, unless it is already replacing the file."""
        self.end_packing()
        with self.__packing:
            super().close()
            self.__guard.close()


def _reopened(file: BinaryIO, mode: str) -> BinaryIO:
    """The same file opened again; what `file` could not write is discarded."""
    again = cast(BinaryIO, open(file.name, mode))  # noqa: SIM115 -- the storage closes it
    cast(io.BufferedRandom, file).raw.close()  # so the buffer is not flushed
    return again


def _sync_if_there(path: str) -> None:
    with suppress(FileNotFoundError):
        sync(path)
