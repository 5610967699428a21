"""Rounds on a real file, step by step beside a model that knows only lists: random rules, calls, closes and crashes."""

import shutil
import tempfile
from contextlib import ExitStack
from itertools import count
from math import inf, nextafter
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from hitcounter.hits import Caller, HitCounter
from hitcounter.lines.calling import Desk, Visit
from hitcounter.lines.component import Lines
from hitcounter.lines.rule_language import term_text
from hitcounter.lines.rules import Rules, canonical
from hitcounter.lines.terms import At, Every, First, FirstAfter, Last, Term
from hitcounter.state import State, open_database

OPENED = 1_800_000_000.0
LINES = ('contest', 'vote')
CALLERS = (None, '+491', '+492', '+493', '+494')
SETTLE = 10.0
GROUPS = ('', 'all')

small = st.integers(1, 6)
perhaps = st.none() | small
terms = st.one_of(
    st.builds(Every, small, small),
    st.builds(At, small),
    st.builds(First, st.integers(1, 3)),
    st.builds(FirstAfter, st.integers(0, 60).map(lambda after: OPENED + after)),
    st.just(Last()),
)
rules_of_a_round = st.builds(
    Rules,
    win=st.lists(terms, max_size=3).map(tuple),
    opens=st.none() | st.integers(0, 40).map(lambda after: OPENED + after),
    closes=st.none() | st.integers(41, 120).map(lambda after: OPENED + after),
    most_winners=perhaps,
    close_when_won=st.booleans(),
    most_calls=st.none() | st.integers(3, 12),
    count_all=st.booleans(),
    limit=st.none() | st.integers(1, 2),
    window=st.none() | st.just(7.0),
    cooldown=st.none() | st.just(15.0),
    winners_of=st.sampled_from(GROUPS),
    withheld=st.sampled_from(['count-no-win', 'count', 'refuse']),
    settle=st.just(SETTLE),
)


class Called(NamedTuple):
    """A call that was counted."""

    arrived: float
    line_number: int
    caller: str | None
    may_win: bool


class Running:
    """A round, of which every fact is worked out from the list of all calls and wins."""

    def __init__(self, line: str, rules: Rules, begins: float) -> None:
        self.line = line
        self.rules = rules
        self.begins = begins
        self.ends = rules.closes
        self.is_final = False
        self.calls: list[Called] = []
        #: Calls of a caller that passed all other rules: when, and whether they were counted.
        self.visits: list[tuple[str, float, bool]] = []
        #: The entry, the term, and its index: in the order in which they were won.
        self.won: list[tuple[int, int]] = []
        self.owed: set[int] = set()
        self.turned_away: list[str] = []

    @property
    def winners(self) -> dict[int, list[int]]:
        """The indexes of the terms by the entries that won by them."""
        return {number: [index for entry, index in self.won if entry == number] for number, _ in sorted(self.won)}

    def takes(self, arrived: float) -> bool:
        return not self.is_final and self.begins <= arrived and (self.ends is None or arrived < self.ends)

    def is_too_many(self, caller: str | None, arrived: float) -> bool:
        """Whether a caller has called too often; notes the call."""
        if caller is None or self.rules.limit is None:
            return False
        since = -1.0 if self.rules.window is None else arrived - self.rules.window
        before = [when for who, when, counted in self.visits if who == caller and counted and when > since]
        too_many = len(before) >= self.rules.limit
        self.visits.append((caller, arrived, not too_many))
        return too_many

    def milestones(self, number: int, arrived: float, may_win: bool) -> set[int]:
        """Which terms fall on this entry."""
        return {
            index for index, term in enumerate(self.rules.win) if self._falls(index, term, number, arrived, may_win)
        }

    def _falls(self, index: int, term: Term, number: int, arrived: float, may_win: bool) -> bool:
        times = sum(won == index for _, won in self.won)
        match term:
            case Every(step, start):
                return number in range(start, number + 1, step)
            case At(wanted):
                return number == wanted
            case First(most):
                return may_win and times < most
            case FirstAfter(moment):
                return may_win and times == 0 and arrived >= moment
        return False

    def is_due(self, now: float) -> bool:
        return self.ends is not None and now >= self.ends + SETTLE

    def is_full(self) -> bool:
        return self.rules.most_calls is not None and len(self.calls) >= self.rules.most_calls

    def has_enough_winners(self) -> bool:
        return len(self.winners) == self.rules.most_winners

    def is_won_out(self) -> bool:
        """Whether nobody can win any more."""
        most = {At: 1, FirstAfter: 1, Last: 1}
        return self.has_enough_winners() or all(
            not isinstance(term, Every)
            and sum(won == index for _, won in self.won)
            == (term.count if isinstance(term, First) else most[type(term)])
            for index, term in enumerate(self.rules.win)
        )


