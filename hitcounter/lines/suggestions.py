"""What to write in place of a word that is not known."""

from collections.abc import Sequence
from difflib import get_close_matches


def meant(given: object, known: Sequence[str]) -> str:
    """The known word that is nearest to `given`, or else all of them, for the end of a message."""
    near = get_close_matches(str(given), known, 1)
    return f'did you mean {near[0]!r}?' if near else f'write one of {", ".join(known)}'
