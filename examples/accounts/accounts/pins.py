"""PINs: which ones are accepted, and how they are hashed. Nothing here stores, and no error shows a PIN."""

import hashlib
import secrets
from threading import BoundedSemaphore
from typing import NamedTuple

from .errors import AccountRefused

#: Digits that a PIN may have.
SHORTEST, LONGEST = 4, 12

#: scrypt's n for new hashes. With r=8, a hash takes 16 MiB and 50 to 100 ms; OpenSSL allows 32 MiB.
COST = 2**14

#: Bytes of a hash.
DIGEST = 64

#: Hashes that are made at the same time, so that a flood of calls does not take all of the memory.
_AT_ONCE = BoundedSemaphore(4)

_RUN = '0123456789'


class Salt(NamedTuple):
    """What goes into a hash besides the PIN."""

    salt: bytes
    #: scrypt's n.
    cost: int


#: The salt for a number that has no account: a wrong number then takes as long as a wrong PIN.
DECOY = Salt(bytes(16), COST)


class Hashed(NamedTuple):
    """A PIN as it is stored."""

    salt: Salt
    digest: bytes


def check_pin(pin: str, number: str) -> None:
    """Raise AccountRefused for a PIN that is not some digits, or that anybody would try first for that number."""
    if not (pin.isascii() and pin.isdecimal() and SHORTEST <= len(pin) <= LONGEST):
        raise AccountRefused(f'the PIN is not {SHORTEST} to {LONGEST} digits: choose another')
    if len(set(pin)) == 1 or pin in _RUN or pin in _RUN[::-1] or pin == number:
        raise AccountRefused(
            'the PIN is one that anybody would try first (one digit again and again, a run of digits, or the number '
            'of the account): choose another'
        )


def hash_new(pin: str) -> Hashed:
    """The hash of a PIN with a salt of its own."""
    salt = Salt(secrets.token_bytes(16), COST)
    return Hashed(salt, digest(pin, salt))


def digest(pin: str, salt: Salt) -> bytes:
    """The hash of a PIN with that salt. Call it outside of updates, which would all wait for it."""
    with _AT_ONCE:
        return hashlib.scrypt(pin.encode(), salt=salt.salt, n=salt.cost, r=8, p=1, dklen=DIGEST)
