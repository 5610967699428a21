"""The mark that a writer over a network leaves in the database with each transaction. See transactions/marker.py."""

import time

from persistent import Persistent


class Mark(Persistent):
    """Which transaction of one writer was stored last, and when."""

    def __init__(self) -> None:
        self.set(0)

    def set(self, number: int) -> None:
        self.number = number
        self.time = time.time()
