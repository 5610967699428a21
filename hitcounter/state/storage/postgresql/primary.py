"""The guard against an old primary: it remembers the newest timeline and transaction, in a note on this machine too."""

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
from persistent.TimeStamp import TimeStamp
from psycopg2.extensions import make_dsn, parse_dsn
from ZODB.utils import p64, u64

from ....errors import DatabaseRefused

logger = logging.getLogger(__name__)

_TIMELINE = """
select case when pg_is_in_recovery() then null else left(pg_walfile_name(pg_current_wal_lsn()), 8) end,
       (select system_identifier::text from pg_control_system())
"""


_TABLES = "select to_regclass('transaction'), to_regclass('object_state')"

_LAST = 'select coalesce(max(tid), 0) from {}'

#: Seconds between two notes of the last transaction.
_NOTE_EVERY = 10.0


class Seen(NamedTuple):
    """The newest timeline of a cluster, and the last transaction on it."""

    timeline: int = 0
    tid: int = 0


class OldPrimary(psycopg2.OperationalError):
    """A PostgreSQL that was the primary until another one was promoted."""


class Primaries:
    """What was seen of the primaries of one database."""

    def __init__(self, dsn: str) -> None:
        self._note = _note_of(dsn)
        self._seen = _read(self._note)
        self._cluster = ''
        self._noted = time.monotonic()
        self._lock = threading.Lock()  # of what changes _seen
        self._has_failed = False  # so that a folder that cannot be written is logged once

    def saw(self, tid: bytes) -> None:
        """Remember the last transaction, and every few seconds note it."""
        with self._lock:
            seen = self._seen.get(self._cluster)
            if seen is None or u64(tid) <= seen.tid:
                return
            self._seen[self._cluster] = seen._replace(tid=u64(tid))
        if time.monotonic() - self._noted > _NOTE_EVERY:
            self.note()

    def emptied(self) -> None:
        """Forget the last transaction, also in the note: all of them are removed on purpose."""
        with self._lock:
            self._seen[self._cluster] = self._seen.get(self._cluster, Seen())._replace(tid=0)
            self._write({**_read(self._note), **self._seen})

    def note(self) -> None:
        """Write down what was seen, and learn what other processes have written."""
        with self._lock:
            self._noted = time.monotonic()
            self._seen = _newest(_read(self._note), self._seen)
            self._write(self._seen)

    def _write(self, seen: dict[str, Seen]) -> None:
        try:
            _write(self._note, seen)
        except OSError as error:
            if not self._has_failed:
                logger.warning(
                    '%s cannot be written, so after a restart an old primary is not noticed: %s', self._note, error
                )
            self._has_failed = True

    def connected(self, dsn: str, connect: Callable[[str], Any]) -> Any:
        """A connection to `dsn`, to each of its hosts by itself if the first that answers is an old primary.

        Raises OldPrimary if none is newer, or another error of psycopg2.
        """
        try:
            return self._checked(connect(dsn))
        except OldPrimary as old:
            for other in _each_host(dsn):
                with suppress(psycopg2.Error):
                    return self._checked(connect(other))
            raise old from None

    def _checked(self, session: Any) -> Any:
        try:
            self._check(session)
            session.rollback()
        except BaseException:
            session.close()
            raise
        return session

    def _check(self, session: Any) -> None:
        known = dict(self._seen)  # before it is asked, as others store meanwhile
        with session.cursor() as cursor:
            cursor.execute(_TIMELINE)
            timeline, cluster = cursor.fetchone()
            if timeline is None:  # a standby, which only reads
                return
            found = Seen(int(timeline, 16), _last(cursor))
        self._cluster = cluster
        newest = known.get(cluster, Seen())
        if found < newest:
            raise OldPrimary(self._refusal(session, found, newest))
        if found.timeline > newest.timeline:
            with self._lock:
                self._seen = _newest(self._seen, {cluster: found})
            self.note()
        else:
            self.saw(p64(found.tid))

    def _refusal(self, session: Any, found: Seen, newest: Seen) -> str:
        where = f'the PostgreSQL at {session.info.host}:{session.info.port}'
        accept = f'or, to accept it on purpose, stop what uses it on this machine and remove {str(self._note)!r}'
        if found.timeline < newest.timeline:
            return (
                f'{where} is an old primary (timeline {found.timeline}, and {newest.timeline} was seen): stop it, and '
                f'make it a standby of the new one, {accept}'
            )
        return (
            f'{where} lacks what was stored (its last transaction is of {_time(found.tid)}, and one of '
            f'{_time(newest.tid)} was seen), as an old primary or a restored backup does: stop it, {accept}'
        )


def _last(cursor: Any) -> int:
    """The id of the last transaction, or 0 if the tables do not exist."""
    cursor.execute(_TABLES)
    for table in filter(None, cursor.fetchone()):
        cursor.execute(_LAST.format(table))
        return int(cursor.fetchone()[0])
    return 0


def _time(tid: int) -> str:
    return f'{TimeStamp(p64(tid))} UTC' if tid else 'never'


def _each_host(dsn: str) -> Iterator[str]:
    given = parse_dsn(dsn)
    hosts = given.get('host', '').split(',')
    ports = given.get('port', '').split(',')
    if len(hosts) > 1:
        for index, host in enumerate(hosts):
            yield make_dsn(**{**given, 'host': host, 'port': ports[index] if len(ports) > 1 else ports[0]})


def _note_of(dsn: str) -> Path:
    """A file of this user, named for the database and all its hosts."""
    given = parse_dsn(dsn)
    what = '\0'.join(given.get(name, '') for name in ('host', 'hostaddr', 'port', 'dbname', 'user'))
    folder = os.environ.get('STATE_DIRECTORY', '').partition(':')[0]
    at = Path(folder) if folder else Path(os.environ.get('XDG_STATE_HOME') or '~/.local/state') / 'hitcounter'
    try:
        at = at.expanduser()
    except RuntimeError as error:  # this user has no home folder
        raise DatabaseRefused('the note of the newest primary has no place: set STATE_DIRECTORY to a folder') from error
    return at / f'postgresql-{hashlib.sha256(what.encode()).hexdigest()[:16]}.primary'


def _read(note: Path) -> dict[str, Seen]:
    """What was seen of each cluster, by its identifier."""
    try:
        lines = [line.split() for line in note.read_text(encoding='ascii').splitlines()]
        return {cluster: Seen(*map(int, numbers)) for cluster, *numbers in lines}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        logger.warning('%s cannot be read, so an old primary is not noticed at once: %s', note, error)
        return {}


def _newest(*notes: dict[str, Seen]) -> dict[str, Seen]:
    newest: dict[str, Seen] = {}
    for note in notes:
        for cluster, seen in note.items():
            newest[cluster] = max(seen, newest.get(cluster, seen))
    return newest


def _write(note: Path, seen: dict[str, Seen]) -> None:
    note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = note.with_suffix(f'.{os.getpid()}-{threading.get_ident()}')
    lines = [f'{cluster} {each.timeline} {each.tid}\n' for cluster, each in seen.items()]
    try:
        new.write_text(''.join(lines), encoding='ascii')
        new.replace(note)
    except OSError:
        new.unlink(missing_ok=True)
        raise
