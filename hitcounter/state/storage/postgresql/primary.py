"""The guard against an old primary: it remembers the newest timeline that was seen, in a note on this machine too."""

import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

logger = logging.getLogger(__name__)

_TIMELINE = """
select case when pg_is_in_recovery() then null else left(pg_walfile_name(pg_current_wal_lsn()), 8) end,
       (select system_identifier::text from pg_control_system())
"""


class OldPrimary(psycopg2.OperationalError):
    """A PostgreSQL that was the primary until another one was promoted."""


class Primaries:
    """What was seen of the primaries of one database."""

    def __init__(self, dsn: str) -> None:
        self._note = _note_of(dsn)
        self._seen = _read(self._note)

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
        with session.cursor() as cursor:
            cursor.execute(_TIMELINE)
            timeline, cluster = cursor.fetchone()
        if timeline is None:  # a standby, which only reads
            return
        newest = self._seen.get(cluster, 0)
        if int(timeline, 16) < newest:
            raise OldPrimary(
                f'the PostgreSQL at {session.info.host}:{session.info.port} is an old primary (timeline '
                f'{int(timeline, 16)}, and {newest} was seen): stop it, and make it a standby of the new one'
            )
        if int(timeline, 16) > newest:
            self._seen[cluster] = int(timeline, 16)
            _write(self._note, self._seen)


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
    return at.expanduser() / f'postgresql-{hashlib.sha256(what.encode()).hexdigest()[:16]}.primary'


def _read(note: Path) -> dict[str, int]:
    """The newest timeline of each cluster, by its identifier."""
    try:
        lines = note.read_text(encoding='ascii').splitlines()
        return {cluster: int(timeline) for cluster, timeline in (line.split() for line in lines)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        logger.warning('%s cannot be read, so an old primary is not noticed at once: %s', note, error)
        return {}


def _write(note: Path, seen: dict[str, int]) -> None:
    try:
        note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = note.with_suffix(f'.{os.getpid()}')
        new.write_text(''.join(f'{cluster} {timeline}\n' for cluster, timeline in seen.items()), encoding='ascii')
        new.replace(note)
    except OSError as error:
        logger.warning('%s cannot be written, so after a restart an old primary is not noticed: %s', note, error)
