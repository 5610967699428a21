"""Packages of others, installed for the processes of one test."""

from collections.abc import Callable

Install = Callable[..., dict[str, str]]

#: A package with a script and a component.
VOTES = """
from hitcounter.agi import Call, script
from hitcounter.state import Component, State, update

class Votes(Component):
    name = 'votes'

    def __init__(self) -> None:
        self.votes = 0

    @update
    def vote(self, votes: int) -> int:
        self.votes += votes
        return self.votes

@script('vote/{votes}')
def vote(call: Call, state: State) -> None:
    call.say_number(state[Votes].vote(int(call.parameters['votes'])))
"""
