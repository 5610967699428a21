"""The processes that may change a database, on all machines: each holds a shared lock, and so can be seen."""

import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
from psycopg2.errors import LockNotAvailable
from psycopg2.extensions import make_dsn

from ....errors import DatabaseInUse
from ..away import answering_within
from .locks import LOCKS, MEMBERS

logger = logging.getLogger(__name__)

#: Seconds that a process waits for others to let it in, or to end.
JOIN_TIMEOUT = 3

#: Seconds between two looks whether the session is still there.
_LOOK = 5.0

_NAME_SIZE = 63  # PostgreSQL cuts names of applications there

_MEMBERS = """
select a.application_name, a.backend_start, l.mode = 'ExclusiveLock'
from pg_locks l join pg_stat_activity a using (pid)
where l.locktype = 'advisory' and l.granted and l.classid = %s and l.objid = %s and l.objsubid = 2 and a.pid <>
    pg_backend_pid() and l.database = (select oid from pg_database where datname = current_database())
order by 2, 1
"""


class Member(NamedTuple):
    """A process that may change the database."""

    #: Its program, machine and process id: `hitcounter-serve@host1 4711`.
    name: str
    since: datetime
    #: Whether it keeps all others out, to change all of it.
    is_alone: bool


def own_name() -> str:
    """What this process is called among the members."""
    name = f'{Path(sys.argv[0]).name or "python"}@{socket.gethostname()} {os.getpid()}'
    return name.encode()[-_NAME_SIZE:].decode(errors='ignore')


def join(dsn: str, connect: Callable[[str], Any], *, alone: bool = False) -> Any:
    """A session of `connect` that makes this process a member; it is one until the session ends.

    Raises DatabaseInUse if another process keeps it out, which it names, or psycopg2's errors.
    """
    named = make_dsn(dsn, application_name=own_name())
    session = connect(named)
    try:
        session.autocommit = True
        with session.cursor() as cursor, _naming_others(session):
            cursor.execute(f"set lock_timeout = '{JOIN_TIMEOUT}s'")
            cursor.execute(f'select pg_advisory_lock{"" if alone else "_shared"}(%s, %s)', (LOCKS, MEMBERS))
    except BaseException:
        session.close()
        raise
    return session


class Membership:
    """The membership of this process, on a session of its own, which is made again if it was lost."""

    def __init__(self, dsn: str, connect: Callable[[str], Any]) -> None:
        self._dsn = dsn
        self._connect = connect
        self._lock = threading.Lock()  # owns the two below
        self._session: Any = None
        self._keeper: threading.Thread | None = None
        self._closing = threading.Event()

    def hold(self) -> None:
        """Be a member from now on. Raises what `join` raises."""
        with self._lock:  # never held while PostgreSQL is asked, which may not answer
            session, self._session = self._session, None
        with answering_within(JOIN_TIMEOUT + 1):
            if session is None or not _is_alive(session):
                session = join(self._dsn, self._connect)
        with self._lock:
            if self._closing.is_set() or self._session is not None:
                session.close()
                return
            self._session = session
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, name='hitcounter-membership', daemon=True)
                self._keeper.start()

    def _keep(self) -> None:
        """Be a member again if the session was lost, while the turns, which have sessions of their own, were not."""
        while not self._closing.wait(_LOOK):
            try:
                self.hold()
            except (psycopg2.Error, DatabaseInUse) as error:
                logger.warning('this process is not a member of the database, and tries to be one again: %s', error)

    def close(self) -> None:
        """Be a member no more; a thread that is in `hold` then gives its session back."""
        with self._lock:
            self._closing.set()
            session, self._session = self._session, None
        if session is not None:
            session.close()


def _is_alive(session: Any) -> bool:
    try:
        with session.cursor() as cursor:
            cursor.execute('select')
    except psycopg2.Error:
        session.close()
        return False
    return True


@contextmanager
def _naming_others(session: Any) -> Iterator[None]:
    try:
        yield
    except LockNotAvailable as error:
        others = '; '.join(f'{each.name} since {each.since:%Y-%m-%d %H:%M:%S %Z}' for each in members(session))
        raise DatabaseInUse(
            f'the database is used by other processes ({others or "which have ended by now"}): stop them first, or '
            f'wait until they have ended'
        ) from error


def members(session: Any) -> list[Member]:
    """All members but the one of `session`, the longest first. Raises psycopg2's errors."""
    with closing(session.cursor()) as cursor:
        cursor.execute(_MEMBERS, (LOCKS, MEMBERS))
        return [Member(name or 'of another user', since, alone) for name, since, alone in cursor.fetchall()]
