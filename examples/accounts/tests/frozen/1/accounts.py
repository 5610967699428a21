"""Accounts with PINs, as version 1 of this package had them: one module, and schema 1."""

import hmac

from BTrees.OOBTree import OOBTree

from hitcounter.state import Component, query, update


class Accounts(Component):
    """A PIN for each account, and how often a wrong one was given since the last right one."""

    name = 'accounts'
    attempts = 3

    def __init__(self) -> None:
        self.pins = OOBTree()  # a salt and a hash by number
        self.wrong = OOBTree()  # how often, by number

    @update
    def add(self, number: str, salt: bytes, hashed: bytes) -> None:
        self.pins[number] = (salt, hashed)
        self.wrong[number] = 0

    @query
    def salt(self, number: str) -> bytes | None:
        """The salt to hash an attempt with; None if there is no such account, or it is locked."""
        if self.wrong.get(number, self.attempts) >= self.attempts:
            return None
        salt: bytes = self.pins[number][0]
        return salt

    @update
    def check_pin(self, number: str, hashed: bytes) -> bool:
        if self.wrong[number] >= self.attempts:
            return False
        right = hmac.compare_digest(hashed, self.pins[number][1])
        self.wrong[number] = 0 if right else self.wrong[number] + 1
        return right
