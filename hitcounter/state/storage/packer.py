"""The packer: ZODB's own, which copies a database file without what is to be removed, made so that it can be stopped.

Before each record it checks whether to go on, and its error names the object that it could not read.
"""

from collections.abc import Callable, Iterable
from typing import Any

from ZODB.FileStorage.format import FileStorageFormatter
from ZODB.FileStorage.fspack import GC, FileStoragePacker
from ZODB.POSException import StorageError
from ZODB.utils import u64

from ...errors import PackMetDamage, StateError


class _Watchful(FileStorageFormatter):
    """Calls `look`, which may raise, before each record."""

    look: Callable[[], object]

    def _read_data_header(self, *place: Any, **options: Any) -> Any:
        self.look()
        return super()._read_data_header(*place, **options)


class _Collector(_Watchful, GC):
    """Finds the objects to keep."""

    def findReachableAtPacktime(self, roots: Iterable[bytes]) -> None:
        try:
            super().findReachableAtPacktime(roots)
        except KeyError as error:
            (missing,) = error.args
            raise PackMetDamage(
                f'{self._name!r} was not packed and is as it was: an object refers to object '
                f'{u64(missing):#x}, which is missing'
            ) from error

    def findrefs(self, position: int) -> Any:
        try:
            return super().findrefs(position)
        except (StateError, StorageError, OSError):
            raise
        except Exception as error:  # damaged bytes may raise anything
            raise PackMetDamage(
                f'{self._name!r} was not packed and is as it was: the object at byte {position} cannot be read '
                f'({type(error).__name__}: {error})'
            ) from error


class Packer(_Watchful, FileStoragePacker):
    """Copies a storage's file to the name `FILE.pack`.

    `pack` returns the size of the copy, and leaves the storage's commit lock to the caller to release; it returns None
    if the copy would not be smaller. It raises what `look` raises, and PackMetDamage; then the commit lock is free.
    """

    def __init__(self, storage: Any, referencesf: Any, stop: bytes, collect: bool, look: Callable[[], object]) -> None:
        super().__init__(storage, referencesf, stop, collect)
        self.gc = _Collector(self._file, self.file_end, stop, collect, referencesf)
        self.look = self.gc.look = look
