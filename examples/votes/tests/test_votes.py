"""The votes, through a real server with a database in memory."""

from votes import Votes, vote

from hitcounter.state import State, open_database
from hitcounter.testing import Channel, SaidNumber, place_call


def test_each_caller_hears_how_many_votes_the_choice_has(fastagi):
    with open_database('memory:') as database, State(database, [Votes]) as state:
        address = fastagi([vote.bind(state=state)])
        for number in (1, 2):
            assert SaidNumber(number) in place_call(address, Channel(url='agi://pbx/vote/tea')).events
        assert state[Votes].result() == {'tea': 2}
