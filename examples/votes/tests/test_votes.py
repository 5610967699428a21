"""The votes, through a real server with a database in memory."""

from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner
from votes import Votes, show_votes, vote

from hitcounter.commands import plugins
from hitcounter.state import State, open_database
from hitcounter.testing import Channel, SaidNumber, place_call


def test_each_caller_hears_how_many_votes_the_choice_has(fastagi: Callable[..., tuple[str, int]]) -> None:
    with open_database('memory:') as database, State(database, [Votes]) as state:
        address = fastagi([vote.bind(state=state)])
        for number in (1, 2):
            assert SaidNumber(number) in place_call(address, Channel(url='agi://pbx/vote/tea')).events
        assert state[Votes].result() == {'tea': 2}


def test_the_command_shows_how_many_votes_each_choice_has(tmp_path: Path) -> None:
    storage = f'file://{tmp_path}/votes.fs'
    served = plugins.components()
    with open_database(storage, share=True) as database, State(database, served) as state:
        for choice in ('tea', 'milk', 'tea'):
            state[Votes].vote(choice)
    result = CliRunner().invoke(show_votes, ['--storage', storage])
    assert (result.exit_code, result.output) == (0, 'milk: 1\ntea: 2\n')
