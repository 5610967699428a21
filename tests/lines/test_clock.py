"""The clock of the lines: rounds are final in time, gaps are noted, and nothing is stored while nothing happens."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
from ZODB.POSException import ConflictError

from hitcounter.hits import Caller, HitCounter
from hitcounter.lines.calling import Desk, Visit
from hitcounter.lines.clock import BEAT, Clock
from hitcounter.lines.component import GAP, Lines
from hitcounter.lines.outcome import Result
from hitcounter.lines.round import Entrant, RoundView
from hitcounter.lines.rule_language import parse_win
from hitcounter.lines.rules import Rules, canonical
from hitcounter.state import Database, State, WriteConnection, open_database
from tests.support.clocks import Clock as FalseClock
from tests.support.patience import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.postgresql import PostgreSQL
    from tests.support.servers import Run, Start

OPENED, CLOSES = 1_800_000_000.0, 1_800_000_600.0
MICROSECOND = 1e-6


class Hands:
    """A clock that a test sets, and another that only goes on."""

    def __init__(self, wall: float) -> None:
        self.wall = wall
        self.steady = 1000.0

    def go_on(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def of(self, state: State) -> Clock:
        return Clock(state[Lines], lambda: self.wall, lambda: self.steady)


@pytest.fixture
def hands() -> Hands:
    return Hands(OPENED)


def open_round(
    state: State, line: str = 'contest', win: str = 'last', closes: float | None = CLOSES, **more: object
) -> None:
    rules = Rules(win=parse_win(win), closes=closes, **more)  # type: ignore[arg-type]
    state[Lines].open_round(line, canonical(rules), OPENED, 'anna', b'k' * 32)


def call(state: State, arrived: float, number: str = '+4989123401', line: str = 'contest') -> Result:
    return Desk(state).decide(Visit(line, Caller(number, None, '17.1'), arrived)).result


def view(state: State, line: str = 'contest') -> RoundView:
    return state[Lines].rounds(line)[-1]


def transactions(database: Database) -> bytes:
    return bytes(database.db.lastTransaction())


# The end of a round.


def test_a_round_is_final_when_its_close_and_the_time_to_settle_are_over(
    state: State, hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    open_round(state, settle=30.0)
    call(state, OPENED + 1)
    clock = hands.of(state)

    for when, is_final in ((CLOSES, False), (CLOSES + 30 - MICROSECOND, False), (CLOSES + 30, True)):
        hands.wall = when
        clock.look()
        assert view(state).is_final is is_final
    clock.look()

    assert [win.terms for win in state[Lines].wins('contest', 1)] == ['last']
    assert caplog.messages.count("round 1 of line 'contest' is final: 1 entries, 1 won") == 1


def test_a_round_that_is_closed_before_it_begins_is_closed_at_once(state: State) -> None:
    open_round(state, opens=OPENED + 60)
    assert view(state).state_at(OPENED + 1) == 'scheduled'

    closed = state[Lines].close_round('contest', OPENED + 2, 'anna')

    assert closed.state_at(OPENED + 2) == 'closed'
    open_round(state, opens=OPENED + 2)
    assert view(state).number == 2


def test_a_call_that_arrived_in_time_is_in_until_the_round_is_final(state: State, hands: Hands) -> None:
    open_round(state, settle=30.0)
    clock = hands.of(state)
    hands.wall = CLOSES + 29
    clock.look()
    assert call(state, CLOSES - MICROSECOND) is Result.COUNTED
    hands.wall = CLOSES + 30
    clock.look()
    assert call(state, CLOSES - MICROSECOND) is Result.CLOSED
    assert state[HitCounter].count('contest') == 1


def test_who_wins_as_the_last_is_barred_in_the_next_round(state: State, hands: Hands) -> None:
    open_round(state)
    call(state, OPENED + 1)
    hands.wall = CLOSES + 30
    hands.of(state).look()

    rules = Rules(win=parse_win('every 1'), opens=CLOSES, cooldown=1000.0)
    state[Lines].open_round('contest', canonical(rules), CLOSES + 30, 'anna')

    assert call(state, OPENED + 1 + 1000 - MICROSECOND) is Result.BARRED
    assert call(state, OPENED + 1 + 1000) is Result.WON


def test_a_round_that_is_closed_by_hand_is_seen_at_the_next_look(state: State, hands: Hands) -> None:
    open_round(state, closes=None, settle=5.0)
    clock = hands.of(state)
    clock.look()
    state[Lines].close_round('contest', OPENED + 10, 'anna')
    hands.go_on(15)
    clock.look()
    assert view(state).is_final


def test_a_call_that_was_stored_while_somebody_closed_the_round_is_before_the_close(state: State) -> None:
    open_round(state, closes=None)
    call(state, OPENED + 10)
    closed = state[Lines].close_round('contest', OPENED + 9.5, 'anna')
    assert closed.ends is not None
    assert OPENED + 10 < closed.ends < OPENED + 10 + MICROSECOND


@pytest.mark.parametrize('entries', [1, 31, 32, 33])  # a piece of the journal has 32
@pytest.mark.parametrize('ending', ['close', 'finish'])
def test_no_other_process_adds_a_call_to_a_round_that_ends(
    state: State, database: Database, entries: int, ending: str
) -> None:
    open_round(state, closes=None if ending == 'close' else CLOSES)
    for number in range(entries):
        call(state, OPENED + number)

    with WriteConnection(database.db) as calling, WriteConnection(database.db) as closing_it:
        one = calling.root['lines']
        one.enter(calling.root['hits'], 'contest', 1, Entrant(Caller('1', None, '17.1'), OPENED + 100, '1'))
        if ending == 'close':
            closing_it.root['lines'].close_round('contest', OPENED + 99, 'anna')
        else:
            closing_it.root['lines'].finish_due(CLOSES + 30)
        closing_it.commit()
        with pytest.raises(Exception) as refused:  # noqa: PT011 what ZODB says is looked at
            calling.commit()
        calling.abort()

    cause: BaseException | None = refused.value
    while cause and not isinstance(cause, ConflictError):
        cause = cause.__cause__ or cause.__context__
    assert cause
    assert view(state).entries == entries


# Signs of life.


def test_a_quiet_server_stores_nothing(state: State, database: Database, hands: Hands) -> None:
    open_round(state, 'over')
    state[Lines].finish_due(CLOSES + 30)
    state[Lines].open_round('later', canonical(Rules(opens=CLOSES + 10_000)), OPENED, 'anna')
    hands.wall = CLOSES + 100
    before = transactions(database)

    for _ in range(3):
        clock = hands.of(state)
        clock.begin()
        for _ in range(100):
            hands.go_on(1)
            clock.look()

    assert transactions(database) == before


def test_all_servers_together_store_a_sign_of_life_every_ten_seconds(
    state: State, database: Database, hands: Hands
) -> None:
    open_round(state)
    clocks = [hands.of(state) for _ in range(3)]
    stored = {transactions(database)}
    for tenth in range(10 * 60):
        clocks[tenth % 3].look()
        stored.add(transactions(database))
        hands.go_on(0.1)
    assert 60 / BEAT <= len(stored) - 1 <= 60 / BEAT + 1
    assert state[Lines].beaten() >= hands.wall - BEAT - 1


def test_a_sign_of_life_by_a_clock_that_was_set_back_counts(state: State, hands: Hands) -> None:
    open_round(state, closes=None)
    state[Lines].beat(OPENED + 100_000)
    hands.of(state).look()
    assert state[Lines].beaten() == OPENED


def test_a_gap_is_noted_once_from_the_last_sign_of_life_until_the_start(
    state: State, hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    open_round(state)
    hands.of(state).look()
    hands.go_on(5 * GAP)

    hands.of(state).begin()
    hands.of(state).begin()

    assert view(state).gaps == ((OPENED, OPENED + 5 * GAP),)
    assert caplog.messages == [
        "no server ran in round 1 of line 'contest' from 2027-01-15 08:00:00 UTC (2027-01-15T08:00:00Z) until "
        '2027-01-15 08:02:30 UTC (2027-01-15T08:02:30Z): nobody could call'
    ]


@pytest.mark.parametrize(
    ('beat', 'arrival', 'start', 'gap'),
    [
        (0, None, GAP, None),
        (0, None, GAP + 1, (0, GAP + 1)),
        (100, None, 100 + GAP, None),
        (-50, None, GAP + 1, (0, GAP + 1)),  # the round began after that
        (100, 150.0, 300, (150, 300)),  # a call proves that one ran
        (100, 90.0, 300, (100, 300)),
        (100, None, 625, (100, 600)),  # until the close
        (580, None, 625, None),  # the round was over soon after
    ],
)
def test_where_a_gap_begins_and_ends(
    state: State,
    hands: Hands,
    beat: float,
    arrival: float | None,
    start: float,
    gap: tuple[float, float] | None,
) -> None:
    open_round(state)
    state[Lines].beat(OPENED + beat)
    if arrival is not None:
        call(state, OPENED + arrival)
    hands.wall = OPENED + start
    hands.of(state).begin()
    assert view(state).gaps == (() if gap is None else ((OPENED + gap[0], OPENED + gap[1]),))


def test_a_second_server_that_starts_sees_that_the_first_one_runs(state: State, hands: Hands) -> None:
    open_round(state)
    first = hands.of(state)
    for _ in range(100):
        first.look()
        hands.go_on(1)
    hands.of(state).begin()
    assert view(state).gaps == ()


# The time of day.


def test_a_clock_that_is_set_is_logged_once(state: State, hands: Hands, caplog: pytest.LogCaptureFixture) -> None:
    clock = hands.of(state)
    for step in (0.0, 1.9, -1.9, -3600.0, 0.0, 0.0, 2.5, 0.0):
        hands.go_on(1)
        hands.wall += step
        clock.look()
    assert [message.partition(',')[0] for message in caplog.messages] == [
        'the clock of this machine was set 3600.0 s back',
        'the clock of this machine was set 2.5 s ahead',
    ]


def test_recorded_arrivals_do_not_go_back_when_the_clock_is_set_back(state: State) -> None:
    open_round(state)
    for arrived in (10.0, 5.0, 11.0, 0.0):
        assert call(state, OPENED + arrived) is Result.COUNTED
    entries = state[Lines].entries('contest', 1)
    assert [entry.arrived - OPENED for entry in entries] == [10.0, 10.0, 11.0, 11.0]


# Real storages and servers.


def test_while_the_storage_is_away_it_is_logged_once_and_the_round_ends_afterwards(
    own_postgresql: PostgreSQL, hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    uri = own_postgresql.uri(own_postgresql.new_database())
    with open_database(uri) as database, State(database, [HitCounter, Lines], 0.5) as state:
        open_round(state)
        call(state, OPENED + 1)
        clock = hands.of(state)
        clock.look()
        hands.wall = CLOSES + 30
        own_postgresql.pause()
        try:
            clock.look()
            clock.look()
        finally:
            own_postgresql.resume()
        while not view(state).is_final:
            clock.look()
    ours = [record.getMessage() for record in caplog.records if record.name == 'hitcounter.lines.clock']
    away, *others = [message for message in ours if 'was set' not in message]
    assert away.startswith('rounds cannot be ended for now: ')
    assert others == ["round 1 of line 'contest' is final: 1 entries, 1 won", 'rounds can be ended again']


def test_several_servers_on_one_postgresql_end_a_round_and_note_a_gap_once(
    postgresql_uri: str, hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    servers, lines = 4, 5
    with ExitStack() as opened, ThreadPoolExecutor(servers) as threads:
        databases = [opened.enter_context(open_database(postgresql_uri)) for _ in range(servers)]
        states = [opened.enter_context(closing(State(one, [HitCounter, Lines]))) for one in databases]
        for line in range(lines):
            open_round(states[0], f'line-{line}')
        hands.wall = OPENED + 100
        clocks = [hands.of(state) for state in states]
        together = threading.Barrier(servers)

        def begin(clock: Clock) -> None:
            together.wait(PATIENCE)
            clock.begin()

        def look(clock: Clock) -> None:
            together.wait(PATIENCE)
            clock.look()

        list(threads.map(begin, clocks))
        hands.go_on(CLOSES + 30 - hands.wall)
        list(threads.map(look, clocks))

        assert [view(states[1], f'line-{line}').gaps for line in range(lines)] == [((OPENED, OPENED + 100),)] * lines
        assert all(view(states[1], f'line-{line}').is_final for line in range(lines))
    assert sum('is final' in message for message in caplog.messages) == lines
    assert sum('no server ran' in message for message in caplog.messages) == lines
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


def test_the_server_makes_a_round_final_that_a_command_closed(start: Start, run: Run) -> None:
    server = start()
    at = ('--storage', server.storage)
    assert run('main', 'round', 'open', '100', '--win', 'last', '--settle', '1s', *at).returncode == 0
    assert server.number(extension='100') == 1
    assert 'provisional' in run('main', 'round', 'close', '100', *at).stdout

    server.log.wait(r"INFO round 1 of line '100' is final: 1 entries, 1 won$")

    shown = run('main', 'round', 'show', '100', *at).stdout
    assert 'final: 1 call, 1 winner' in shown
    assert 'gap ' not in shown


def test_a_server_that_was_killed_during_a_round_notes_the_gap_once(start: Start, run: Run, tmp_path: Path) -> None:
    clock = FalseClock(tmp_path)
    server = start(inside=clock.inside)
    at = ('--storage', server.storage)
    assert run('main', 'round', 'open', '100', '--win', 'every 2', *at).returncode == 0
    assert server.number(extension='100') == 1
    server.kill()
    clock.put_ahead(1000)

    again = start(inside=clock.inside)
    gap = again.log.wait(r"WARNING no server ran in round 1 of line '100' from (.+) until (.+): nobody could call$")
    again.kill()
    third = start(inside=clock.inside)

    assert f'no server ran from {gap[1]} until {gap[2]}' in run('main', 'round', 'show', '100', *at).stdout
    assert third.number(extension='100') == 2
    assert not third.log.lines('no server ran')


def test_a_server_whose_clock_is_set_says_so(start: Start, tmp_path: Path) -> None:
    clock = FalseClock(tmp_path)
    server = start(inside=clock.inside)
    clock.put_ahead(-3600)
    server.log.wait(r'WARNING the clock of this machine was set 3[56]\d\d\.\d s back, or it slept: ')
    assert server.number() == 1
