"""A call that is decided within an update of another package, which does more than that, by an identity of its own."""

import re
import secrets

import pytest

from hitcounter.errors import LineRefused
from hitcounter.hits import Caller, HitCounter
from hitcounter.lines.calling import Desk, Visit, decide
from hitcounter.lines.component import Lines
from hitcounter.lines.outcome import Outcome, Result
from hitcounter.lines.rules import Rules, canonical
from hitcounter.state import Components, State

OPENED = 1_800_000_000.0
ADA = Caller('5551', 'Ada', '1.1', withheld=False)
WITHHELD = Caller(None, None, '1.2', withheld=True)


def open_round(state: State, **rules: object) -> None:
    state[Lines].open_round('vote', canonical(Rules(**rules)), OPENED, 'anna', secrets.token_bytes(32))


def visit(caller: Caller = ADA, identity: str | None = None, arrived: float = OPENED) -> Visit:
    return Visit('vote', caller, arrived, identity)


def test_one_identity_is_one_caller_whatever_the_caller_id(state: State) -> None:
    open_round(state, limit=1)

    outcomes = [state.update(decide, visit(caller, 'account 7')) for caller in (ADA, WITHHELD, ADA)]

    assert [outcome.result for outcome in outcomes] == [Result.COUNTED, Result.REPEAT, Result.REPEAT]
    assert state[HitCounter].count('vote') == 1
    assert [entry.identity for entry in state[Lines].entries('vote', 1)] == ['account 7']


def test_whoever_has_an_identity_can_win_without_a_number(state: State) -> None:
    open_round(state, limit=1)

    for identity in ('account 7', None):
        state.update(decide, visit(WITHHELD, identity))

    assert [entry.may_win for entry in state[Lines].entries('vote', 1)] == [True, False]


def test_the_identity_is_hashed_where_the_rules_say_so(state: State) -> None:
    open_round(state, limit=1, forget_numbers=True)

    outcomes = [state.update(decide, visit(identity='account 7')) for _ in range(2)]

    assert [outcome.result for outcome in outcomes] == [Result.COUNTED, Result.REPEAT]
    (entry,) = state[Lines].entries('vote', 1)
    assert re.fullmatch('[0-9a-f]{32}', entry.identity or '')
    assert state[HitCounter].call('vote', 1).caller.caller_id is None


def test_a_desk_decides_by_the_same_identity(state: State) -> None:
    open_round(state, limit=1)
    state.update(decide, visit(identity='account 7'))

    assert Desk(state).decide(visit(WITHHELD, 'account 7')).result is Result.REPEAT


def test_a_call_is_not_counted_if_the_rest_of_the_update_fails(state: State) -> None:
    def vote(components: Components) -> None:
        assert decide(components, visit(identity='account 7')).result is Result.COUNTED
        raise ValueError('not today')

    open_round(state, limit=1)
    with pytest.raises(ValueError, match='not today'):
        state.update(vote)

    assert state[HitCounter].count('vote') == 0
    assert state.update(decide, visit(identity='account 7')).result is Result.COUNTED


def test_a_call_between_two_rounds_is_turned_away_and_counted_apart(state: State) -> None:
    open_round(state, closes=OPENED + 60)

    outcome = state.update(decide, visit(arrived=OPENED + 60))

    assert (outcome.result, outcome.is_late) == (Result.CLOSED, True)
    assert state[HitCounter].count('vote') == 0
    assert state[Lines].tallies('vote') == {'LATE': {int(OPENED) + 60: 1}}


def test_a_line_without_a_round_counts_and_has_its_bounds(state: State) -> None:
    assert state.update(decide, visit()) == Outcome(Result.COUNTED, 1)
    with pytest.raises(LineRefused, match='would be new'):
        state.update(decide, Visit('another', ADA, OPENED), 1)
