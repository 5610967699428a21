"""Other distributions that have put files into this package: the name `hitcounter` on the package index is another's.

importlib.metadata.packages_distributions() knows them too, and takes a fifth of a second; this takes two thousandths.
"""

import os
from pathlib import Path

_PACKAGE = Path(__file__).parent
_OURS = 'hitcounter_agi-'
_SUFFIX = '.dist-info'


def other_owners() -> list[str]:
    """Their names and versions, as in 'hitcounter 0.2'."""
    line = f'\n{_PACKAGE.name}/__init__.py,'.encode()
    found = []
    for name in os.listdir(_PACKAGE.parent):
        if name.endswith(_SUFFIX) and not name.startswith(_OURS):
            record = _PACKAGE.parent / name / 'RECORD'
            if record.is_file() and line in b'\n' + record.read_bytes():
                found.append(name.removesuffix(_SUFFIX).replace('-', ' '))
    return sorted(found)
