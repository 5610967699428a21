"""The limit per peer: how many calls each address may have at once."""

import threading
from collections import Counter


class PeerLimit:
    """Lets each peer have at most `most` calls at once, or any number if that is None; all threads may use it."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()  # of the peers that have any; guarded by the lock

    def acquire(self, peer: str) -> bool:
        """Count one more call from `peer`, to be released later; returns False if it has as many as it may."""
        if self._most is None:
            return True
        with self._lock:
            if self._calls[peer] >= self._most:
                return False
            self._calls[peer] += 1
            return True

    def release(self, peer: str) -> None:
        """One call from `peer` has ended. Call this before closing its connection: the next call may come then."""
        if self._most is None:
            return
        with self._lock:
            self._calls[peer] -= 1
            if not self._calls[peer]:
                del self._calls[peer]
