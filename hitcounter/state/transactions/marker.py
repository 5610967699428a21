"""Marks: what each transaction over a network also writes, so that its outcome can be looked up.

A remote storage may disconnect after it was asked to commit and before it answered. Each writer therefore has a mark
of its own in the database, in which each of its transactions leaves another number.
"""

import logging
import random
import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

from BTrees.OOBTree import OOBTree
from ZODB.POSException import ConflictError

from ...errors import OutcomeUnknown
from ..marks import Mark
from ..model.root import MARKS
from ..storage.away import answering_within

logger = logging.getLogger(__name__)

#: Seconds that a writer waits for a storage that went away while it committed. Callers do not wait as long.
LOOK_UP_TIMEOUT = 30.0

#: Seconds after which a mark that was not changed is taken for that of a writer that died.
STALE = 24 * 3600.0

#: Times that the removal of a mark is tried while other processes remove theirs.
_REMOVALS = 10

_PAUSE = 0.05


class _MarkGone(Exception):
    """Another writer took the mark for that of a writer that died."""


class Marker:
    """Writes the mark of one writer, on the connection and the transactions that are that writer's own."""

    def __init__(self, transactions: Any, connection: Any) -> None:
        self._transactions = transactions
        self._connection = connection
        self._name = uuid4().hex
        self._number = 0
        self._is_there = False  # whether the mark was in the database before the transaction that is marked

    def mark_if_changed(self) -> bool:
        """Let the transaction leave its number if there is something to store; returns whether there is."""
        is_changed = not self._connection._needs_to_join  # it has joined; also true after a savepoint
        if is_changed:
            self.mark()
        return is_changed

    def mark(self) -> None:
        """Let the transaction leave its number."""
        self._number += 1
        root = self._connection.root()
        if MARKS not in root:
            root[MARKS] = OOBTree()
        marks = root[MARKS]
        self._is_there = self._name in marks
        if not self._is_there:
            _remove_stale(marks)
            marks[self._name] = Mark()
        marks[self._name].set(self._number)

    def was_stored(self) -> bool:
        """Whether the transaction that was marked last is in the database. If not, it never will be.

        Raises OutcomeUnknown when the storage does not come back within LOOK_UP_TIMEOUT, or the mark is gone.
        """
        with answering_within(LOOK_UP_TIMEOUT):
            return self._look_up_until(time.monotonic() + LOOK_UP_TIMEOUT)

    def _look_up_until(self, deadline: float) -> bool:
        number = self._number
        while True:
            try:
                stored = self._look_up(number)
                break
            except _MarkGone:
                self._abort()
                raise OutcomeUnknown(
                    'the storage went away while it stored, and the mark of this writer was removed, which nothing '
                    'does within a day: check the clocks and the database'
                ) from None
            except Exception as error:  # nothing is known yet; a conflict: it was stored just now, or marks changed
                self._abort()
                if time.monotonic() > deadline:
                    raise OutcomeUnknown(
                        f'the storage went away while it stored, and was not back in {LOOK_UP_TIMEOUT:g} s to say '
                        f'what became of it: {error}'
                    ) from error
            time.sleep(_PAUSE)
        logger.warning(
            'the storage went away while it stored; it is back, and the transaction is %s',
            'stored' if stored else 'not stored',
        )
        return stored

    def _look_up(self, number: int) -> bool:
        self._abort()
        self._transactions.begin()
        mark = self._connection.root().get(MARKS, {}).get(self._name)
        if mark is not None and mark.number == number:
            self._transactions.abort()
            return True
        if mark is None and self._is_there:
            raise _MarkGone
        # It may still be on its way: with another mark in its place, it conflicts.
        self.mark()
        self._transactions.commit()
        return False

    def remove(self) -> None:
        """Take the mark out of the database, if it can be reached; others will, if not."""
        if not self._number:
            return
        for _ in range(_REMOVALS):
            try:
                self._transactions.begin()
                if self._connection.root().get(MARKS, {}).pop(self._name, None) is not None:
                    self._transactions.get().note('mark removed')
                self._transactions.commit()
                return
            except ConflictError:
                self._abort()
                time.sleep(random.uniform(0, _PAUSE))
            except Exception:  # noqa: BLE001 -- it is stale in a day
                self._abort()
                return

    def _abort(self) -> None:
        with suppress(Exception):  # there may be nothing to abort, or nothing that can be
            self._transactions.abort()


def _remove_stale(marks: OOBTree) -> None:
    """Remove the marks of writers that are gone: the first mark of each new one does that."""
    past = time.time() - STALE
    for name in [name for name, mark in marks.items() if mark.time < past]:
        del marks[name]
