"""The polls, an application of the tests, as version 1 had them. Its database is frozen in ../../polls-1.fs."""

from typing import NamedTuple

from BTrees.OOBTree import OOBTree
from persistent import Persistent
from persistent.list import PersistentList

from hitcounter.state import Component, update


class Remark(NamedTuple):
    """What a voter said."""

    text: str
    voter: str


class Choice(Persistent):
    """What can be voted for."""

    def __init__(self) -> None:
        self.votes = 0
        self.remarks = PersistentList()


class Ballots(Component):
    """How often each choice was voted for."""

    name = 'polls'

    def __init__(self) -> None:
        self.choices = OOBTree()

    @update
    def vote(self, choice: str, text: str, voter: str) -> None:
        voted = self.choices.setdefault(choice, Choice())
        voted.votes += 1
        voted.remarks.append(Remark(text, voter))