class Model:
    """All lines, in memory."""

    def __init__(self) -> None:
        self.rounds: dict[str, list[Running]] = {line: [] for line in LINES}
        self.counted = dict.fromkeys(LINES, 0)
        #: When a caller won last, by the group.
        self.winners: dict[tuple[str, str], float] = {}

    def decide(self, line: str, caller: str | None, arrived: float) -> tuple[str, int | None, list[int]]:
        """The result, the number and the terms that were won."""
        if not self.rounds[line]:
            self.counted[line] += 1
            return 'COUNTED', self.counted[line], []
        for one in self.rounds[line]:
            if one.takes(arrived):
                return self._enter(one, caller, arrived)
        return 'CLOSED', None, []

    def _enter(self, one: Running, caller: str | None, arrived: float) -> tuple[str, int | None, list[int]]:
        rules = one.rules
        noted = max([arrived, *(call.arrived for call in one.calls[-1:])])
        result = self._eligible(one, caller, arrived, noted)
        if result != 'COUNTED':
            one.turned_away.append(result)
            if not rules.count_all or one.is_full():
                return result, None, []
        may_win = result == 'COUNTED' and (caller is not None or rules.withheld == 'count')
        self.counted[one.line] += 1
        one.calls.append(Called(noted, self.counted[one.line], caller, may_win))
        number = len(one.calls)
        if one.has_enough_winners():
            return result, number, []
        one.owed |= one.milestones(number, noted, may_win)
        if not (may_win and one.owed):
            return result, number, []
        met = sorted(one.owed)
        one.owed.clear()
        self._win(one, number, met, arrived)
        if rules.close_when_won and one.is_won_out():
            one.ends = noted
        return 'WON', number, met

    def _win(self, one: Running, number: int, met: list[int], arrived: float) -> None:
        one.won += [(number, index) for index in met]
        caller = one.calls[number - 1].caller
        if caller is not None:
            known = one.rules.winners_of or one.line, caller
            self.winners[known] = max(arrived, self.winners.get(known, 0.0))

    def _eligible(self, one: Running, caller: str | None, arrived: float, noted: float) -> str:
        rules = one.rules
        if caller is None and rules.withheld == 'refuse':
            return 'WITHHELD'
        won = None if caller is None else self.winners.get((rules.winners_of or one.line, caller))
        if rules.cooldown is not None and won is not None and arrived - won < rules.cooldown:
            return 'BARRED'
        if one.is_full():
            return 'FULL'
        return 'REPEAT' if one.is_too_many(caller, noted) else 'COUNTED'

    def finish(self, one: Running) -> None:
        """Give the last call what is for the last."""
        one.is_final = True
        able = [number for number, call in enumerate(one.calls, 1) if call.may_win]
        last = [index for index, term in enumerate(one.rules.win) if isinstance(term, Last)]
        if able and last and not one.has_enough_winners():
            self._win(one, able[-1], last, one.calls[able[-1] - 1].arrived)


