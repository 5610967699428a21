"""The desk: calls are decided by the rounds that the database has, whatever other threads and processes do to them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from hitcounter.errors import ComponentError
from hitcounter.hits import Caller, HitCounter
from hitcounter.lines import calling
from hitcounter.lines.calling import Desk, Visit, decide
from hitcounter.lines.component import LATE, Lines
from hitcounter.lines.outcome import Outcome, Result
from hitcounter.lines.rule_language import parse_win
from hitcounter.lines.rules import Rules, canonical
from hitcounter.lines.settings import Settings
from hitcounter.state import Components, Database, State, open_database
from tests.support.patience import PATIENCE

THREADS = 8
#: How many rounds each of the two who open and close them goes through.
ROUNDS = 25
#: Calls of a thread, at least.
CALLS = 100

OPENED = 1_800_000_000.0

#: Opens and closes rounds, each with a rule by which it is known, in this process or another.
_DIRECTING = """
import time
from hitcounter.errors import RoundRefused, RulesRefused
from hitcounter.hits import HitCounter
from hitcounter.lines.component import Lines
from hitcounter.lines.rule_language import parse_win
from hitcounter.lines.rules import Rules, canonical
from hitcounter.state import State, open_database


def direct(state, most_entries, rounds):
    lines = state[Lines]
    for number in range(rounds):
        rules = Rules(win=parse_win(f'every {most_entries - number % 3}'), most_calls=most_entries, settle=0.0)
        try:
            lines.open_round('contest', canonical(rules), time.time(), 'anna')
        except RulesRefused:
            pass
        lines.close_line('contest', True)
        lines.close_line('contest', False)
        try:
            lines.close_round('contest', time.time(), 'anna')
        except RoundRefused:
            pass
"""
_OTHER = (
    _DIRECTING
    + """
import sys
with open_database(sys.argv[1]) as database, State(database, [HitCounter, Lines], 60) as state:
    print('ready', flush=True)
    sys.stdin.readline()
    direct(state, int(sys.argv[2]), int(sys.argv[3]))
