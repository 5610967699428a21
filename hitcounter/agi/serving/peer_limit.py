"""A limit per peer: how many calls each address has under way, so that none of them has too many."""

import threading
from collections import Counter


class PeerLimit:
    """Lets each peer have `most` calls at once, any number if that is None; for all threads."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()  # of those that have any; behind the lock

    def acquire(self, peer: str) -> bool:
        """Count one more call of `peer`, to be released in the end; False if it has as many as it may."""
        if self._most is None:
            return True
        with self._lock:
            if self._calls[peer] >= self._most:
                return False
            self._calls[peer] += 1
            return True

    def release(self, peer: str) -> None:
        """One call of `peer` is over. Say so before its connection closes: the next call may come right then."""
        if self._most is None:
            return
        with self._lock:
            self._calls[peer] -= 1
            if not self._calls[peer]:
                del self._calls[peer]
