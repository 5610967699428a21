"""A component of the tests that uses every type of ours that is stored; earlier code and today's can run it."""

from BTrees.Length import Length

from hitcounter.state import Component, Journal, Tally, query, update


class Diary(Component):
    """What happened, and how often on each day of the week."""

    name = 'diary'

    def __init__(self) -> None:
        self.entries = Journal()
        self.days = Tally()
        self.size = Length()

    @update
    def add(self, day: int, text: str) -> int:
        self.days.add(day)
        self.size.change(1)
        return self.entries.append((day, text))

    @update
    def forget(self, number: int) -> None:
        self.entries.forget(number)

    @query
    def pages(self) -> list[tuple[int, tuple[object, ...]]]:
        return list(self.entries.since(1))

    @query
    def totals(self) -> dict[int, int]:
        return dict(self.days.items())
