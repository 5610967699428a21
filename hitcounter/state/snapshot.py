"""Snapshots: the database as it was at one moment, for reading."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import transaction
import ZODB

from ..errors import ReadOnly
from .writer import Root


@contextmanager
def snapshot(database: ZODB.DB) -> Iterator[Root]:
    """The root as it is now; what others commit meanwhile does not show in it.

    To write is an error at the very line that tries: ReadOnly.
    """
    transactions = transaction.TransactionManager(explicit=True)
    connection = database.open(transaction_manager=transactions)
    guard = _Guard()
    try:
        transactions.begin().join = guard.refuse
        yield connection.root()
    finally:
        transactions.abort()
        if guard.has_refused:  # a BTree changes first and asks then
            connection.cacheMinimize()
        connection.close()


class _Guard:
    """Stands where a transaction takes in what has changed."""

    def __init__(self) -> None:
        self.has_refused = False

    def refuse(self, _: object) -> NoReturn:
        self.has_refused = True
        raise ReadOnly('this may only read: change the state in an update')
