"""The votes, over a real server on a database in memory."""

from contextlib import closing

from votes import Votes, vote

from hitcounter.state import State, open_database
from hitcounter.testing import Channel, SaidNumber, place_call


def test_each_caller_hears_how_many_votes_the_choice_has(fastagi):
    with closing(open_database('memory:')) as database, closing(State(database, [Votes])) as state:
        address = fastagi([vote.bind(state=state)])
        for number in (1, 2):
            assert SaidNumber(number) in place_call(address, Channel(url='agi://pbx/vote/tea')).events
        assert state[Votes].result() == {'tea': 2}
