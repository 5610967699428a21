"""The sentence by which rules are published: it says all of them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitcounter.lines.rule_sentence import sentence
from hitcounter.lines.rules import Rules
from hitcounter.lines.terms import At, Every, First, FirstAfter, Last, Term

#: 2026-12-05 22:15 in Berlin.
CLOSE = 1_796_505_300.0
DAY = 86400.0


def test_a_contest_in_one_sentence() -> None:
    rules = Rules((At(100),), limit=1, zone='Europe/Berlin', closes=CLOSE)
    assert sentence(rules, 'contest') == (
        'Caller 100 wins; each caller counts once; withheld numbers count and cannot win, and a win that falls on such '
        'a call passes to the next caller who can; times are in Europe/Berlin; '
        'closes 2026-12-05 22:15:00 Europe/Berlin (2026-12-05T21:15:00Z); '
        'the result is final 30 seconds after the close.'
    )


def test_every_rule_in_one_sentence() -> None:
    rules = Rules(
        win=(At(9), At(99), At(999), Every(50, 50), First(5), FirstAfter(CLOSE - 3600), Last()),
        opens=CLOSE - DAY,
        closes=CLOSE,
        zone='Europe/Berlin',
        most_winners=3,
        close_when_won=True,
        most_calls=5000,
        count_all=True,
        limit=20,
        window=7 * DAY,
        cooldown=30 * DAY,
        winners_of='wxyz',
        country='DE',
        forget_numbers=True,
        settle=90.0,
        hours='Mo-Fr 08:00-18:00; PH off',
    )
    assert sentence(rules, 'contest') == (
        'Callers 9, 99 and 999 win; every 50th caller wins; the first 5 callers win; the first caller at '
        '2026-12-05 21:15:00 Europe/Berlin (2026-12-05T20:15:00Z) or later wins; the last caller before the close '
        'wins; a call that meets several of these is one win; after 3 winners nobody else wins; the round closes '
        'with the last win that is possible; each caller counts at most 20 times in any period of 7 days; '
        'withheld numbers count and cannot win, and a win that falls on such a call passes to the next caller who '
        "can; a winner on any line of the group 'wxyz' cannot win again within 30 days after a win, and calls in "
        'that time do not count; calls that do not count have numbers, too, and a win that falls on such a call '
        'passes to the next caller who can; no call after number 5000 counts; keyed hashes are stored in place of '
        "the callers' numbers; numbers and holidays are those of DE; times are in Europe/Berlin; open 'Mo-Fr "
        "08:00-18:00; PH off'; opens 2026-12-04 22:15:00 Europe/Berlin (2026-12-04T21:15:00Z); closes 2026-12-05 "
        '22:15:00 Europe/Berlin (2026-12-05T21:15:00Z); the result is final 90 seconds after the close.'
    )


def test_a_count_in_one_sentence() -> None:
    assert sentence(Rules(settle=0), 'help') == (
        'Nobody wins; withheld numbers count; the result is final at the close.'
    )


@pytest.mark.parametrize(
    ('term', 'said'),
    [
        (At(1000), 'Caller 1000 wins;'),
        (Every(1, 1), 'Every caller wins;'),
        (Every(1, 5), 'Every caller from caller 5 on wins;'),
        (Every(2, 2), 'Every 2nd caller wins;'),
        (Every(3, 1), 'Every 3rd caller from caller 1 on wins;'),
        (Every(10, 10), 'Every 10th caller wins;'),
        (Every(11, 11), 'Every 11th caller wins;'),
        (Every(12, 12), 'Every 12th caller wins;'),
        (Every(21, 21), 'Every 21st caller wins;'),
        (Every(113, 113), 'Every 113th caller wins;'),
        (Every(1022, 1022), 'Every 1022nd caller wins;'),
        (First(1), 'The first caller wins;'),
        (First(2), 'The first 2 callers win;'),
        (FirstAfter(0.5), 'The first caller at 1970-01-01 00:00:00.5 UTC (1970-01-01T00:00:00.5Z) or later wins;'),
        (Last(), 'The last caller before the close wins;'),
    ],
)
def test_each_term_is_said(term: Term, said: str) -> None:
    assert sentence(Rules((term,)), 'contest').startswith(said)


@pytest.mark.parametrize(
    ('rules', 'said'),
    [
        (Rules((At(9), At(99))), 'Callers 9 and 99 win; a call that'),
        (Rules((At(9), Last(), At(99))), 'Caller 9 wins; the last caller before the close wins; caller 99 wins;'),
        (Rules((At(9),), most_winners=1), 'after 1 winner nobody else wins;'),
        (Rules(most_calls=1), 'at most 1 call counts;'),
        (Rules(most_calls=5000), 'at most 5,000 calls count;'),
        (Rules(limit=2), 'each caller counts at most 2 times;'),
        (Rules(limit=1, window=60), 'each caller counts once in any period of 1 minute;'),
        (Rules(limit=1, window=36 * 3600), 'in any period of 36 hours;'),
        (Rules(limit=1, window=0.5), 'in any period of 0.5 seconds;'),
        (Rules(limit=1, window=1), 'in any period of 1 second;'),
        (Rules(limit=1, window=90061), 'in any period of 90,061 seconds;'),
        (
            Rules((At(9),), cooldown=DAY),
            "a winner on the line 'contest' cannot win again within 1 day after a win, and",
        ),
        (Rules(count_all=True), 'calls that do not count have numbers, too; the result'),
        (Rules(withheld='count'), 'withheld numbers count as all others do;'),
        (Rules(withheld='count', limit=1), 'withheld numbers count, and each of their calls is of a new caller;'),
        (Rules((At(9),), withheld='count', cooldown=1), 'count, and each of their calls is of a new caller;'),
        (Rules(withheld='refuse'), 'withheld numbers are refused;'),
    ],
)
def test_each_rule_is_said(rules: Rules, said: str) -> None:
    assert said in sentence(rules, 'contest')


CHANGES = st.one_of(
    st.lists(
        st.one_of(
            st.builds(Every, st.integers(1, 9), st.integers(1, 9)),
            st.builds(At, st.integers(1, 9)),
            st.builds(First, st.integers(1, 9)),
            st.builds(FirstAfter, st.integers(0, 9).map(float)),
            st.just(Last()),
        ),
        max_size=3,
    ).map(lambda win: {'win': tuple(win)}),
    *(
        st.tuples(st.just(name), st.none() | values).map(lambda change: dict([change]))
        for name, values in {
            'opens': st.integers(0, 9).map(float),
            'closes': st.integers(0, 9).map(float),
            'most_winners': st.integers(1, 9),
            'most_calls': st.integers(1, 9),
            'cooldown': st.integers(1, 9) | st.sampled_from([60, 120, 3600, 86400, 0.1, 0.2]),
        }.items()
    ),
    *(
        st.tuples(st.just(name), values).map(lambda change: dict([change]))
        for name, values in {
            'close_when_won': st.booleans(),
            'count_all': st.booleans(),
            'forget_numbers': st.booleans(),
            'withheld': st.sampled_from(['count-no-win', 'count', 'refuse']),
            'country': st.sampled_from(['', 'DE', 'GB']),
            'zone': st.sampled_from(['UTC', 'Europe/Berlin', 'Europe/Paris']),
            'settle': st.sampled_from([0, 0.5, 1.0, 30.0, 60.0]),
            'hours': st.sampled_from(['', 'Mo-Fr 08:00-18:00', '24/7']),
        }.items()
    ),
    st.sampled_from([{'limit': 1}, {'limit': 2}, {'limit': 1, 'window': 60.0}, {'limit': 1, 'window': 61.0}]),
    st.sampled_from(['', 'wxyz', 'line']).map(lambda group: {'cooldown': 60.0, 'winners_of': group}),
)


@given(st.lists(CHANGES, max_size=6), CHANGES)
def test_rules_that_differ_have_sentences_that_differ(base: list[dict[str, object]], change: dict[str, object]) -> None:
    rules = Rules((At(9),))
    for some in base:
        rules = replace(rules, **some)
    other = replace(rules, **change)
    assert (sentence(rules, 'line') == sentence(other, 'line')) == (rules == other)
