"""A round, while its server is killed a hundred times under load."""

from tests.support.round_kills import survive
from tests.support.servers import Start


def test_each_milestone_has_one_winner_though_the_server_is_killed_a_hundred_times(start: Start, storage: str) -> None:
    survive(start, storage, 100)
