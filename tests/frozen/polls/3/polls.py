"""The polls, an application of the tests, as version 3 has them: in another module, under other names."""

from typing import ClassVar, NamedTuple

from BTrees.Length import Length
from BTrees.OOBTree import OOBTree
from persistent import Persistent
from persistent.list import PersistentList

from hitcounter.state import Component, migration, query, update


class Remark(NamedTuple):
    """What a voter said."""

    text: str
    voter: str


class Option(Persistent):
    """What can be voted for."""

    def __init__(self) -> None:
        self.remarks = PersistentList()


class Polls(Component):
    """How often each option was voted for."""

    name = 'polls'
    schema = 3
    moved: ClassVar = {
        'ballots:Ballots': 'polls:Polls',
        'ballots:Choice': 'elections:Choice',
        'elections:Choice': 'polls:Option',
        'ballots:Remark': 'polls:Remark',
    }

    def __init__(self) -> None:
        self.options = OOBTree()
        self.votes = OOBTree()

    @migration(to=2)
    def call_them_options(self) -> None:
        """What was a choice is an option."""
        self.options = self.choices
        del self.choices

    @migration(to=3)
    def count_by_themselves(self) -> None:
        """The votes of each option are counted beside it, and merge."""
        self.votes = OOBTree()
        for name, option in self.options.items():
            self.votes[name] = Length(option.votes)
            del option.votes

    @update
    def vote(self, name: str, text: str, voter: str) -> None:
        self.votes.setdefault(name, Length()).change(1)
        self.options.setdefault(name, Option()).remarks.append(Remark(text, voter))

    @query
    def result(self) -> dict[str, int]:
        return {name: count() for name, count in self.votes.items()}

    @query
    def remarks(self, name: str) -> list[tuple[str, str]]:
        return [tuple(remark) for remark in self.options[name].remarks if isinstance(remark, Remark)]
