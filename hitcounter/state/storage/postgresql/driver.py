"""How we call libpq: each call has an end, after which a watchdog cuts its connection, so that the call fails."""

import math
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
from psycopg2.extensions import connection, cursor, make_dsn, parse_dsn
from relstorage.adapters.postgresql import PostgreSQLAdapter
from relstorage.adapters.postgresql.drivers.psycopg2 import Psycopg2Driver

from ..away import answer_deadline
from .primary import Primaries

#: Seconds that a call may take in a thread that says nothing else by `answering_within`.
CALL_TIMEOUT = 60.0

#: Seconds that a call has at least, such as the rollback of one that took too long.
_LEAST = 0.5

_PAUSE = 0.1

#: Seconds that a transaction that stores may be idle: a process that is stopped in it would hold up all others.
_IDLE_TIMEOUT = 3.0

_STORES = 'RS: Store'  # RelStorage's name of its connections that store

#: What a commit does that waits until the standby has all that was committed before.
_BARRIER = "BEGIN; SELECT pg_logical_emit_message(true, 'hitcounter', ''); COMMIT"

#: How often it is done again, because its own wait was cancelled.
_BARRIERS = 100


class Connection(connection):
    """A connection whose calls end in time."""

    __hash__ = object.__hash__

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.replica: str | None = None  # RelStorage's
        self.due: float | None = None
        self.cursor_factory = Cursor
        _watchdog.watch(self)

    def commit(self) -> None:
        with _ending(self):
            super().commit()

    def rollback(self) -> None:
        with _ending(self):
            super().rollback()


class Cursor(cursor):
    """A cursor whose calls end in time."""

    def execute(self, *arguments: Any) -> None:
        with _ending(self.connection):
            super().execute(*arguments)

    def copy_expert(self, *arguments: Any, **keywords: Any) -> None:
        with _ending(self.connection):
            super().copy_expert(*arguments, **keywords)

    def fetchmany(self, *arguments: Any) -> Any:
        with _ending(self.connection):
            return super().fetchmany(*arguments)

    # One with a name reads its rows from the server while it is iterated.

    def __next__(self) -> Any:
        if self.name is None:
            return super().__next__()
        with _ending(self.connection):
            return super().__next__()

    def close(self) -> None:
        with _ending(self.connection):
            super().close()


@contextmanager
def _ending(call_on: Connection) -> Iterator[None]:
    """Let the calls on a connection end in time within the block."""
    now = time.monotonic()
    deadline = answer_deadline()
    call_on.due = now + CALL_TIMEOUT if deadline is None else max(deadline, now + _LEAST)
    try:
        yield
    finally:
        call_on.due = None


class _Watchdog:
    """Cuts the connections whose calls are overdue, in a thread that runs while there are connections."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """For the child of a fork: the connections are its parent's, and must not be cut; the thread is not there."""
        self._lock = threading.Lock()  # owns the two below
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._is_running = False

    def watch(self, opened: Connection) -> None:
        with self._lock:
            self._open.add(opened)
            if not self._is_running:
                threading.Thread(target=self._run, name='hitcounter-postgresql-watchdog', daemon=True).start()
                self._is_running = True

    def _run(self) -> None:
        while True:
            time.sleep(_PAUSE)
            with self._lock:
                connections = list(self._open)
                if not connections:
                    self._is_running = False
                    return
            for each in connections:
                if not each.closed and each.due is not None and each.due < time.monotonic():
                    _cut(each)
            del connections, each


_watchdog = _Watchdog()
os.register_at_fork(after_in_child=_watchdog.forget)


def _cut(stuck: Connection) -> None:
    with suppress(OSError, psycopg2.Error), socket.socket(fileno=os.dup(stuck.fileno())) as ours:
        ours.shutdown(socket.SHUT_RDWR)


class Driver(Psycopg2Driver):
    """RelStorage's driver, with our connections, which refuse an old primary."""

    primaries: Primaries

    def _create_connection(self, mod: Any, *extra_slots: str) -> Callable[[str], Connection]:
        return self._connected

    def _connected(self, dsn: str) -> Connection:
        if f"application_name='{_STORES}'" in dsn:
            options = f'{parse_dsn(dsn).get("options", "")} -c idle_in_transaction_session_timeout={_IDLE_TIMEOUT:g}s'
            dsn = make_dsn(dsn, options=options.strip())
        made: Connection = self.primaries.connected(dsn, connect)
        return made

    def execute_multiple_statement_with_hidden_commit(self, conn: Any, cur: Any, stmt: Any, params: Any) -> None:
        """Commit, and acknowledge nothing that the standby may not have: PostgreSQL only warns of that."""
        del conn.notices[:]
        super().execute_multiple_statement_with_hidden_commit(conn, cur, stmt, params)
        if not conn.notices:
            return
        # In whatever language, one of them may say that the wait for the standby was cancelled.
        with conn.cursor() as waiting:
            for _ in range(_BARRIERS):
                del conn.notices[:]
                waiting.execute(_BARRIER)
                if not conn.notices:
                    return
        raise psycopg2.OperationalError(f'the wait for the standby was cancelled {_BARRIERS} times')

    def sync_status_after_hidden_commit(self, conn: Any) -> None:
        """As RelStorage's, which prints notices of the server; standard output may be Asterisk's."""
        self.commit(conn)
        del conn.notices[:]


def connect(dsn: str) -> Connection:
    """Connect to PostgreSQL; each call ends in time."""
    made: Connection = psycopg2.connect(_in_time(dsn), connection_factory=Connection)
    return made


def _in_time(dsn: str) -> str:
    """`dsn` with which libpq gives each host no longer than this thread waits."""
    deadline = answer_deadline()
    if deadline is None:
        return dsn
    left = max(1, math.ceil(deadline - time.monotonic()))
    given = int(parse_dsn(dsn).get('connect_timeout', 0))
    return dsn if 0 < given <= left else str(make_dsn(dsn, connect_timeout=left))


class Adapter(PostgreSQLAdapter):
    """RelStorage's adapter, with our driver."""

    def __init__(self, *arguments: Any, primaries: Primaries | None = None, **keywords: Any) -> None:
        self._primaries = primaries
        super().__init__(*arguments, **keywords)

    def _select_driver(self, options: Any = None) -> Driver:
        driver = Driver()
        driver.configure_from_options(self.options)
        if self._primaries is not None:  # an instance made from another one has its connections
            driver.primaries = self._primaries
        return driver

    def __repr__(self) -> str:
        return '<Adapter of PostgreSQL>'  # RelStorage's shows the connection string

    __str__ = __repr__
