"""A journal: records that are numbered from 1 on, without gaps, and never changed."""

from collections.abc import Iterator

from BTrees.LOBTree import LOBTree
from persistent import Persistent

#: Records in one piece: an append writes the last piece again, half of this many on the average.
PIECE = 32

Record = tuple[object, ...]


class Journal(Persistent):
    """An append-only sequence of tuples, the first of which has the number 1.

    An append writes one small object, not a bucket of a BTree: pieces are indexed only when the next one begins.
    Two transactions that append at the same time conflict, and so no number is given twice.
    """

    def __init__(self) -> None:
        self._last = _Piece(1)
        self._pieces = LOBTree({1: self._last})  # by the number of its first record

    def append(self, record: Record) -> int:
        """Add `record`, made of plain immutable values, and return its number."""
        if len(self._last) == PIECE:
            self._last = _Piece(len(self) + 1)
            self._pieces[self._last.first] = self._last
        self._last.append(record)
        return len(self)

    def __len__(self) -> int:
        """How many have ever been appended, which is the last one's number."""
        return self._last.first + len(self._last) - 1

    def __getitem__(self, number: int) -> Record:
        """The record `number`. Raises KeyError if there is none."""
        if not 1 <= number <= len(self):
            raise KeyError(number)
        piece = self._pieces[self._pieces.maxKey(number)]
        record: Record = piece[number - piece.first]
        return record

    def since(self, number: int) -> Iterator[tuple[int, Record]]:
        """The records from `number` on, each with its own number; they are read piece by piece."""
        start = self._pieces.maxKey(number) if number > 1 else None
        for first, piece in self._pieces.items(start):
            for index, record in enumerate(piece.records()):
                if first + index >= number:
                    yield first + index, record


class _Piece(Persistent):
    """Some records in a row, in one object of the database."""

    def __init__(self, first: int) -> None:
        self.first = first
        self._records: list[Record] = []

    def append(self, record: Record) -> None:
        self._records.append(record)
        self._p_changed = True  # a list does not tell that it has changed

    def records(self) -> tuple[Record, ...]:
        return tuple(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Record:
        return self._records[index]
