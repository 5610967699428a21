"""One caller is erased from the rounds of all lines; entries and wins keep their places."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from hitcounter.hits import Caller, HitCounter
from hitcounter.lines.calling import Desk, Visit
from hitcounter.lines.component import Lines
from hitcounter.lines.identity import SameCaller
from hitcounter.lines.outcome import Outcome, Result
from hitcounter.lines.rules import Rules, canonical
from hitcounter.lines.terms import Every, First, Last
from hitcounter.state import Components, State, open_database
from hitcounter.state.forgetting import erase
from hitcounter.state.upkeep.packing import pack

OPENED = 1_800_000_000.0
ZOE = '+447700900123'
BOB = '+447700900456'
SPELLINGS = (ZOE, '07700 900123', '00447700900123')
WANTED = SameCaller('07700 900123', 'GB')


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with (
        open_database(f'file://{tmp_path}/lines.fs', share=True) as database,
        State(database, [HitCounter, Lines]) as state,
    ):
        yield state


class Station:
    """A state with rounds, and calls on them that arrive a second after each other."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.desk = Desk(state)
        self.now = OPENED

    def open(self, line: str = 'contest', **rules: object) -> None:
        text = canonical(Rules(**{'country': 'GB', **rules}))
        self.state[Lines].open_round(line, text, self.now, 'anna', secrets.token_bytes(32))

    def call(self, number: str | None, line: str = 'contest') -> Outcome:
        self.now += 1
        return self.desk.decide(Visit(line, Caller(number, 'Zoe', f'17.{self.now:.0f}', withheld=False), self.now))

    def erase(self, caller: SameCaller = WANTED) -> int:
        return sum(count for _, count in erase(self.state, Lines, caller))

    def identities(self, line: str = 'contest', number: int = 1) -> list[str | None]:
        return [entry.identity for entry in self.state[Lines].entries(line, number)]

    def problems(self) -> list[str]:
        return self.state.query(lambda parts: [*parts[HitCounter].check(), *parts[Lines].check()])


@pytest.fixture
def station(state: State) -> Station:
    return Station(state)


@pytest.mark.parametrize('forget_numbers', [False, True])
def test_entries_and_wins_keep_their_places_and_have_no_caller(station: Station, forget_numbers: bool) -> None:
    station.open(win=(Every(2, 2),), limit=5, forget_numbers=forget_numbers)
    outcomes = [station.call(number) for number in (BOB, *SPELLINGS, BOB, None)]
    before, wins = station.state[Lines].entries('contest', 1), station.state[Lines].wins('contest', 1)

    is_compared = not forget_numbers  # with callers of later rounds
    assert station.erase() == 3 + 1 + is_compared  # the entries, the caller in the index, the last win

    assert [outcome.number for outcome in outcomes] == [1, 2, 3, 4, 5, 6]
    after = station.state[Lines].entries('contest', 1)
    assert after == [entry._replace(identity=None) if 1 <= index <= 3 else entry for index, entry in enumerate(before)]
    assert station.state[Lines].wins('contest', 1) == [win._replace(identity=None) for win in wins]
    assert [win.number for win in wins] == [2, 4]
    assert station.problems() == []
    assert station.erase() == 0


def test_whoever_was_erased_is_a_new_caller(station: Station) -> None:
    station.open(limit=1)
    assert [station.call(number).result for number in SPELLINGS[:2]] == [Result.COUNTED, Result.REPEAT]
    station.erase()
    outcome = station.call(SPELLINGS[2])
    assert (outcome.result, outcome.caller_calls) == (Result.COUNTED, 1)


def test_a_caller_whose_entries_are_forgotten_is_erased_from_the_index(station: Station) -> None:
    station.open(limit=5, closes=OPENED + 100, settle=0.0)
    for number in (ZOE, BOB):
        station.call(number)
    station.state[Lines].finish_due(OPENED + 100)
    station.state[Lines].forget(('contest', 1), OPENED + 1000, 1)
    assert station.erase() == 1
    assert station.erase() == 0
    assert station.identities() == [BOB]


