"""Opening a database on PostgreSQL: its tables are made once, and what is not ours is refused."""

import logging
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Any, NamedTuple

from persistent.TimeStamp import TimeStamp
from psycopg2.errors import InsufficientPrivilege
from psycopg2.extensions import make_dsn, parse_dsn
from ZODB.serialize import referencesf
from ZODB.utils import p64

from ....errors import DatabaseRefused
from ...model.classes import LookingDB
from ..away import StorageAway, answering_within
from ..clocks import seconds_ahead
from ..kind import POOL_SIZE, Database, Filling, S, refused
from ..sharing import raise_refusal
from ..stamps import PackStamp
from ..turn import NoTurn, Turn
from ..uri import public
from .driver import Adapter, connect
from .locks import LOCKS, MAKING, PACKING
from .members import Membership, join, members, own_name
from .notes import STAMPS, is_filling, note, note_filling, stored
from .primary import OldPrimary, Primaries
from .settings import Settings
from .storage import Storage, translating
from .turn import PostgresTurn

logger = logging.getLogger(__name__)

#: Seconds that a pack, and each of its statements, may take.
PACK_TIMEOUT = 86400.0

_MAKING_TIMEOUT = 30

_TABLES = """
select c.relname, exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'zoid')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname = any(current_schemas(false)) order by 1
"""

_SIZE = 'select pg_database_size(current_database())'

_COUNT = 'select count(*) from {}'

_CLOCK = 'select extract(epoch from clock_timestamp())'

_FIRST = 'select min(tid) from {}'


class PostgresDatabase(Database):
    """A database on PostgreSQL."""

    is_packed_when_due = True
    has_clock = True
    known_stamps = (PackStamp,)

    def __init__(self, db: Any, uri: str, opened: '_Opened', dsn: str, resources: ExitStack) -> None:
        super().__init__(db, f'{public(uri)} ({opened.server})', resources, is_remote=True)
        self._place = public(uri)
        #: What connects to it; it may hold a password.
        self.dsn = dsn
        self.keeps_history = opened.history
        self._connect = opened.connect
        self._is_alone = False
        self._membership = resources.enter_context(closing(Membership(dsn, self._connect)))

    @property
    def place(self) -> str:
        return self._place

    @property
    def size(self) -> int:
        """The size of the whole PostgreSQL database, in bytes."""
        return int(self._ask(_SIZE))

    @property
    def objects(self) -> int:
        """How many objects are stored: they are counted, not estimated."""
        return int(self._ask(_COUNT.format(self._objects)))

    @property
    def began(self) -> float | None:
        tid = self._ask(_FIRST.format(self._objects))
        return None if tid is None else float(TimeStamp(p64(tid)).timeTime())

    @property
    def _objects(self) -> str:
        return 'current_object' if self.keeps_history else 'object_state'

    def _ask(self, question: str) -> Any:
        with translating(), closing(self._connect(self.dsn)) as session, session.cursor() as cursor:
            cursor.execute(question)
            return cursor.fetchone()[0]

    def members(self) -> list[dict[str, Any]]:
        """The processes that may change it, on all machines."""
        with translating(), closing(self._connect(self.dsn)) as session:
            return [{'name': each.name, 'since': each.since.timestamp()} for each in members(session)]

    def keep_others_out(self) -> None:
        """Be the only process that may change it, until it is closed. Raises DatabaseInUse, which names the others."""
        with translating():
            self._resources.enter_context(closing(join(self.dsn, self._connect, alone=True)))
        self._is_alone = True

    def new_turn(self) -> Turn:
        if self._is_alone:
            return NoTurn()
        with translating():
            return PostgresTurn(self._session_for_turns)

    def _session_for_turns(self) -> Any:
        self._membership.hold()
        return self._connect(make_dsn(self.dsn, application_name=f'turn of {own_name()}'))

    def records(self) -> Iterator[tuple[bytes, bytes | Exception]]:
        position = None  # RelStorage's; it cannot go on behind an error
        while True:
            oid, _, data, position = self.db.storage.record_iternext(position)
            yield oid, data
            if position is None:
                return

    def transactions(self, first: bytes | None = None, last: bytes | None = None) -> Generator[Any]:
        if self.keeps_history:  # what RelStorage lists otherwise has neither a description nor all objects
            yield from super().transactions(first, last)

    def clock_skew(self) -> float | None:
        with translating(), closing(self._connect(self.dsn)) as session, session.cursor() as cursor:
            return seconds_ahead(lambda: cursor.execute(_CLOCK), lambda: float(cursor.fetchone()[0]))

    def stamp(self, kind: type[S]) -> S | None:
        return stored(self._ask(STAMPS), kind)

    @contextmanager
    def packing(self) -> Iterator[bool]:
        with translating(), closing(self._connect(self.dsn)) as session:
            session.autocommit = True  # or its snapshot would keep what the pack removes
            with session.cursor() as cursor:
                cursor.execute('select pg_try_advisory_lock(%s, %s)', (LOCKS, PACKING))
                is_ours = cursor.fetchone()[0]
            yield is_ours

    def pack(self, until: float) -> None:
        before, began = self.size, time.time()
        with answering_within(PACK_TIMEOUT):
            raise_refusal(self.db.storage.pack(until, referencesf))
        now = time.time()
        with translating(), closing(self._connect(self.dsn)) as session:
            note(session, PackStamp(now, before, self.size, now - began))


