"""A storage that is away: the error that says so, and the time that a thread gives a storage for each answer."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from transaction.interfaces import TransientError
from ZODB.POSException import StorageError

from ...errors import StateUnavailable


class StorageAway(StorageError, TransientError):
    """The storage cannot be reached, or did not answer in time; it may come back by itself."""


def is_away(error: BaseException | None) -> bool:
    """Whether `error` says that a storage is away, such as StorageAway or ZEO's ClientDisconnected."""
    return isinstance(error, StorageError) and isinstance(error, TransientError)


@contextmanager
def reading() -> Iterator[None]:
    """Raise StateUnavailable in place of an error by which a storage says that it cannot be read now."""
    try:
        yield
    except (OSError, StorageError) as error:
        raise unavailable(error) from error


def unavailable(error: BaseException) -> StateUnavailable:
    """What is raised for `error` of a storage that was to be read."""
    if is_away(error):
        return StateUnavailable(f'the storage is away ({error}): try again when it is back')
    return StateUnavailable(f'the storage cannot be read ({type(error).__name__}: {error}): check it')


class _Here(threading.local):
    #: On the clock of time.monotonic().
    deadline: float | None = None


_here = _Here()


class answering_within:
    """Let this thread wait for a storage no longer than until `seconds` from now, within the block.

    Of two blocks, the inner one decides. A storage over a network that would answer later raises StorageAway; a file
    knows no such limit.
    """

    __slots__ = ('_before', '_deadline')

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def __enter__(self) -> None:
        self._before = _here.deadline
        _here.deadline = self._deadline

    def __exit__(self, *_: object) -> None:
        _here.deadline = self._before


def answer_deadline() -> float | None:
    """When the storage must have answered this thread, on the clock of time.monotonic(); None if nothing was said."""
    return _here.deadline
