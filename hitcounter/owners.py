"""Other distributions that installed files into this package. On the package index, `hitcounter` is not ours.

For the owner of a database see state/owner.py.

importlib.metadata.packages_distributions() lists them too, but takes 200 ms; this takes 2 ms.
"""

import os
from pathlib import Path

_PACKAGE = Path(__file__).parent
_OURS = 'hitcounter_agi-'
_SUFFIX = '.dist-info'


def other_owners() -> list[str]:
    """Names and versions of these distributions, as in 'hitcounter 0.2'."""
    line = f'\n{_PACKAGE.name}/__init__.py,'.encode()
    found = []
    for name in os.listdir(_PACKAGE.parent):
        if name.endswith(_SUFFIX) and not name.startswith(_OURS):
            record = _PACKAGE.parent / name / 'RECORD'
            if record.is_file() and line in b'\n' + record.read_bytes():
                found.append(name.removesuffix(_SUFFIX).replace('-', ' '))
    return sorted(found)
