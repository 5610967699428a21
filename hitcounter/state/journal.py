"""A journal: records that are numbered from 1 on, without gaps.

The oldest may be forgotten. A record is replaced only to erase what it says of somebody.
"""

from collections.abc import Iterable, Iterator

from BTrees.LOBTree import LOBTree
from persistent import Persistent

#: Records in one piece: an append writes the last piece again, half of this many on average.
PIECE = 32

#: Characters and bytes after which a piece takes no further record, so that long records do not slow down appends.
LONG = 4_000

_TEXTS = (str, bytes)

Record = tuple[object, ...]


class Journal(Persistent):
    """A sequence of tuples to append to, the first of which has the number 1.

    An append writes one small object, not a bucket of a BTree: pieces are indexed only when the next one begins.
    Two transactions that append at the same time conflict, and so no number is given twice.
    """

    def __init__(self) -> None:
        self._last = _Piece(1)
        self._pieces = LOBTree({1: self._last})  # by the number of its first record

    def append(self, record: Record) -> int:
        """Add `record`, made of plain immutable values, and return its number."""
        _check(record)
        if self._last.is_full:
            self._last = _Piece(len(self) + 1)
            self._pieces[self._last.first] = self._last
        self._last.append(record)
        return len(self)

    def __len__(self) -> int:
        """How many have ever been appended, which is the last one's number."""
        return self._last.first + len(self._last) - 1

    @property
    def first(self) -> int:
        """The number of the first record that is not forgotten; there may be none yet."""
        number: int = self._pieces.minKey()
        return number

    @property
    def last(self) -> Record | None:
        """The last record; None if there is none, or it is forgotten."""
        return self._last[len(self._last) - 1] if len(self._last) else None

    def __getitem__(self, number: int) -> Record:
        """The record `number`. Raises KeyError if there is none, or it is forgotten."""
        piece = self._piece_of(number)
        return piece[number - piece.first]

    def since(self, number: int) -> Iterator[tuple[int, Record]]:
        """The records from `number` on, each with its own number; they are read piece by piece."""
        start = self._pieces.maxKey(number) if number > self.first else None
        for first, piece in self._pieces.items(start):
            for index, record in enumerate(piece.records()):
                if first + index >= number:
                    yield first + index, record

    def replace(self, number: int, record: Record) -> None:
        """Put `record` in the place of the record `number`. Raises KeyError as `journal[number]` does.

        It is for erasing: what was read of a record otherwise stays true. The old one remains in the database's history
        until a pack removes it.
        """
        _check(record)
        piece = self._piece_of(number)
        piece.replace(number - piece.first, record)

    def end(self) -> None:
        """Have this transaction conflict with each other one that appends at the same time.

        It is for what holds for all records, those included that another process is storing: that there are no more.
        """
        self._p_changed = True  # which an append that begins a piece writes
        self._last._p_changed = True  # and this one all others

    def forget(self, number: int) -> None:
        """Forget the records below `number`; the others keep their numbers, and the next one gets the next."""
        number = min(number, len(self) + 1)
        for first in list(self._pieces.keys(max=number, excludemax=True)):
            piece = self._pieces.pop(first)
            kept = piece.records()[number - first :]
            if kept or piece is self._last:
                rest = self._pieces[number] = _Piece(number, kept)
                if piece is self._last:
                    self._last = rest

    def _piece_of(self, number: int) -> '_Piece':
        if not 1 <= number <= len(self):
            raise KeyError(number)
        if number < self.first:
            raise KeyError(f'record {number} is forgotten, as are all below {self.first}')
        piece: _Piece = self._pieces[self._pieces.maxKey(number)]
        return piece

    def check(self) -> Iterator[str]:
        """What is wrong with it, each in a sentence."""
        following = self.first if self._pieces else 1
        for first, piece in self._pieces.items():
            if not first == piece.first == following:
                yield f'record {following} should be where record {first} is'
            following = first + len(piece)
        if following != len(self) + 1:
            yield f'record {following} is missing, although {len(self)} have been appended'


class _Piece(Persistent):
    """Some records in a row, in one object of the database."""

    plain_on_purpose = ('_records',)
    _v_size: int  # of the texts in it; not stored

    def __init__(self, first: int, records: Iterable[Record] = ()) -> None:
        self.first = first
        self._records = list(records)

    @property
    def is_full(self) -> bool:
        return len(self._records) >= PIECE or self._size() >= LONG

    def append(self, record: Record) -> None:
        self._v_size = self._size() + _size_of(record)
        self._records.append(record)
        self._p_changed = True  # ZODB does not see that a list has changed

    def replace(self, index: int, record: Record) -> None:
        self._v_size = self._size() + _size_of(record) - _size_of(self._records[index])
        self._records[index] = record
        self._p_changed = True

    def _size(self) -> int:
        try:
            return self._v_size
        except AttributeError:  # it was just made or loaded
            self._v_size = sum(map(_size_of, self._records))
            return self._v_size

    def records(self) -> tuple[Record, ...]:
        return tuple(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Record:
        return self._records[index]


def _check(record: object) -> None:
    if not isinstance(record, tuple):
        raise TypeError(f'{record!r} is not a record: give a tuple of plain immutable values')


def _size_of(record: Record) -> int:
    return sum([len(value) for value in record if isinstance(value, _TEXTS)])
