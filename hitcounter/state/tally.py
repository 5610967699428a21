"""A tally: totals that many may change at once."""

from collections.abc import Iterator

from BTrees.Length import Length
from BTrees.LOBTree import LOBTree
from persistent import Persistent


class Tally(Persistent):
    """A total for each of many whole numbers, an hour or a choice, say.

    Processes that add to the same total at the same time do not conflict, except for the very first ones: their
    changes are merged (`BTrees.Length`). A total that is read in between is therefore not a unique number: use a
    Journal for that.
    """

    def __init__(self) -> None:
        self._totals = LOBTree()

    def add(self, key: int, count: int = 1) -> None:
        if not isinstance(count, int):
            raise TypeError(f'{count!r} cannot be added to a total: give a whole number')
        try:
            self._totals[key].change(count)
        except KeyError:
            self._totals[key] = Length(count)

    def __getitem__(self, key: int) -> int:
        """The total of `key`, 0 if nothing was ever added."""
        total = self._totals.get(key)
        return 0 if total is None else total()

    def items(self) -> Iterator[tuple[int, int]]:
        """Each key with its total, in the order of the keys."""
        for key, total in self._totals.items():
            yield key, total()
