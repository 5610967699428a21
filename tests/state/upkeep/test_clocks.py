"""The difference of two clocks: what is said of it, and when."""

import logging
from collections.abc import Iterator

import pytest

from hitcounter.errors import RoundRefused, StateUnavailable
from hitcounter.lines.skew import refuse_skew
from hitcounter.state import Database, open_database
from hitcounter.state.storage.away import StorageAway
from hitcounter.state.upkeep.clocks import ClockLog, why_skewed


class Skewed:
    """Gives a database a clock that differs by what comes next."""

    def __init__(self, database: Database) -> None:
        self.database = database
        database.has_clock = True
        database.clock_skew = self._skew  # type: ignore[method-assign]
        self.skews: list[float | None] = []

    def _skew(self) -> float | None:
        if not self.skews:
            raise StorageAway('gone')
        return self.skews.pop(0)


@pytest.fixture
def skewed() -> Iterator[Skewed]:
    with open_database('memory:') as database:
        yield Skewed(database)


def test_only_a_difference_that_crosses_the_limit_is_logged_again(
    skewed: Skewed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    skewed.skews = [0.012, -0.499, 0.501, 3.0, -7.0, 0.5, 0.0, None]
    clocks = ClockLog(skewed.database)
    for _ in range(9):  # in the end the database is away
        clocks.compare()
    place, todo = skewed.database.place, ': run chrony or systemd-timesyncd on both machines'
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ('INFO', f'the clock of this machine is 0.012 s ahead of that of {place}'),
        ('WARNING', f'the clock of this machine is 0.501 s ahead of that of {place}{todo}'),
        ('INFO', f'the clock of this machine is 0.500 s ahead of that of {place}'),
        (
            'WARNING',
            f'the clock of {place} cannot be compared with that of this machine: it answers too slowly{todo}',
        ),
    ]


@pytest.mark.parametrize('skew', [0.51, -0.51, None])
def test_no_round_opens_while_the_clocks_differ(skewed: Skewed, skew: float | None) -> None:
    skewed.skews = [skew]
    with pytest.raises(RoundRefused, match=r'no round opens while the clocks differ by more than 0\.5 s: the clock of'):
        refuse_skew(skewed.database)


def test_a_round_opens_while_the_clocks_agree(skewed: Skewed) -> None:
    skewed.skews = [0.5, -0.5]
    refuse_skew(skewed.database)
    refuse_skew(skewed.database)
    assert skewed.skews == []


def test_a_database_that_is_away_says_so(skewed: Skewed) -> None:
    with pytest.raises(StateUnavailable, match='gone'):
        why_skewed(skewed.database)


def test_a_database_that_has_no_clock_opens_rounds() -> None:
    with open_database('demo:(memory://)/(memory://)') as database:
        assert why_skewed(database) == ''