def open_database(uri: str, *, read_only: bool) -> PostgresDatabase:
    """Open what `uri` names; an empty database is made ours, unless `read_only`. Raises DatabaseRefused."""
    settings = _settings(uri)
    with _refusing(uri):
        return _opened(uri, settings, read_only)


@contextmanager
def filling(uri: str) -> Iterator[Filling]:
    """As Address.filling: meanwhile a note in the database says that it is being filled."""
    settings = _settings(uri)
    with ExitStack() as resources:
        with _refusing(uri):
            opened = _to_be_filled(uri, settings, resources)
        yield Filling(opened.storage, lambda: _database(uri, settings, opened, ExitStack()))
        with translating(), closing(opened.connect(settings.dsn)) as session:
            note_filling(session, is_filling=False)


def _settings(uri: str) -> Settings:
    try:
        return Settings.of(uri)
    except ValueError as error:
        raise DatabaseRefused(f'{public(uri)!r} cannot be opened: {error}') from error


def _to_be_filled(uri: str, settings: Settings, resources: ExitStack) -> '_Opened':
    """The storage, empty, with its note; no other process may open it for writing until `resources` are closed."""
    with _making(settings.dsn, primaries := Primaries(settings.dsn)) as session:
        opened = _open_storage(uri, settings, session, primaries, read_only=False)
        resources.callback(opened.resources.close)
        resources.enter_context(closing(join(settings.dsn, opened.connect, alone=True)))
        with session.cursor() as cursor:
            cursor.execute(STAMPS)
            was_filling = is_filling(cursor.fetchone()[0])
            cursor.execute('select exists (select from object_state)')
            (is_taken,) = cursor.fetchone()
        if is_taken and not was_filling:
            raise DatabaseRefused(f'{public(uri)!r} is not empty: name an empty database')
        note_filling(session, is_filling=True)
    if is_taken:
        primaries.emptied()  # before and after: the connections in between may see either
        opened.storage.zap_all()
        primaries.emptied()
    return opened


@contextmanager
def _refusing(uri: str) -> Iterator[None]:
    try:
        with translating():
            yield
    except DatabaseRefused:
        raise
    except StorageAway as error:
        if isinstance(error.__cause__, OldPrimary):
            raise DatabaseRefused(f'{public(uri)!r} is refused: {error}') from error
        raise DatabaseRefused(
            f'{public(uri)!r} cannot be reached ({error}): check its address, user, password, database and options, '
            f'and that PostgreSQL runs'
        ) from error
    except Exception as error:  # RelStorage has errors of its own
        if isinstance(error.__cause__, InsufficientPrivilege):
            denied = error.__cause__.diag.message_primary
            raise DatabaseRefused(f'{public(uri)!r} is refused ({denied}): let its user own the database') from error
        raise refused(uri, error) from error