class Rounds(RuleBasedStateMachine):
    """A database beside its model."""

    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.now = OPENED
        self.model = Model()
        self.folders = (Path(tempfile.mkdtemp(dir=self.folder)) for _ in count())
        self.path = next(self.folders) / 'lines.fs'
        self.unique_ids = count(1)
        self._open()

    def _open(self) -> None:
        with ExitStack() as resources:
            database = resources.enter_context(open_database(f'file://{self.path}', share=True))
            self.state = resources.enter_context(State(database, [HitCounter, Lines]))
            self.resources = resources.pop_all()
        self.desk = Desk(self.state)

    def teardown(self) -> None:
        self.resources.close()

    # Steps.

    @rule(line=st.sampled_from(LINES), rules=rules_of_a_round)
    def open_round(self, line: str, rules: Rules) -> None:
        begins = self.now if rules.opens is None else rules.opens
        if rules.closes is not None and rules.closes <= max(begins, self.now):
            return  # no command opens such a round
        new = Running(line, rules, begins)
        lasting = [one for one in self.model.rounds[line] if not (one.is_final or one.is_due(self.now))]
        clashes = [one for one in lasting if _clash(one, new)]
        if clashes:
            with pytest.raises(ValueError, match='takes calls in that time as well'):
                self._open_round(line, rules)
        else:
            self._open_round(line, rules)
            self._finish_model(self.now, line)  # a round that is refused ends none
            self.model.rounds[line].append(new)

    def _open_round(self, line: str, rules: Rules) -> None:
        self.state[Lines].open_round(line, canonical(rules), self.now, 'anna')

    @rule(line=st.sampled_from(LINES), caller=st.sampled_from(CALLERS), late=st.sampled_from([0, 0, 0, 0.5, 3, 20]))
    def call(self, line: str, caller: str | None, late: float) -> None:
        """A call that arrived `late` seconds ago, and is only now to be stored."""
        visit = Visit(line, Caller(caller, None, str(next(self.unique_ids)), caller is None), self.now - late)
        outcome = self.desk.decide(visit)

        result, number, met = self.model.decide(line, caller, visit.arrived)
        assert (outcome.result.value, outcome.number) == (result, number)
        rules = self.model.rounds[line][outcome.round - 1].rules if outcome.round else Rules()
        assert outcome.win == ' and '.join(term_text(rules.win[index]) for index in met)

    @rule(line=st.sampled_from(LINES))
    @precondition(lambda self: self._ending())
    def close_round(self, line: str) -> None:
        ending = self._ending(line)
        if ending:
            self.state[Lines].close_round(line, self.now, 'anna')
            closing = min(ending, key=lambda one: one.begins)
            closing.ends = max([self.now, *(nextafter(call.arrived, inf) for call in closing.calls[-1:])])
            self._finish_model(self.now, line)

    def _ending(self, *lines: str) -> list[Running]:
        unfinished = [one for line in lines or LINES for one in self.model.rounds[line] if not one.is_final]
        return [one for one in unfinished if one.ends is None or self.now < one.ends]

    @rule(seconds=st.sampled_from([0.25, 1.0, 5.0, SETTLE, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def finish_due(self) -> None:
        due = self._finish_model(self.now, *LINES)
        assert [(view.line, view.number) for view in self.state[Lines].finish_due(self.now)] == due

    def _finish_model(self, now: float, *lines: str) -> list[tuple[str, int]]:
        due = [
            (line, number)
            for line in lines
            for number, one in enumerate(self.model.rounds[line], 1)
            if not one.is_final and one.is_due(now)
        ]
        for line, number in due:
            self.model.finish(self.model.rounds[line][number - 1])
        return due

    @rule()
    def restart(self) -> None:
        self.resources.close()
        self._open()

    @rule()
    def kill(self) -> None:
        """Go on with the files as they were when the server was killed: what it was told is in them, or was never."""
        new = next(self.folders) / 'lines.fs'
        shutil.copy(self.path, new)
        self.resources.close()
        self.path = new
        self._open()

    # What always holds.

    @invariant()
    def the_file_holds_what_the_model_holds(self) -> None:
        for line, rounds in self.model.rounds.items():
            assert self.state[HitCounter].count(line) == self.model.counted[line]
            for number, one in enumerate(rounds, 1):
                self._matches(line, number, one)

    def _matches(self, line: str, number: int, one: Running) -> None:
        lines = self.state[Lines]
        view = lines.rounds(line)[number - 1]
        assert (view.begins, view.ends, view.is_final) == (one.begins, one.ends, one.is_final)
        assert list(map(tuple, lines.entries(line, number))) == list(map(tuple, one.calls))
        assert (view.entries, view.won) == (len(one.calls), len(one.winners))
        assert sum(view.turned_away.values()) == len(one.turned_away)
        won = {
            number: (
                ' and '.join(term_text(one.rules.win[index]) for index in indexes),
                one.calls[number - 1].caller,
                one.calls[number - 1].arrived,
            )
            for number, indexes in one.winners.items()
        }
        assert {win.number: (win.terms, win.identity, win.arrived) for win in lines.wins(line, number)} == won

    @invariant()
    def the_check_finds_nothing(self) -> None:
        assert self.state.query(lambda parts: [*parts[HitCounter].check(), *parts[Lines].check()]) == []


def _clash(one: Running, other: Running) -> bool:
    """Whether both take calls at some moment."""
    later, sooner = max(one.begins, other.begins), [each.ends for each in (one, other) if each.ends is not None]
    return all(later < ends for ends in sooner)


def test_rounds_are_what_a_list_of_their_calls_says(tmp_path: Path) -> None:
    Rounds.folder = tmp_path
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Rounds,
        settings=settings(
            phases=[Phase.generate],  # a failure is told at once: to shrink it takes minutes
            report_multiple_bugs=False,
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