"""
)


class Decided(NamedTuple):
    """A call and what was decided."""

    arrived: float
    outcome: Outcome


@pytest.fixture(params=['file', 'postgresql'])
def uri(request: pytest.FixtureRequest, storage: str) -> str:
    return storage if request.param == 'file' else request.getfixturevalue('postgresql_uri')


def visit(arrived: float = OPENED, line: str = 'contest') -> Visit:
    return Visit(line, Caller('+4989123401', None, '17.1'), arrived)


# Plans that are out of date.


def test_a_desk_decides_by_a_round_that_was_opened_or_closed_after_it_looked(state: State) -> None:
    desk, lines = Desk(state), state[Lines]
    assert desk.decide(visit()) == Outcome(Result.COUNTED, 1)

    lines.open_round('contest', canonical(Rules(win=parse_win('at 1'), settle=0.0)), OPENED, 'anna')
    won = desk.decide(visit())
    assert (won.result, won.round, won.number, won.line_number) == (Result.WON, 1, 1, 2)

    lines.close_round('contest', OPENED + 1, 'anna')
    assert desk.decide(visit(OPENED + 2)) == Outcome(Result.CLOSED, is_late=True)

    lines.remove('contest')
    assert desk.decide(visit()) == Outcome(Result.COUNTED, 3)


def test_a_desk_decides_by_settings_that_changed_after_it_looked(state: State) -> None:
    desk, lines = Desk(state), state[Lines]
    assert desk.decide(visit()).result is Result.COUNTED
    assert desk.settings('contest').language == ''

    lines.declare('contest', Settings(hours='2027 Mar 01 08:00-09:00', language='de'))
    assert desk.decide(visit()).result is Result.CLOSED
    assert desk.settings('contest').language == 'de'

    lines.declare('contest', Settings())
    lines.close_line('contest')
    assert desk.decide(visit()).result is Result.CLOSED
    lines.close_line('contest', closed=False)
    assert desk.decide(visit()).result is Result.COUNTED


def test_a_round_that_is_won_out_is_closed_for_the_calls_after_it(state: State) -> None:
    desk = Desk(state)
    rules = Rules(win=parse_win('at 2'), close_when_won=True)
    state[Lines].open_round('contest', canonical(rules), OPENED, 'anna')
    results = [desk.decide(visit(OPENED + second)).result for second in range(4)]
    assert results == [Result.COUNTED, Result.WON, Result.CLOSED, Result.CLOSED]
    # One that was on its way before the winner is not late.
    assert desk.decide(visit(OPENED + 0.5)).result is Result.COUNTED


def test_each_call_that_is_turned_away_is_counted_once_by_the_minute(state: State) -> None:
    desk = Desk(state)
    state[Lines].open_round('contest', canonical(Rules(opens=OPENED, closes=OPENED + 60)), OPENED - 100, 'anna')
    for second in (-1, -1, 60, 61, 119.9, 120):
        assert desk.decide(visit(OPENED + second)).result is Result.CLOSED
    minute = int(OPENED // 60) * 60
    assert state[Lines].tallies('contest') == {
        Result.CLOSED: {minute - 60: 2},
        LATE: {minute + 60: 3, minute + 120: 1},
    }
    assert state[HitCounter].lines() == {}


def test_a_desk_that_is_up_to_date_makes_one_update_for_a_call(state: State) -> None:
    desk = Desk(state)
    state[Lines].open_round('contest', canonical(Rules()), OPENED, 'anna')
    desk.decide(visit())
    with state.subscribe() as updates:
        for _ in range(3):
            desk.decide(visit())
    assert [stored.name for stored in updates] == ['lines.enter'] * 3


def test_a_desk_forgets_the_plan_that_it_has_known_longest(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, 'MOST_PLANS', 2)
    desk = Desk(state)
    names = ['a', 'b', 'c']
    for name in names:
        state[Lines].declare(name, Settings(language=name * 2))
    for number in (1, 2):
        for name in names:
            assert desk.decide(visit(line=name)).number == number
            assert desk.settings(name).language == name * 2
    assert desk.settings('b').language == 'bb'
    assert desk.settings('a') == Settings()


# At the same time.


@pytest.mark.parametrize('change', ['a round opens', 'it is closed by hand'])
def test_a_call_is_decided_again_if_another_process_changes_the_plans_while_it_is_stored(
    change: str, database: Database, state: State
) -> None:
    state[Lines].declare('contest', Settings())
    results = []

    def enter(components: Components) -> None:
        results.append(decide(components, visit()))
        if len(results) == 1:
            with ThreadPoolExecutor(1) as pool:  # a thread that is not within an update
                pool.submit(direct).result(PATIENCE)

    def direct() -> None:
        with State(database, [HitCounter, Lines]) as other:
            if change == 'a round opens':
                other[Lines].open_round('contest', canonical(Rules()), OPENED, 'anna')
            else:
                other[Lines].close_line('contest')

    state.update(enter)

    before, after = results
    assert before == Outcome(Result.COUNTED, 1)
    assert (after.round, after.result) == ((1, Result.COUNTED) if change == 'a round opens' else (None, Result.CLOSED))
    assert state[HitCounter].count('contest') == (change == 'a round opens')


def calls_of(desk: Desk, is_over: threading.Event) -> list[Decided]:
    decided: list[Decided] = []
    while len(decided) < CALLS or not is_over.is_set():
        arrived = time.time()
        decided.append(Decided(arrived, desk.decide(visit(arrived))))
    return decided


def other_process(uri: str, environment: dict[str, str], most_entries: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, '-W', 'error', '-c', _OTHER, uri, str(most_entries), str(ROUNDS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout
    assert process.stdout.readline() == 'ready\n'
    return process


def test_no_call_is_lost_or_decided_by_the_rules_of_another_round_while_rounds_open_and_close(
    uri: str, environment: dict[str, str]
) -> None:
    scope: dict[str, object] = {}
    exec(_DIRECTING, scope)
    direct = scope['direct']
    assert callable(direct)
    with open_database(uri, share=True) as database, State(database, [HitCounter, Lines], PATIENCE) as state:
        desk, is_over = Desk(state), threading.Event()
        desk.decide(visit(time.time()))
        process = other_process(uri, environment, 7)
        try:
            with ThreadPoolExecutor(THREADS) as pool:
                calling = [pool.submit(calls_of, desk, is_over) for _ in range(THREADS)]
                process.stdin.write('go\n')  # type: ignore[union-attr]  # it is a pipe
                process.stdin.flush()  # type: ignore[union-attr]
                direct(state, 11, ROUNDS)
                assert process.wait(PATIENCE) == 0
                is_over.set()
                decided = [one for thread in calling for one in thread.result(PATIENCE)]
        finally:
            process.kill()
            process.communicate()
        judge(state, decided)


def judge(state: State, decided: list[Decided]) -> None:
    """Each call is where its outcome says, and nothing else is there."""
    results = Counter(one.outcome.result for one in decided)
    in_rounds: dict[int, list[Decided]] = defaultdict(list)
    for one in decided:
        if one.outcome.round and one.outcome.number is not None:
            in_rounds[one.outcome.round].append(one)
    without = [one.outcome for one in decided if one.outcome.number is not None and not one.outcome.round]
    views = {view.number: view for view in state[Lines].rounds('contest')}
    assert len(views) > ROUNDS / 5
    for number, view in views.items():
        ours = in_rounds[number]
        assert sorted(one.outcome.number or 0 for one in ours) == list(range(1, view.entries + 1))
        most = view.rules.most_calls
        assert most is not None
        assert view.entries <= most
        assert view.ends is not None
        for one in ours:
            assert view.begins <= one.arrived < view.ends
            wins = any(term.falls_on(one.outcome.number, one.arrived, True, 0) for term in view.rules.win)
            assert (one.outcome.result is Result.WON) is wins
        turned_away = sum(one.outcome.round == number and one.outcome.result is Result.FULL for one in decided)
        assert dict(view.turned_away) == ({Result.FULL: turned_away} if turned_away else {})
    numbers = [one.outcome.line_number for ours in in_rounds.values() for one in ours]
    numbers += [outcome.number for outcome in without]
    assert sorted(filter(None, numbers)) == list(range(2, len(numbers) + 2))  # the first call was ours
    assert state[HitCounter].count('contest') == len(numbers) + 1
    tallies = Counter({name: sum(tally.values()) for name, tally in state[Lines].tallies('contest').items()})
    assert tallies[Result.CLOSED] + tallies[LATE] == results[Result.CLOSED]
    assert tallies[Result.FULL] == results[Result.FULL]
    assert {name for name, count in tallies.items() if count} <= {Result.CLOSED, LATE, Result.FULL}


# Two databases.


@pytest.mark.parametrize('name', ['hits', 'lines'])
def test_lines_live_where_hits_live(name: str, database: Database, tmp_path: Path) -> None:
    with (
        open_database(f'file://{tmp_path}/other.fs', share=True) as other,
        pytest.raises(
            ComponentError, match=r"^component 'lines' depends on 'hits', which .*: name one storage for both"
        ),
    ):
        State(database, [HitCounter, Lines], elsewhere={name: other})


def test_lines_and_hits_may_live_together_elsewhere(database: Database, postgresql_uri: str) -> None:
    with (
        open_database(postgresql_uri) as other,
        State(database, [HitCounter, Lines], elsewhere={'hits': other, 'lines': other}) as state,
    ):
        desk = Desk(state)
        state[Lines].open_round('contest', canonical(Rules(win=parse_win('at 2'))), OPENED, 'anna')
        assert [desk.decide(visit()).result for _ in range(2)] == [Result.COUNTED, Result.WON]
        assert desk.decide(visit(line='shop')) == Outcome(Result.COUNTED, 1)
