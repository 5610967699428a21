"""FileStorage as it is opened here: an error leaves nothing open, and the index of a stranger is not loaded."""

from typing import Any

from ZODB.FileStorage import FileStorage

from .disk import make_private
from .owner import is_ours


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
        """As in FileStorage, but another user's index, which is a pickle, is not loaded; the file is scanned."""
        return super()._restore_index() if is_ours(f'{self._file_name}.index') else None

    def _save_index(self) -> None:
        if not self._is_read_only:
            make_private(f'{self._file_name}.index.index_tmp')
            super()._save_index()


class UnindexedFile(DatabaseFile):
    """A database file, open for reading without its index: only its bytes are read, and no pickle is loaded."""

    def _restore_index(self) -> None:
        return None


class IndexedFile(DatabaseFile):
    """A database file, open for reading, whose index is written if it is missing, to save the next process the scan."""

    def _save_index(self) -> None:
        self._is_read_only = False
        try:
            super()._save_index()
        finally:
            self._is_read_only = True
