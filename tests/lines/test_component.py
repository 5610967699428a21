"""The component of lines: who is barred by which win, and rounds at the edge of what they take."""

import secrets
from collections.abc import Iterator

import pytest

from hitcounter.errors import RulesRefused
from hitcounter.hits import Caller, HitCounter
from hitcounter.lines.calling import Desk, Visit
from hitcounter.lines.component import Lines
from hitcounter.lines.outcome import Result
from hitcounter.lines.rule_language import parse_win
from hitcounter.lines.rules import Rules, canonical
from hitcounter.state import State, open_database

OPENED = 1_800_000_000.0
COOLDOWN = 1000.0
ADA, WITHHELD = '+4989123401', None


class Station:
    """Opens and closes rounds, and calls their lines."""

    def __init__(self, state: State) -> None:
        self.lines = state[Lines]
        self._desk = Desk(state)

    def open(self, line: str, win: str, second: float = 0.0, **rules: object) -> None:
        text = canonical(Rules(win=parse_win(win), settle=0.0, **rules))  # type: ignore[arg-type]
        self.lines.open_round(line, text, OPENED + second, 'anna', secrets.token_bytes(32))

    def close(self, line: str, second: float) -> None:
        self.lines.close_round(line, OPENED + second, 'anna')

    def call(self, line: str, second: float, number: str | None = ADA) -> Result:
        caller = Caller(number, None, '17.1', withheld=number is None)
        return self._desk.decide(Visit(line, caller, OPENED + second)).result


@pytest.fixture
def station() -> Iterator[Station]:
    with open_database('memory:') as database, State(database, [HitCounter, Lines]) as state:
        yield Station(state)


def test_no_call_has_a_number_above_that_of_the_last_one_that_counts(station: Station) -> None:
    station.open('contest', 'at 1', most_calls=2, count_all=True, withheld='refuse', cooldown=COOLDOWN)
    results = [station.call('contest', second, number) for second, number in enumerate([ADA, WITHHELD, WITHHELD, ADA])]
    assert results == [Result.WON, Result.WITHHELD, Result.WITHHELD, Result.BARRED]
    assert station.call('contest', 5, '+4989123402') is Result.FULL
    assert len(station.lines.entries('contest', 1)) == 2


def test_a_win_as_the_last_does_not_shorten_the_cooldown_of_a_later_win(station: Station) -> None:
    station.open('morning', 'last', cooldown=COOLDOWN, winners_of='all', closes=OPENED + 600)
    station.open('evening', 'every 1', cooldown=COOLDOWN, winners_of='all')
    assert station.call('morning', 0) is Result.COUNTED
    assert station.call('evening', 500) is Result.WON
    (final,) = station.lines.finish_due(OPENED + 600)
    assert final.won == 1
    assert station.call('evening', 500 + COOLDOWN - 1) is Result.BARRED
    assert station.call('evening', 500 + COOLDOWN) is Result.WON


@pytest.mark.parametrize('first', [False, True])
@pytest.mark.parametrize('second', [False, True])
def test_a_round_without_a_cooldown_does_not_choose_how_winners_are_stored(
    station: Station, first: bool, second: bool
) -> None:
    station.open('contest', 'every 1', forget_numbers=first)
    assert station.call('contest', 0) is Result.WON
    station.close('contest', 1)
    if second and not first:  # the winner is known by the number
        with pytest.raises(RulesRefused, match="the winners of 'contest' are known by numbers"):
            station.open('contest', 'every 1', 2, forget_numbers=True, cooldown=COOLDOWN)
        return
    station.open('contest', 'every 1', 2, forget_numbers=second, cooldown=COOLDOWN)
    assert station.call('contest', 3) is (Result.WON if first else Result.BARRED)
    assert station.call('contest', 4) is Result.BARRED


def test_a_number_is_not_added_to_winners_that_are_known_by_hashes(station: Station) -> None:
    station.open('contest', 'first 1', forget_numbers=True, cooldown=COOLDOWN)
    assert station.call('contest', 0) is Result.WON
    station.close('contest', 1)
    station.open('contest', 'every 1', 2)
    assert station.call('contest', 3, '+4989123402') is Result.WON
    station.close('contest', 4)
    station.open('contest', 'every 1', 5, forget_numbers=True, cooldown=COOLDOWN)
    assert [station.call('contest', 6), station.call('contest', 6, '+4989123402')] == [Result.BARRED, Result.WON]


@pytest.mark.parametrize('way', [False, True])
def test_rounds_that_share_their_winners_store_them_in_one_way_before_anybody_has_won(
    station: Station, way: bool
) -> None:
    station.open('morning', 'every 1', forget_numbers=way, cooldown=COOLDOWN, winners_of='all')
    with pytest.raises(RulesRefused, match=f"the winners of 'all' are known by {'hashes' if way else 'numbers'}"):
        station.open('evening', 'every 1', forget_numbers=not way, cooldown=COOLDOWN, winners_of='all')
    station.close('morning', 1)
    station.lines.finish_due(OPENED + 2)
    station.open('evening', 'every 1', 2, forget_numbers=not way, cooldown=COOLDOWN, winners_of='all')
    station.open('morning', 'every 1', 2, forget_numbers=not way, cooldown=COOLDOWN, winners_of='all')
    assert [station.call('evening', 3), station.call('morning', 3)] == [Result.WON, Result.BARRED]
