"""What all kinds of storage have in common: an address that opens itself, and the open database."""

import errno
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, TypeVar

from persistent.TimeStamp import TimeStamp
from transaction.interfaces import NoTransaction
from ZODB.POSException import POSKeyError, StorageError
from ZODB.serialize import referencesf
from ZODB.utils import p64, u64

from ...errors import DatabaseRefused, StateError
from .away import answering_within, is_away
from .owner import whose
from .sharing import raise_refusal
from .stamps import Stamp
from .turn import NoTurn, Turn
from .uri import public, without_secrets

S = TypeVar('S', bound=Stamp)

#: Seconds that a storage over a network has to answer while it is closed.
CLOSE_TIMEOUT = 3.0

#: Connections that may be open at once before ZODB warns: more than a server has threads.
POOL_SIZE = 10_000


class User(Protocol):
    """Something that uses a database from a thread of its own, and must be closed before it."""

    def close(self) -> None: ...


class Database:
    """An open database, and all that was opened for it.

    These are the answers of most kinds of storage; a kind that has another answer has a subclass.
    """

    #: Whether it is a file, and nothing had been stored in it before it was opened.
    is_new = False
    #: Whether what was stored before is kept until a pack.
    keeps_history: bool = True
    #: Whether `pack_if_due` is to pack it; other storages are packed by their own means.
    is_packed_when_due = False
    #: Whether it keeps a clock of its own, which `clock_skew` compares with this machine's.
    has_clock = False
    #: What `stamp` knows of it.
    known_stamps: ClassVar[tuple[type[Stamp], ...]] = ()

    def __init__(self, db: Any, description: str, resources: ExitStack, *, is_remote: bool = False) -> None:
        self.db = db
        #: What is open and how, in a phrase.
        self.description = description
        #: Whether the storage may go away and come back, so that a writer must look up what it last stored.
        self.is_remote = is_remote
        self._resources = resources
        #: What must be closed before it.
        self.users: list[User] = []

    def __repr__(self) -> str:
        return f'<Database {self.description}>'

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def place(self) -> str:
        """Where it is, whoever opens it and however."""
        return self.description

    @property
    def is_outdated(self) -> bool:
        """Whether what is stored has changed, and this shows it as it was when it was opened."""
        return False

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return int(self.db.getSize())

    @property
    def objects(self) -> int:
        """How many objects are stored."""
        return len(self.db.storage)

    @property
    def began(self) -> float | None:
        """When the first transaction that is still there was stored, in seconds since 1970, UTC; None if none is."""
        with closing(self.transactions()) as transactions:
            for found in transactions:
                return float(TimeStamp(found.tid).timeTime())
        return None

    @property
    def lists_objects(self) -> bool:
        """Whether `records` lists its objects."""
        return hasattr(self.db.storage, 'record_iternext')

    def records(self) -> Iterator[tuple[bytes, bytes | Exception]]:
        """The id of each object with its record, or with the error if it, or the next one, cannot be read."""
        position: bytes | None = p64(0) if self.lists_objects else None
        while position is not None:
            try:
                oid, _, data, position = self.db.storage.record_iternext(position)
            except ValueError:  # there is no further one
                return
            except POSKeyError:  # an undo removed it again
                position = p64(u64(position) + 1)
            except Exception as error:  # damaged bytes may raise anything
                if is_away(error):  # then none of the others can be read
                    raise
                yield position, error
                position = p64(u64(position) + 1)
            else:
                yield oid, data

    def transactions(self, first: bytes | None = None, last: bytes | None = None) -> Generator[Any]:
        """The transactions that are stored, from the id `first` to the id `last`; none if it does not list them."""
        if not hasattr(self.db.storage, 'iterator'):
            return
        found = self.db.storage.iterator(first, last)
        try:
            for each in found:  # noqa: UP028 -- `yield from` crashes Python on the way RelStorage's iterator ends
                yield each
        finally:
            if hasattr(found, 'close'):  # a file's
                found.close()

    def server_status(self) -> dict[str, Any] | None:
        """What the server that shares the database says of itself, as ZEO has it; None if there is none."""
        storage = self.db.storage
        return storage.server_status() if hasattr(storage, 'server_status') else None

    def members(self) -> list[dict[str, Any]] | None:
        """The processes on all machines that may change it, each with its name and since when; None if unknown.

        Times are in seconds since 1970, UTC.
        """
        return None

    def clock_skew(self) -> float | None:
        """Seconds that this machine's clock is ahead of the storage's, negative if it is behind.

        0.0 where the storage goes by this machine's clock; None if it cannot be measured. It takes a few round trips.
        """
        return None if self.is_remote else 0.0

    def stamp(self, kind: type[S]) -> S | None:
        """When something was last done to it; None if that is unknown."""
        return None

    def pack(self, until: float) -> None:
        """Remove its history before that time, in seconds since 1970. Raises StateError, StorageError or OSError."""
        raise_refusal(self.db.storage.pack(until, referencesf))

    @contextmanager
    def packing(self) -> Iterator[bool]:
        """Whether this process is the one to pack it now, of all that would."""
        yield True

    def end_packing(self) -> None:
        """Abandon a pack that this process is running, as soon as possible, and begin no other."""

    def new_turn(self) -> Turn:
        """A new turn: what a writer holds from its first read until its commit, so that one after the other writes.

        It holds open files, which its `close` closes.
        """
        return NoTurn()

    def close(self) -> None:
        """Give back what was opened, such as a file, a socket and threads.

        All that uses it must be closed before. Otherwise it is closed now, and StateError raised.
        """
        self.end_packing()
        left = [*self.users]
        with ExitStack() as ending:
            ending.callback(self._give_back)
            for user in left:
                ending.callback(user.close)
        if left:
            raise StateError(f'{self.description} was closed before the state that uses it: close the state first')

    def _give_back(self) -> None:
        try:
            with answering_within(CLOSE_TIMEOUT):
                self._resources.close()
        except NoTransaction as error:  # the file and the socket are closed nevertheless
            raise StateError(
                f'{self.description} was closed before a connection to it: close the connection first'
            ) from error


