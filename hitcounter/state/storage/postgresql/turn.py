"""The turn of a writer on PostgreSQL: a lock among the processes of all machines, held from first read to commit.

It is a transaction on a session of its own that holds an advisory lock. PostgreSQL lets those that wait in one after
the other, and ends the turn of a process that was stopped or cut off. The turn is advice: a process that gets none goes
on without it, and conflicts keep the order.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg2
from psycopg2.errors import LockNotAvailable

from ....errors import DatabaseInUse
from ..away import answering_within
from .locks import LOCKS, TURN

logger = logging.getLogger(__name__)

#: Seconds that a turn may be idle before PostgreSQL ends it: a process that holds it longer is considered stopped.
TURN_TIMEOUT = 1.0

#: Seconds that a process waits for its turn at most.
LINE_TIMEOUT = 2.0

#: Seconds between two attempts to get a session again.
_PAUSE = 0.1

_LIMITS = f"""
set lock_timeout = '{LINE_TIMEOUT * 1000:.0f}ms';
set idle_in_transaction_session_timeout = '{TURN_TIMEOUT * 1000:.0f}ms'
"""

_TAKE = f'begin; select pg_advisory_xact_lock({LOCKS}, {TURN})'


class PostgresTurn:
    """The turn of one writer, on a session that `connect` makes, again and again if it is lost."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        """Get the session. Raises what `connect` raises."""
        self._connect = connect
        self._lock = threading.Lock()  # owns _session
        self._session: Any = _limited(connect())
        self._is_held = False
        self._closing = threading.Event()

    def __enter__(self) -> None:
        session = self._session
        if session is None:
            return
        try:
            with answering_within(LINE_TIMEOUT + TURN_TIMEOUT), session.cursor() as cursor:
                cursor.execute(_TAKE)
            self._is_held = True
        except LockNotAvailable:
            logger.warning('the turn did not come in %g s: going on without it', LINE_TIMEOUT)
            self._end(session, 'rollback')
        except psycopg2.Error as error:
            self._lose(session, error)

    def __exit__(self, *_: object) -> None:
        if self._is_held:
            self._is_held = False
            self._end(self._session, 'commit')

    def _end(self, session: Any, how: str) -> None:
        try:
            with answering_within(TURN_TIMEOUT), session.cursor() as cursor:
                cursor.execute(how)
        except psycopg2.Error as error:
            self._lose(session, error)

    def _lose(self, session: Any, error: BaseException) -> None:
        """Go on without, and get another session meanwhile."""
        logger.warning(
            'the session that takes turns was lost, so changes by other processes may conflict with ours: %s',
            ' '.join(str(error).split()),
        )
        _close(session)
        with self._lock:
            self._session = None
            if not self._closing.is_set():
                threading.Thread(target=self._connect_again, name='hitcounter-turn', daemon=True).start()

    def _connect_again(self) -> None:
        while not self._closing.wait(_PAUSE):
            try:
                with answering_within(LINE_TIMEOUT + TURN_TIMEOUT):
                    session = _limited(self._connect())
            except (psycopg2.Error, DatabaseInUse):
                continue
            with self._lock:
                if self._closing.is_set():
                    _close(session)
                    return
                self._session = session
            logger.info('turns are taken again')
            return

    def close(self) -> None:
        """Give the session back; a thread that is getting another one ends by itself."""
        with self._lock:
            self._closing.set()
            session, self._session = self._session, None
        if session is not None:
            _close(session)


def _limited(session: Any) -> Any:
    session.autocommit = True
    try:
        with session.cursor() as cursor:
            cursor.execute(_LIMITS)
    except BaseException:
        _close(session)
        raise
    return session


def _close(session: Any) -> None:
    with suppress(psycopg2.Error):
        session.close()