class _Opened(NamedTuple):
    """A storage that was opened, and what to close when it is not used any more."""

    storage: Storage
    server: str
    history: bool
    #: Makes a session of its own; it refuses an old primary.
    connect: Callable[[str], Any]
    resources: ExitStack


def _opened(uri: str, settings: Settings, read_only: bool) -> PostgresDatabase:
    with _making(settings.dsn, primaries := Primaries(settings.dsn)) as session:
        opened = _open_storage(uri, settings, session, primaries, read_only=read_only)
        with opened.resources as resources:
            _refuse_half(uri, session)
            logger.info('the database is on %s', opened.server)
            return _database(uri, settings, opened, resources.pop_all())


def _open_storage(uri: str, settings: Settings, session: Any, primaries: Primaries, *, read_only: bool) -> _Opened:
    with ExitStack() as resources:
        history = _history(uri, session, settings.keeps_history, read_only)
        server = _server(session)
        options = settings.relstorage(history, read_only)
        adapter = Adapter(dsn=settings.dsn, options=options, primaries=primaries)
        resources.callback(primaries.note)
        storage = resources.enter_context(closing(Storage(adapter, create=not read_only, options=options)))
        return _Opened(storage, server, history, partial(primaries.connected, connect=connect), resources.pop_all())


def _database(uri: str, settings: Settings, opened: _Opened, resources: ExitStack) -> PostgresDatabase:
    db = resources.enter_context(closing(LookingDB(opened.storage, pool_size=POOL_SIZE, cache_size=10_000)))
    return PostgresDatabase(db, uri, opened, settings.dsn, resources)


def _refuse_half(uri: str, session: Any) -> None:
    with session.cursor() as cursor:
        cursor.execute(STAMPS)
        (notes,) = cursor.fetchone()
    if is_filling(notes):
        raise DatabaseRefused(
            f'{public(uri)!r} is being copied to, or holds a part of what an interrupted copy was to store: copy again'
        )


@contextmanager
def _making(dsn: str, primaries: Primaries) -> Iterator[Any]:
    """A session that keeps others from making the tables: two that make them at once both fail."""
    limits = f'-c lock_timeout={_MAKING_TIMEOUT}s -c idle_in_transaction_session_timeout={_MAKING_TIMEOUT}s'
    options = f'{parse_dsn(dsn)["options"]} {limits}'
    with closing(primaries.connected(make_dsn(dsn, options=options), connect)) as session:
        with session.cursor() as cursor:
            cursor.execute('select pg_advisory_xact_lock(%s, %s)', (LOCKS, MAKING))
        yield session


def _history(uri: str, session: Any, wanted: bool | None, read_only: bool) -> bool:
    """Whether the database keeps history. Raises DatabaseRefused if it is not ours, or made otherwise than `wanted`."""
    with session.cursor() as cursor:
        cursor.execute(_TABLES)
        tables = dict(cursor.fetchall())
    if not tables and read_only:
        raise DatabaseRefused(f'{public(uri)!r} is empty: start a server, or open it for writing, which makes it')
    if not tables:
        return bool(wanted)
    if not tables.get('object_state'):
        names = ', '.join(sorted(tables)[:3])
        raise DatabaseRefused(f'{public(uri)!r} holds tables of another program ({names}): name a database of its own')
    made = 'transaction' in tables
    if wanted not in (None, made):
        raise DatabaseRefused(
            f'{public(uri)!r} was made with keep_history={made:d}: leave keep_history out, or name another database'
        )
    return made


def _server(session: Any) -> str:
    """Which PostgreSQL answers."""
    with session.cursor() as cursor:
        cursor.execute("select pg_is_in_recovery(), current_setting('server_version')")
        is_standby, version = cursor.fetchone()
    role = 'standby' if is_standby else 'primary'
    return f'PostgreSQL {version} at {session.info.host}:{session.info.port}, {role}'
