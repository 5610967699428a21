"""Where things are in the tree."""

from pathlib import Path

TREE = Path(__file__).parents[2]
PACKAGE = TREE / 'hitcounter'
FROZEN = TREE / 'tests' / 'frozen'
TRANSCRIPTS = TREE / 'tests' / 'transcripts'
ASTERISK = TREE / 'tests' / 'asterisk'
