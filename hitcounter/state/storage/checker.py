"""The checker: it reads a database file before FileStorage opens it, and refuses one that has lost transactions.

It changes nothing but the end of the file: a crash can leave a transaction there that was never finished, and `repair`
cuts that off.
"""

import itertools
import logging
import os
import shutil
import struct
from contextlib import closing, suppress
from typing import BinaryIO

from persistent.TimeStamp import TimeStamp
from ZODB.FileStorage.FileStorage import packed_version
from ZODB.FileStorage.format import TRANS_HDR, CorruptedError
from ZODB.POSException import StorageError

from ...errors import RESTORE, DatabaseDamaged, DatabaseRefused
from .data_file import DatabaseFile, IndexedFile
from .disk import make_private, sync
from .guard import BEFORE_ALL, accepted, guard_of, remembered
from .lock import take_lock

logger = logging.getLogger(__name__)

_MAGIC: bytes = packed_version
_HEADER = struct.Struct(TRANS_HDR)
_LENGTH = struct.Struct('>Q')


def repair(path: str) -> None:
    """Refuse a file that is not what was stored; cut off a last transaction that was never finished.

    A file that an interrupted pack left under another name gets its own again. Raises LockError if another process
    has the file open.
    """
    _check_ours(path)  # first, so that no lock is left beside what is not a database
    with closing(take_lock(path)):  # nobody writes while we look; FileStorage takes it again
        _put_back(path)
        whole = check(path, IndexedFile)
        torn = _size(path) - whole
        if torn:
            logger.warning('%s ends with %d bytes of a transaction never finished: cut off', path, torn)
            _cut_off(path, whole)


def make_database(path: str) -> None:
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


def _put_back(path: str) -> None:
    """Undo half a pack of ZODB's own, which renames the file, then the packed one: it may be killed in between."""
    old, expected = f'{path}.old', remembered(path)
    if _size(path) or expected in (None, BEFORE_ALL) or last_transaction(old) != expected:
        return
    os.replace(old, path)
    sync(os.path.dirname(path))
    logger.warning('%s was missing, because a pack of it was interrupted: it was found as %s and put back', path, old)


def check(path: str, reader: type[DatabaseFile] = DatabaseFile) -> int:
    """The byte up to which the file holds whole transactions, all that were stored; it changes nothing."""
    stored = accepted(path)  # read first, since the file may grow meanwhile
    size = _check_ours(path)
    if not size:
        check_new(path)
        return 0
    with open(path, 'rb') as file:
        whole = _whole(path, file, size, reader)
        _check_last(path, stored, _last(file, whole))
        if size > whole and _last(file, size) is not None:
            todo = remedy(path, f'discard what follows with "truncate -s {whole}"')
            raise DatabaseDamaged(
                f'{path!r} is damaged at byte {whole}, and transactions follow: it was left as it is; {todo}'
            )
    return whole


def _check_ours(path: str) -> int:
    """The size of the file at `path`. Raises DatabaseRefused if what it holds is not a database."""
    size = _size(path)
    if size:
        with open(path, 'rb') as file:
            begin = file.read(len(_MAGIC))
        if begin != _MAGIC:
            strange = f'{path!r} is not a ZODB database file, and was left as it is'
            if accepted(path) or _left(path):
                raise DatabaseDamaged(f'{strange}: {remedy(path, "name another file")}')
            raise DatabaseRefused(f'{strange}: name another file')
    return size


def _size(path: str) -> int:
    if not os.path.exists(path):
        return 0
    if not os.path.isfile(path):  # what is written to a device is lost, and opening a pipe would wait
        raise DatabaseRefused(f'{path!r} is a directory, a device or a pipe: name a file')
    return os.path.getsize(path)


def check_new(path: str) -> None:
    """Raise DatabaseRefused unless the missing or empty file at `path` may become a new database."""
    _size(path)  # a device cannot become one
    stored, left = remembered(path), _left(path)
    until = '' if stored in (None, BEFORE_ALL) else f' until {_when(stored)}'
    if left:
        raise DatabaseDamaged(
            f'{path!r} is missing or empty, because a pack of it was interrupted, and transactions were stored in it'
            f'{until}: {_go_on_with(left, path)}'
        )
    if stored is not None:
        todo = remedy(path, f'remove {guard_of(path)!r} to start a new one')
        raise DatabaseDamaged(f'{path!r} is missing or empty, but transactions were stored in it{until}: {todo}')


def _check_last(path: str, stored: list[bytes], last: bytes | None) -> None:
    if not stored or (last or BEFORE_ALL) >= stored[0] or last in stored:
        return
    found = f'can be read up to its transaction of {_when(last)}' if last else 'holds no transaction'
    todo = remedy(path, f'remove {guard_of(path)!r} to go on without what is lost')
    raise DatabaseDamaged(
        f'{path!r} {found}, but one of {_when(stored[0])} was stored in it: it is damaged or an older copy, and was '
        f'left as it is; {todo}'
    )


def remedy(path: str, otherwise: str = '') -> str:
    """What to do about a damaged database: go on with what a pack left of it, or restore it, or do `otherwise`."""
    last = remembered(path) or BEFORE_ALL
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
    """The end of the last transaction that has the same length at its beginning and its end."""
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
    tid: bytes = file.read(len(BEFORE_ALL))
    return tid


def _start(file: BinaryIO, end: int) -> int | None:
    """The beginning of the whole transaction that ends at `end`, if there is one."""
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
