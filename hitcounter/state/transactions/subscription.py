"""Subscriptions: they pass on what this state has stored to subscribers, each in its own thread."""

from collections.abc import Iterator, Mapping
from queue import SimpleQueue
from typing import Any, NamedTuple

from ...counts import count_of
from ...errors import SubscriptionLost

#: Transactions that may wait for a subscriber before its subscription is lost.
BEHIND = 1000


class Stored(NamedTuple):
    """One update that is on disk."""

    #: The component and its method, `hits.hit`, or the name of the function.
    name: str
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    result: Any


class Subscription:
    """The updates that are stored from now on, in their order, until it or the state is closed.

    Iterating waits for the next one, in the thread that iterates: however slow it is, it holds up no update. One
    that falls too far behind gets SubscriptionLost, and has to subscribe and read the state again.
    """

    def __init__(self) -> None:
        self._transactions: SimpleQueue[list[Stored] | None] = SimpleQueue()
        self._is_lost = False

    def __repr__(self) -> str:
        waiting = f'{count_of(self._transactions.qsize(), "transaction")} waiting'
        return f'<Subscription, {"lost" if self._is_lost else waiting}>'

    def __iter__(self) -> Iterator[Stored]:
        while (transaction := self._transactions.get()) is not None:
            yield from transaction
        self._transactions.put(None)  # for a thread that asks again
        if self._is_lost:
            raise SubscriptionLost(
                'the subscriber has missed transactions: subscribe again, and read what it has missed'
            )

    def close(self) -> None:
        """End it: a thread that iterates gets what was stored before, and then stops."""
        self._transactions.put(None)

    def publish(self, transaction: list[Stored]) -> bool:
        """For the writer: pass on one transaction; returns False if too many are waiting."""
        if self._transactions.qsize() >= BEHIND:
            return False
        self._transactions.put(transaction)
        return True

    def lose(self) -> None:
        """For the writer: end it with SubscriptionLost, after what was passed on."""
        self._is_lost = True
        self.close()
