"""The accounts: their numbers, the hashes of their PINs, and how often a wrong one was given."""

import hmac
from collections.abc import Iterator
from enum import StrEnum
from typing import ClassVar, NamedTuple

from BTrees.OOBTree import OOBTree
from persistent import Persistent

from hitcounter.hits.times import format_time
from hitcounter.state import Component, migration, query, update

from .errors import AccountRefused
from .pins import DECOY, DIGEST, Hashed, Salt

#: Digits that the number of an account may have.
LONGEST_NUMBER = 12

#: Wrong PINs in a row after which an account is locked, and for how many seconds.
ATTEMPTS, LOCKED_FOR = 3, 15 * 60.0

#: The end of a lock that only `unlock` ends: the last second of the year 9999.
UNTIL_UNLOCKED = 253402300799.0

#: scrypt's n in schema 1, which did not store it.
_COST_OF_1 = 2**12


class Attempt(StrEnum):
    """What became of an attempt to log in; the value of ACCOUNT_RESULT."""

    RIGHT = 'RIGHT'
    #: The account does not exist, or has another PIN.
    WRONG = 'WRONG'
    #: There were too many wrong ones; this PIN was not even compared.
    LOCKED = 'LOCKED'


class Row(NamedTuple):
    """An account as it is shown. Times are in seconds since 1970, UTC."""

    number: str
    last_login: float | None
    #: Wrong PINs since the last right one, or since the last lock.
    wrong: int
    #: When the last lock ends or ended; None if there was none.
    locked_until: float | None


class Account(Persistent):
    """One account, of the component Accounts."""

    def __init__(self, pin: Hashed) -> None:
        self.salt, self.cost = pin.salt
        self.digest = pin.digest
        self.last_login: float | None = None
        self.wrong = 0
        self.locked_until: float | None = None

    def is_locked(self, now: float) -> bool:
        return self.locked_until is not None and now < self.locked_until


class Accounts(Component):
    """Who may log in. The time is handed in, and a PIN only as its hash."""

    name = 'accounts'
    schema = 2
    moved: ClassVar = {'accounts:Accounts': 'accounts.component:Accounts'}  # version 1 was one module

    def __init__(self) -> None:
        self._accounts = OOBTree()  # by their numbers

    @migration(to=2)
    def let_locks_end(self) -> None:
        """From now on a lock ends by itself; whoever is locked now stays so until somebody unlocks the account."""
        self._accounts = OOBTree()
        for number, (salt, digest) in self.pins.items():
            account = self._accounts[number] = Account(Hashed(Salt(salt, _COST_OF_1), digest))
            account.wrong = self.wrong[number]
            if account.wrong >= ATTEMPTS:
                account.wrong, account.locked_until = 0, UNTIL_UNLOCKED
        del self.pins, self.wrong

    @update
    def add(self, number: str, pin: Hashed) -> None:
        """Add an account. Raises AccountRefused if its number is not one, or is taken."""
        check_number(number)
        if number in self._accounts:
            raise AccountRefused(f'account {number!r} already exists: choose another number, or remove it first')
        self._accounts[number] = Account(pin)

    @update
    def remove(self, number: str) -> None:
        """Remove an account, but not its sessions: `accounts.remove` does both. Raises AccountRefused."""
        del self._accounts[self._existing(number)]

    @update
    def unlock(self, number: str) -> None:
        """Unlock an account. Raises AccountRefused if it does not exist."""
        account = self._accounts[self._existing(number)]
        account.wrong, account.locked_until = 0, None

    def _existing(self, number: str) -> str:
        if number not in self._accounts:
            raise AccountRefused(f'the account {number!r} does not exist: see "hitcounter accounts list"')
        return number

    @query
    def salt(self, number: str) -> Salt:
        """The salt with which to hash a PIN before `attempt`; a decoy if the account does not exist."""
        account = self._accounts.get(number)
        return DECOY if account is None else Salt(account.salt, account.cost)

    @update
    def attempt(self, number: str, digest: bytes, now: float) -> Attempt:
        """Compare the hash of a PIN, and remember a wrong one: after ATTEMPTS in a row the account is locked.

        Comparing and counting are one update, so it does not help to try from many phones at once, or to hang up.
        """
        account = self._accounts.get(number)
        if account is None:
            return Attempt.WRONG
        if account.is_locked(now):
            return Attempt.LOCKED
        if hmac.compare_digest(digest, account.digest):
            account.wrong, account.last_login = 0, now
            return Attempt.RIGHT
        account.wrong += 1
        if account.wrong >= ATTEMPTS:
            account.wrong, account.locked_until = 0, now + LOCKED_FOR
        return Attempt.WRONG

    @update
    def rehash(self, number: str, digest: bytes, pin: Hashed) -> None:
        """Store another hash of the same PIN, unless the account has another PIN than that of `digest` by now."""
        account = self._accounts.get(number)
        if account is not None and hmac.compare_digest(digest, account.digest):
            account.salt, account.cost = pin.salt
            account.digest = pin.digest

    @query
    def accounts(self) -> list[Row]:
        """All accounts, in the order of their numbers as texts."""
        return list(self._rows())

    def _rows(self) -> Iterator[Row]:
        for number, account in self._accounts.items():
            yield Row(number, account.last_login, account.wrong, account.locked_until)

    def export(self) -> Iterator[dict[str, object]]:  # without the hashes: a short PIN is soon found from its hash
        for row in self._rows():
            yield {
                'number': row.number,
                'last_login': time_or_none(row.last_login),
                'wrong': row.wrong,
                'locked_until': time_or_none(row.locked_until),
            }

    def check(self) -> Iterator[str]:
        for number, account in self._accounts.items():
            if not _is_number(number):
                yield f'account {number!r} cannot be entered by phone'
            if not 0 <= account.wrong < ATTEMPTS:
                yield f'account {number!r} had {account.wrong} wrong PINs, and should be locked after {ATTEMPTS}'
            if len(account.digest) != DIGEST:
                yield f'account {number!r} has no hash of a PIN'


def check_number(number: str) -> None:
    """Raise AccountRefused for what cannot be the number of an account."""
    if not _is_number(number):
        raise AccountRefused(f'{number!r} is not the number of an account: give 1 to {LONGEST_NUMBER} digits')


def time_or_none(when: float | None) -> str | None:
    """A time as an export has it."""
    return None if when is None else format_time(when)


def _is_number(number: object) -> bool:
    return isinstance(number, str) and number.isascii() and number.isdecimal() and len(number) <= LONGEST_NUMBER
