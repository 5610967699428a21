"""Where things are in the tree."""

from pathlib import Path

import hitcounter

TREE = Path(__file__).parents[2]
PACKAGE = Path(str(hitcounter.__file__)).parent  # in the tree, or where pip has installed it
FROZEN = TREE / 'tests' / 'frozen'
TRANSCRIPTS = TREE / 'tests' / 'transcripts'
ASTERISK = TREE / 'tests' / 'asterisk'


def in_tree(name: str) -> Path:
    """Where a file is that has this name in the tree; it may be one of the package."""
    first, _, rest = name.partition('/')
    return PACKAGE / rest if first == 'hitcounter' else TREE / name