@dataclass(frozen=True)
class Filling:
    """A storage that is being filled."""

    #: ZODB's, empty at first.
    storage: Any
    #: Opens a database on it, once it has a root.
    open: Callable[[], Database]


@dataclass(frozen=True, repr=False)
class Address:
    """What a URI names; it opens itself."""

    #: As it was given, passwords included: no message may show it.
    uri: str

    def __str__(self) -> str:
        return public(self.uri)

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {self}>'

    @property
    def files(self) -> tuple[str, ...]:
        """The real paths of what it opens on this machine."""
        return ()

    def file(self) -> str:
        """The real path of the database file. Raises DatabaseRefused if it is not a file."""
        raise DatabaseRefused(f'{str(self)!r} is not a file: use what its own storage offers for that')

    def open(self, *, share: bool = False, read_only: bool = False) -> Database:
        """Open it as `open_database` does."""
        with refusing(self.uri):
            return self._open(share, read_only)

    def open_as_stored(self) -> Database:
        """Open it for reading, as it is now; a file is read directly, even if a process shares it."""
        with refusing(self.uri):
            return self._open_as_stored()

    def open_alone(self) -> Database:
        """Open it to change all of it; meanwhile no other process can open it if it is a file.

        Raises DatabaseInUse if one has it open for longer than a moment, or DatabaseRefused.
        """
        with refusing(self.uri):
            return self._open_alone()

    @contextmanager
    def filling(self) -> Iterator[Filling]:
        """A storage at this address, to be filled within the block; it must be empty, or not exist.

        If the block fails or the process dies, nothing opens what it has left until `filling` has begun again. Raises
        DatabaseInUse or DatabaseRefused.
        """
        raise DatabaseRefused(f'{str(self)!r} cannot be copied to: name a new file, or a database on PostgreSQL')
        yield

    def _open(self, share: bool, read_only: bool) -> Database:
        raise NotImplementedError

    def _open_as_stored(self) -> Database:
        return self._open(False, True)

    def _open_alone(self) -> Database:
        return self._open(False, False)


@contextmanager
def refusing(uri: str) -> Iterator[None]:
    """Say in one sentence why the database cannot be opened, whatever went wrong."""
    try:
        yield
    except StateError:
        raise
    except PermissionError as error:
        raise DatabaseRefused(f'{public(uri)!r} cannot be opened ({_reason(error)}): {whose(error)}') from error
    except OSError as error:
        todo = 'name a file in a folder that can be written, on a disk with room'
        if error.errno == errno.EIO:
            todo = 'check the disk'
        raise DatabaseRefused(f'{public(uri)!r} cannot be opened ({_reason(error)}): {todo}') from error
    except (KeyError, ValueError, StorageError) as error:
        raise refused(uri, error) from error


def _reason(error: OSError) -> str:
    if not error.strerror:
        return str(error)
    return f'{error.filename!r}: {error.strerror}' if error.filename else error.strerror


def refused(uri: str, error: Exception) -> DatabaseRefused:
    """What is raised for an error of a storage, whose message may hold a password."""
    return DatabaseRefused(
        f'{public(uri)!r} cannot be opened, {type(error).__name__}: {without_secrets(str(error), uri)}: check its '
        f'options, and that what it names exists'
    )


def for_threads(options: dict[str, Any]) -> dict[str, Any]:
    """`options` for a ZODB.DB, with a pool that is large enough for all threads."""
    return {**options, 'pool_size': max(POOL_SIZE, options['pool_size'])}
