"""Makes the database beside it, once, with version 1 of the package: it is never made again.

python make.py
"""

import hashlib
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from hitcounter.state import State, open_database

HERE = Path(__file__).parent

#: The PIN of each account, and how often a wrong one was given.
PINS = {'100': ('4711', 0), '200': ('2806', 2), '300': ('9053', 3)}


def digest_of_1(pin: str, salt: bytes) -> bytes:
    """The hash that version 1 made."""
    return hashlib.scrypt(pin.encode(), salt=salt, n=2**12, r=8, p=1)


def make(storage: str) -> None:
    """Make the accounts, as version 1 did."""
    sys.path.insert(0, str(HERE / '1'))
    from accounts import Accounts

    with open_database(storage, share=True) as database, State(database, [Accounts]) as state:
        for number, (pin, wrong) in PINS.items():
            salt = number.encode() * 5
            state[Accounts].add(number, salt, digest_of_1(pin, salt))
            for _ in range(wrong):
                assert not state[Accounts].check_pin(number, digest_of_1('0000', salt))


if __name__ == '__main__':
    with TemporaryDirectory() as folder:
        make(f'file://{folder}/accounts-1.fs')
        with open(HERE / 'accounts-1.fs', 'xb') as file:
            file.write(Path(folder, 'accounts-1.fs').read_bytes())