@pytest.mark.parametrize('forget_numbers', [False, True])
@pytest.mark.parametrize('cooldown', [None, 3600.0])
def test_a_winner_is_erased_from_the_winners_of_the_group(
    station: Station, cooldown: float | None, forget_numbers: bool
) -> None:
    station.open(win=(First(1),), cooldown=cooldown, winners_of='all', limit=1, forget_numbers=forget_numbers)
    assert station.call(ZOE).result is Result.WON
    is_compared = cooldown is not None or not forget_numbers  # with callers of later rounds
    assert station.erase() == 2 + is_compared  # entry, index and winner
    left = station.state.query(lambda parts: [list(won) for won in parts[Lines]._winners.values()])
    assert left == [[]] * is_compared
    assert station.erase() == 0


def test_an_erased_caller_wins_what_only_the_end_decides(station: Station) -> None:
    station.open(win=(Last(),), closes=OPENED + 100, settle=0.0)
    station.call(ZOE)
    station.erase()
    station.state[Lines].finish_due(OPENED + 100)
    assert [(win.number, win.identity) for win in station.state[Lines].wins('contest', 1)] == [(1, None)]
    assert station.problems() == []


def test_a_win_whose_entry_is_forgotten_loses_its_caller(station: Station) -> None:
    station.open(win=(Every(1, 1),), closes=OPENED + 100, settle=0.0)
    for number in (ZOE, BOB, ZOE):
        station.call(number)
    station.state[Lines].finish_due(OPENED + 100)
    station.state[Lines].forget(('contest', 1), OPENED + 1000, 1)
    station.erase()
    assert [win.identity for win in station.state[Lines].wins('contest', 1)] == [None, BOB, None]
    assert station.identities() == [BOB, None]


def test_a_round_without_a_country_has_each_spelling_by_itself(station: Station) -> None:
    for line, forget_numbers in (('open', False), ('hashed', True)):
        station.open(line, country='', limit=5, forget_numbers=forget_numbers)
        for number in (ZOE, '07700900123', '00447700900123', '447700900123', BOB):
            station.call(number, line)
    assert station.erase() == 2 * (4 + 4)
    assert station.identities('open') == [None, None, None, None, BOB]
    assert station.identities('hashed')[:4] == [None] * 4


def test_a_round_whose_key_is_gone_has_nothing_left_to_erase(station: Station) -> None:
    station.open(win=(Every(1, 1),), forget_numbers=True, closes=OPENED + 100, settle=0.0)
    station.call(ZOE)
    station.state[Lines].finish_due(OPENED + 100)
    station.state[Lines].forget(('contest', 1), OPENED + 1000)
    assert station.erase() == 0
    assert [win.identity for win in station.state[Lines].wins('contest', 1)] == [None]


def test_many_entries_are_erased_in_short_updates(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    station.open(win=(Every(100, 100),))

    def enter_often(parts: Components) -> None:
        one = parts[Lines]._lines['contest'].rounds[1]
        for number in range(10_000):
            one.entries.append((OPENED + number, number + 1, ZOE if number % 20 == 0 else BOB, True))
        one.callers[ZOE] = 500

    station.state.update(enter_often)
    caplog.clear()
    assert station.erase() == 501
    assert 'held up' not in caplog.text
    assert set(station.identities()) == {None, BOB}


@pytest.mark.parametrize('forget_numbers', [False, True])
def test_nothing_of_the_caller_is_on_the_disk_after_a_pack(tmp_path: Path, forget_numbers: bool) -> None:
    file = tmp_path / 'lines.fs'
    with open_database(f'file://{file}', share=True) as database, State(database, [HitCounter, Lines]) as state:
        station = Station(state)
        station.open(win=(Every(3, 3),), cooldown=3600.0, limit=3, window=60.0, forget_numbers=forget_numbers)
        for number in (*SPELLINGS, BOB):
            station.call(number)
        hashes = {one for one in station.identities()[:3] if one}
        assert len(hashes) == 1
        assert next(iter(hashes)).encode() in file.read_bytes()

        erase(state, HitCounter, WANTED)
        station.erase()
        pack(database, 0.0)
        assert station.problems() == []
    content = b''.join(path.read_bytes() for path in tmp_path.rglob('*') if path.is_file())
    assert [text for text in (*SPELLINGS, *hashes) if text.encode() in content] == []
    assert (BOB.encode() in content) is not forget_numbers
