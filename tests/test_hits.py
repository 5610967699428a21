"""The hit counter: its component on a real database, its script with a pretend Asterisk."""

import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from hitcounter.hits import Caller, Hit, HitCounter, forget, tell_the_number
from hitcounter.state import Parts, State, open_database
from hitcounter.testing import Answered, CallerHungUp, Channel, HangUp, Manner, Missing, Played, SaidNumber, dial

BOB = Caller('555', 'Bob', '17.1')
UNKNOWN = Caller(None, None, '17.2')


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with (
        closing(open_database(f'file://{tmp_path}/hits.fs', share=True)) as database,
        closing(State(database, [HitCounter])) as state,
    ):
        yield state


def test_each_line_counts_for_itself_from_1_on(state: State) -> None:
    hits = state[HitCounter]
    assert [hits.hit(line, BOB) for line in ('31415', '31415', '27182', '31415')] == [1, 2, 1, 3]
    assert hits.lines() == {'27182': 1, '31415': 3}
    assert (hits.count('31415'), hits.count('nosuch')) == (3, 0)


def test_each_call_is_on_record_with_its_number_time_and_caller(state: State) -> None:
    before = time.time()
    state[HitCounter].hit('31415', BOB)
    state[HitCounter].hit('31415', UNKNOWN)
    first, second = state[HitCounter].call('31415', 1), state[HitCounter].call('31415', 2)
    assert first == Hit(1, first.time, BOB)
    assert second == Hit(2, second.time, UNKNOWN)
    assert before <= first.time <= second.time <= time.time()


@pytest.mark.parametrize(('line', 'number'), [('31415', 0), ('31415', 2), ('nosuch', 1)])
def test_a_call_that_was_not_made_is_a_key_error(state: State, line: str, number: int) -> None:
    state[HitCounter].hit('31415', BOB)
    with pytest.raises(KeyError):
        state[HitCounter].call(line, number)


def test_the_calls_of_each_hour_are_totalled(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    for moment in (1000.0, 3599.9, 3600.0, 10_000.0):
        monkeypatch.setattr(time, 'time', lambda moment=moment: moment)
        state[HitCounter].hit('31415', BOB)
    assert state[HitCounter].hours('31415') == {0: 2, 3600: 1, 7200: 1}
    assert state[HitCounter].hours('nosuch') == {}


def test_the_caller_is_answered_and_told_the_number(state: State) -> None:
    state[HitCounter].hit('31415', BOB)
    asterisk = dial(Channel(extension='31415'), lambda call: tell_the_number(call, state, ['hello', 'number']))
    assert asterisk.heard == [Answered(), Played('hello'), Played('number'), SaidNumber(2)]
    assert asterisk.variables['HITCOUNTER_NUMBER'] == '2'


def test_a_prompt_that_asterisk_does_not_have_does_not_keep_the_number_back(state: State) -> None:
    asterisk = dial(Channel(missing=frozenset({'nosuch'})), lambda call: tell_the_number(call, state, ['nosuch']))
    assert asterisk.heard == [Answered(), Missing('nosuch'), SaidNumber(1)]


@pytest.mark.parametrize('command', ['SET VARIABLE', 'STREAM FILE', 'SAY NUMBER'])
@pytest.mark.parametrize('how', [Manner.DURING, Manner.CROSSING, Manner.AFTER])
def test_a_caller_who_goes_once_counted_stays_counted_and_the_dialplan_has_the_number(
    state: State, command: str, how: Manner
) -> None:
    asterisk = dial(Channel(hang_up=HangUp(command, how)), partial(tell_the_number, state=state))
    assert CallerHungUp() in asterisk.heard
    assert state[HitCounter].count('31415') == 1
    assert asterisk.variables['HITCOUNTER_NUMBER'] == '1'


def test_a_caller_who_goes_before_the_answer_is_not_counted(state: State) -> None:
    asterisk = dial(Channel(hang_up=HangUp('ANSWER')), partial(tell_the_number, state=state))
    assert state[HitCounter].count('31415') == 0
    assert asterisk.heard == [Answered(), CallerHungUp()]


def test_what_the_phone_says_of_its_caller_is_stored_as_it_came(state: State) -> None:
    name = b'Zo\xeb "x" \xe9\x9b\xbb'.decode('utf-8', 'surrogateescape')
    dial(Channel(caller_name=name, caller_id='+44 1', unique_id='17.3'), partial(tell_the_number, state=state))
    assert state[HitCounter].call('31415', 1).caller == Caller('+44 1', name, '17.3', withheld=False)


def test_the_first_calls_are_forgotten_and_nothing_else(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    hits = state[HitCounter]
    for moment in (1000.0, 2000.0, 3000.0, 4000.0):
        monkeypatch.setattr(time, 'time', lambda moment=moment: moment)
        hits.hit('31415', BOB)
        hits.hit('27182', BOB)
    before = hits.lines(), hits.hours('31415')
    assert forget(state, 3000.0) == 4
    assert forget(state, 3000.0) == 0
    assert (hits.lines(), hits.hours('31415')) == before
    assert hits.call('31415', 3) == Hit(3, 3000.0, BOB)
    with pytest.raises(KeyError, match='record 2 is forgotten, as are all below 3'):
        hits.call('31415', 2)
    assert hits.hit('31415', BOB) == 5


def test_forgetting_many_holds_up_the_calls_for_a_moment_only(
    state: State, caplog: pytest.LogCaptureFixture
) -> None:
    def hit_often(parts: Parts) -> None:
        for _ in range(5000):
            parts[HitCounter].hit('31415', BOB)

    state.update(hit_often)
    caplog.clear()
    assert forget(state, time.time()) == 5000
    assert 'held up' not in caplog.text
    assert state[HitCounter].hit('31415', BOB) == 5001


def test_a_line_that_does_not_agree_with_its_hours_is_found(state: State) -> None:
    state[HitCounter].hit('31415', BOB)
    state[HitCounter].hit('27182', BOB)
    assert state.query(lambda parts: list(parts[HitCounter].check())) == []
    state.update(lambda parts: parts[HitCounter]._lines['31415'].hours.add(0))
    state.update(lambda parts: parts[HitCounter]._lines['27182'].calls._pieces.clear())
    assert state.query(lambda parts: list(parts[HitCounter].check())) == [
        "line '27182': record 1 should be there, for 1 have been appended",
        "line '31415' has 1 calls, and its hours 2",
    ]


def test_a_call_on_record_that_is_not_among_its_hour_is_found(state: State) -> None:
    state[HitCounter].hit('31415', BOB)
    hour, = state[HitCounter].hours('31415')

    def move(parts: Parts) -> None:
        parts[HitCounter]._lines['31415'].hours.add(hour, -1)
        parts[HitCounter]._lines['31415'].hours.add(0)

    state.update(move)
    assert state.query(lambda parts: list(parts[HitCounter].check())) == [
        f"line '31415' has 1 calls on record of the hour {hour}, and 0 among its hours"]
    forget(state, time.time() + 1)
    assert state.query(lambda parts: list(parts[HitCounter].check())) == []
