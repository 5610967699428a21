"""Durations as people write them: a number with its unit, as in 12h or 90d."""

import re

_UNITS = {'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 7 * 86400}


def parse_duration(text: str) -> float:
    """The seconds in `text`. Raises ValueError, whose message shows the text, for anything else."""
    found = re.fullmatch(r' *([0-9]{1,9}(?:\.[0-9]{1,9})?) *([smhdw]) *', text)
    if found is None:
        raise ValueError(f'{text!r:.80} is not a duration: write a number and s, m, h, d or w, as in 12h or 90d')
    return float(found[1]) * _UNITS[found[2]]
