"""Votes by telephone: a package of its own, which hitcounter's server serves."""

import click
from BTrees.OOBTree import OOBTree

from hitcounter.agi import Call, script
from hitcounter.commands import options, plugins
from hitcounter.commands.base import Command
from hitcounter.state import Component, State, query, update
from hitcounter.state.storage.database import Address


class Votes(Component):
    """How often each choice was voted for."""

    name = 'votes'

    def __init__(self) -> None:
        self.votes = OOBTree()

    @update
    def vote(self, choice: str) -> int:
        """Count a vote; returns how many votes the choice now has."""
        count: int = self.votes.get(choice, 0) + 1
        self.votes[choice] = count
        return count

    @query
    def result(self) -> dict[str, int]:
        """The votes of each choice."""
        return dict(self.votes)


@script('vote/{choice}')
def vote(call: Call, state: State) -> None:
    """The dialplan calls it as agi://127.0.0.1/vote/tea, for example."""
    call.answer()
    call.say_number(state[Votes].vote(call.parameters['choice']))


@click.command(cls=Command)
@options.config
@options.storage
def show_votes(storage: Address) -> None:
    """Show how many votes each choice has. Run it as "hitcounter votes"."""
    with storage.open() as database, State(database, plugins.components()) as state:
        for choice, votes in sorted(state[Votes].result().items()):
            click.echo(f'{choice}: {votes}')
