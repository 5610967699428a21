"""An intact database, and what becomes of it after damage."""

import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ZODB.FileStorage import FileStorage

from hitcounter.errors import DatabaseRefused
from hitcounter.state.storage.database import open_database
from hitcounter.state.storage.guarded import GuardedFile

COMMITS = 20

#: Transactions at the end that are damaged.
LAST = 3

SECTOR = 512

#: Where a transaction's header tells its length.
LENGTH = range(8, 16)

#: Where its other fields begin, and where the first record does.
FIELDS = (0, 16, 17, 19, 21, 23)

Content = list[tuple[bytes, list[tuple[bytes, bytes]]]]


@dataclass(frozen=True)
class IntactFile:
    """A closed database as it was before the damage, and how it can be had again."""

    path: Path
    files: dict[str, bytes]
    content: Content
    ends: list[int]

    @property
    def whole(self) -> bytes:
        return self.files[self.path.name]

    @property
    def tail(self) -> range:
        """The bytes of the last transactions."""
        return range(self.ends[-LAST - 1], self.ends[-1])

    @property
    def sample(self) -> list[int]:
        """Some of these bytes: the fields at both ends of each transaction, and a few between."""
        begins, ends = self.ends[-LAST - 1 : -1], self.ends[-LAST:]
        fields = [begin + offset for begin in begins for offset in (*FIELDS, *LENGTH[::3])]
        last = [end - distance for end in ends for distance in (8, 1)]
        return sorted({*fields, *last, *self.tail[::29]})

    def put(self, damaged: bytes, *, indexed: bool) -> None:
        """Have all files as they were, but these bytes in place of the database."""
        for file in self.path.parent.iterdir():
            if file.is_file() and file.name not in self.files:
                file.unlink()
        for name, content in self.files.items():
            (self.path.parent / name).write_bytes(content)
        self.path.write_bytes(damaged)
        if not indexed:
            os.remove(f'{self.path}.index')


indexed_or_not = pytest.mark.parametrize('indexed', [True, False], ids=['indexed', 'without index'])


def fill(path: Path, commits: int) -> None:
    with open_database(f'file:{path}', share=True) as database:
        for number in range(commits):
            with database.db.transaction() as connection:
                connection.root()['count'] = number
                connection.root()['filler'] = 'x'


def intact(path: Path) -> IntactFile:
    with closing(FileStorage(str(path), read_only=True)) as storage:
        content = content_of(storage)
        ends = [found._tend + 8 for found in storage.iterator()]
    files = {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    return IntactFile(path, files, content, ends)


def content_of(storage: Any) -> Content:
    return [(found.tid, [(record.oid, record.data) for record in found]) for found in storage.iterator()]


def is_refused(path: Path) -> bool:
    """Whether it is refused, and then it is byte for byte as it was."""
    before = path.read_bytes()
    try:
        storage = GuardedFile(str(path))
    except DatabaseRefused:
        assert path.read_bytes() == before
        return True
    storage.close()
    return False


def holds(path: Path, content: Content) -> bool:
    with closing(GuardedFile(str(path))) as storage:
        return content_of(storage) == content
