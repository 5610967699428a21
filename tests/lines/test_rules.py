"""What decides a round, against the published definitions of its terms; and the text that rules are stored as."""

import hashlib
import json
from dataclasses import fields, replace
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitcounter.errors import RulesRefused
from hitcounter.lines.rules import (
    Progress,
    Rules,
    canonical,
    decide,
    decide_last,
    digest,
    from_canonical,
    is_won_out,
    to_go,
)
from hitcounter.lines.terms import HIGHEST, At, Every, First, FirstAfter, Last, Term


class Entry(NamedTuple):
    arrived: float
    may_win: bool


SMALL = st.integers(1, 12)
TERMS = st.one_of(
    st.builds(Every, SMALL, SMALL),
    st.builds(At, SMALL),
    st.builds(First, st.integers(1, 4)),
    st.builds(FirstAfter, st.integers(0, 20).map(float)),
    st.just(Last()),
)
RULES = st.builds(
    Rules,
    win=st.lists(TERMS, max_size=4, unique=True).map(tuple),
    most_winners=st.none() | st.integers(1, 4),
    most_calls=st.none() | SMALL,
)
ENTRIES = st.lists(st.builds(Entry, st.integers(0, 20).map(float), st.booleans()), max_size=30)


def run(rules: Rules, entries: list[Entry]) -> tuple[dict[int, tuple[Term, ...]], Progress]:
    """The wins by number of the entry, as decided call by call."""
    wins: dict[int, tuple[Term, ...]] = {}
    progress = Progress()
    for number, entry in enumerate(entries, 1):
        met, progress = decide(rules, progress, number, entry.arrived, entry.may_win)
        if met:
            wins[number] = met
    return wins, progress


def has_milestone(term: Term, number: int) -> bool:
    if isinstance(term, Every):
        return number in range(term.start, 10**6, term.step)
    return isinstance(term, At) and number == term.number


def winners_of(term: Term, entries: list[Entry]) -> list[int]:
    """The numbers that win by this term, from its definition, with all entries in view."""
    able = [number for number, entry in enumerate(entries, 1) if entry.may_win]
    match term:
        case Every() | At():
            milestones = [number for number in range(1, len(entries) + 1) if has_milestone(term, number)]
            return [min(after) for number in milestones if (after := [other for other in able if other >= number])]
        case First(count):
            return able[:count]
        case FirstAfter(moment):
            return [number for number in able if entries[number - 1].arrived >= moment][:1]
        case Last():
            return []


@given(RULES, ENTRIES)
def test_the_winners_are_those_of_the_definition(rules: Rules, entries: list[Entry]) -> None:
    expected: dict[int, list[Term]] = {}
    for term in rules.win:
        for number in dict.fromkeys(winners_of(term, entries)):
            expected.setdefault(number, []).append(term)
    allowed = sorted(expected)[: rules.most_winners]

    wins, progress = run(rules, entries)

    assert wins == {number: tuple(expected[number]) for number in allowed}
    assert progress.winners == len(wins)
    won = [sum(term in met for met in wins.values()) for term in rules.win]
    assert list(progress.won) == (won if wins else [])


@given(RULES, ENTRIES)
def test_owed_are_the_milestones_since_the_last_caller_who_may_win(rules: Rules, entries: list[Entry]) -> None:
    _, progress = run(rules, entries)
    last = max((number for number, entry in enumerate(entries, 1) if entry.may_win), default=0)
    since = range(last + 1, len(entries) + 1)
    is_over = rules.most_winners is not None and progress.winners >= rules.most_winners
    owed = [index for index, term in enumerate(rules.win) if any(has_milestone(term, number) for number in since)]
    assert list(progress.owed) == ([] if is_over else owed)


@given(RULES, ENTRIES)
def test_winning_is_over_when_no_later_caller_can_win(rules: Rules, entries: list[Entry]) -> None:
    _, progress = run(rules, entries)
    later = progress
    for number in range(len(entries) + 1, len(entries) + 40):
        _, later = decide(rules, later, number, 100.0, True)
    _, later = decide_last(rules, later, has_won=False)
    assert is_won_out(rules, progress) == (later.winners == progress.winners)


@given(RULES, st.integers(0, 30))
def test_to_go_is_the_distance_to_the_next_number_that_wins(rules: Rules, number: int) -> None:
    winning = [
        other for other in range(number + 1, number + 50) if any(has_milestone(term, other) for term in rules.win)
    ]
    if rules.most_calls is not None:
        winning = [other for other in winning if other <= rules.most_calls]
    assert to_go(rules, Progress(), number) == (min(winning) - number if winning else None)


def test_to_go_reaches_the_last_number_that_counts_and_no_further() -> None:
    rules = Rules((Every(10, 10),), most_calls=20)
    assert [to_go(rules, Progress(), number) for number in (9, 10, 19, 20, 21)] == [1, 10, 1, None, None]


def test_nobody_wins_and_nothing_is_to_go_once_there_are_enough_winners() -> None:
    rules = Rules((Every(1, 1), Last()), most_winners=2)
    _, progress = run(rules, [Entry(0, True)])
    assert not is_won_out(rules, progress)
    assert to_go(rules, progress, 1) == 1
    _, progress = run(rules, [Entry(0, True), Entry(0, True)])
    assert is_won_out(rules, progress)
    assert to_go(rules, progress, 2) is None
    assert decide(rules, progress, 3, 0.0, True) == ((), progress)
    assert decide_last(rules, progress, has_won=False) == ((), progress)
    assert decide_last(rules, progress, has_won=True) == ((), progress)


def test_a_milestone_of_a_caller_who_may_not_win_passes_to_the_next_who_may() -> None:
    rules = Rules((At(9), At(10), Every(11, 11)))
    nobody, somebody = Entry(0, False), Entry(0, True)
    wins, progress = run(rules, [*[somebody] * 8, nobody, nobody])
    assert (wins, progress) == ({}, Progress(owed=(0, 1)))
    wins, progress = run(rules, [*[somebody] * 8, nobody, nobody, somebody, somebody])
    assert wins == {11: (At(9), At(10), Every(11, 11))}
    assert progress == Progress(1, (), (1, 1, 1))


def test_what_is_owed_does_not_grow_with_the_calls() -> None:
    _, progress = run(Rules((Every(1, 1), Every(2, 2))), [Entry(0, False)] * 1000)
    assert progress == Progress(owed=(0, 1))


def test_the_progress_itself_comes_back_if_nothing_changed() -> None:
    rules = Rules((Every(2, 2), First(1), Last()))
    progress = Progress(1, (0,), (0, 1, 0))
    assert decide(rules, progress, 3, 0.0, False)[1] is progress
    assert decide(rules, progress, 4, 0.0, False)[1] is progress
    assert decide(replace(rules, most_winners=1), progress, 3, 0.0, True)[1] is progress
    fresh = Progress(1, (), (0, 1, 0))
    assert decide(rules, fresh, 3, 0.0, True)[1] is fresh


def test_first_after_takes_the_moment_itself() -> None:
    rules = Rules((FirstAfter(20.0),))
    assert run(rules, [Entry(19.999, True), Entry(20.0, False), Entry(20.0, True), Entry(21.0, True)])[0] == {
        3: (FirstAfter(20.0),)
    }


def test_last_is_one_winner_more_unless_that_caller_has_won_before() -> None:
    rules = Rules((At(2), Last(), Every(5, 5)))
    progress = Progress(1, (2,), (1, 0, 0))
    assert decide_last(rules, progress, has_won=False) == ((Last(),), Progress(2, (2,), (1, 1, 0)))
    assert decide_last(rules, progress, has_won=True) == ((Last(),), Progress(1, (2,), (1, 1, 0)))


def test_last_is_won_unless_there_are_enough_winners() -> None:
    rules = Rules((At(2), Last()), most_winners=2)
    assert decide_last(rules, Progress(1, (), (1, 0)), has_won=False)[0] == (Last(),)
    assert decide_last(rules, Progress(2, (), (2, 0)), has_won=False)[0] == ()


def test_last_is_won_once() -> None:
    rules = Rules((At(2), Last()))
    met, progress = decide_last(rules, Progress(), has_won=False)
    assert (met, progress) == ((Last(),), Progress(1, (), (0, 1)))
    assert decide_last(rules, progress, has_won=False) == ((), progress)


def test_without_last_the_end_decides_nothing() -> None:
    progress = Progress(1, (), (1,))
    assert decide_last(Rules((At(2),)), progress, has_won=False)[1] is progress


@pytest.mark.parametrize(
    ('win', 'calls'),
    [
        ((At(3),), 3),
        ((First(3),), 3),
        ((FirstAfter(3.0),), 3),
        ((First(1), At(3)), 3),
        ((At(3), First(1)), 3),
        ((FirstAfter(2.0), First(4)), 4),
        ((Every(1, 1),), None),
        ((At(1), Every(2, 2)), None),
        ((First(1), Last()), None),
    ],
)
def test_winning_is_over_with_the_last_win_of_the_last_term(win: tuple[Term, ...], calls: int | None) -> None:
    entries = [Entry(float(second), True) for second in range(1, 7)]
    rules = Rules(win)
    over = [number for number in range(7) if is_won_out(rules, run(rules, entries[:number])[1])]
    assert over == ([] if calls is None else list(range(calls, 7)))


def test_last_keeps_a_round_from_being_won_out_until_the_end() -> None:
    rules = Rules((First(1), Last()))
    _, progress = run(rules, [Entry(0, True)])
    assert not is_won_out(rules, progress)
    assert is_won_out(rules, decide_last(rules, progress, has_won=False)[1])


def test_terms_of_two_kinds_are_never_equal() -> None:
    assert len({At(5), First(5), FirstAfter(5)}) == 3
    assert Rules((At(5),)) != Rules((First(5),))


@pytest.mark.parametrize('number', [0, -1, HIGHEST + 1, True, 1.0, '1', None])
def test_a_term_has_whole_numbers_in_range(number: object) -> None:
    for make in (At, First, lambda given: Every(given, 1), lambda given: Every(1, given)):
        with pytest.raises(RulesRefused, match=r'give one from 1 to 1,000,000,000'):
            make(number)
    assert At(HIGHEST).number == HIGHEST


@pytest.mark.parametrize('moment', [float('nan'), float('inf'), '20:00', None, True])
def test_a_term_has_a_finite_moment(moment: object) -> None:
    with pytest.raises(RulesRefused, match='give the seconds since 1970'):
        FirstAfter(moment)


SECONDS = st.floats(allow_nan=False, allow_infinity=False)
ALL_RULES = st.builds(
    Rules,
    win=st.lists(TERMS | st.builds(FirstAfter, SECONDS), max_size=4).map(tuple),
    opens=st.none() | SECONDS,
    closes=st.none() | SECONDS,
    zone=st.text(),
    most_winners=st.none() | st.integers(),
    close_when_won=st.booleans(),
    most_calls=st.none() | st.integers(),
    count_all=st.booleans(),
    limit=st.none() | st.integers(),
    window=st.none() | SECONDS,
    cooldown=st.none() | SECONDS,
    winners_of=st.text(),
    withheld=st.text(),
    country=st.text(),
    forget_numbers=st.booleans(),
    settle=SECONDS,
    hours=st.text(),
)


@given(ALL_RULES)
def test_rules_come_back_from_their_canonical_text(rules: Rules) -> None:
    text = canonical(rules)
    assert from_canonical(text) == rules
    assert canonical(from_canonical(text)) == text
    assert text.isascii()
    assert digest(rules) == hashlib.sha256(text.encode()).hexdigest()


@given(ALL_RULES, ALL_RULES)
def test_rules_that_differ_have_texts_that_differ(one: Rules, other: Rules) -> None:
    assert (canonical(one) == canonical(other)) == (one == other)


def test_the_canonical_text_is_that_of_the_first_release() -> None:
    """Published hashes depend on it: whoever changes it makes them void."""
    rules = Rules((Every(100, 50), At(9), First(5), FirstAfter(20.5), Last()), closes=60, zone='Europe/Berlin', limit=1)
    assert canonical(rules) == (
        '{"close_when_won":false,"closes":60.0,"cooldown":null,"count_all":false,"country":"","forget_numbers":false,'
        '"hours":"","limit":1,"most_calls":null,"most_winners":null,"opens":null,"settle":30.0,"win":[["every",100,50],'
        '["at",9],["first",5],["first-after",20.5],["last"]],"window":null,"winners_of":"","withheld":"count-no-win",'
        '"zone":"Europe/Berlin"}'
    )
    assert digest(rules) == '5e042327bff71e20080365c12d16f0aee8950a18e7d307eec3a4579dd3bc9ada'


def test_whole_seconds_have_one_text() -> None:
    for name in ('opens', 'closes', 'window', 'cooldown', 'settle'):
        assert canonical(Rules(**{name: 60})) == canonical(Rules(**{name: 60.0}))
    assert canonical(Rules((FirstAfter(60),))) == canonical(Rules((FirstAfter(60.0),)))


def test_rules_with_a_number_that_is_not_finite_have_no_text() -> None:
    with pytest.raises(RulesRefused, match='not finite'):
        canonical(Rules(closes=float('inf')))


PLAIN = canonical(Rules((At(9),)))


@pytest.mark.parametrize(
    'text',
    [
        '',
        'null',
        '[]',
        '{}',
        '{"win":[]}',
        '[' * 100_000,
        '1' * 10_000,
        PLAIN + ' ',
        PLAIN[:-1],
        PLAIN.replace('30.0', '30'),
        PLAIN.replace('30.0', 'NaN'),
        PLAIN.replace('30.0', 'true'),
        PLAIN.replace('"limit":null', '"limit":1.0'),
        PLAIN.replace('"limit":null', '"limit":true'),
        PLAIN.replace('"hours":""', '"hours":null'),
        PLAIN.replace('"hours":""', '"hours":[]'),
        PLAIN.replace('"hours":""', '"hours":"","hours":""'),
        PLAIN.replace('"hours":""', '"hours":"\u00e4"'),
        PLAIN.replace('"hours"', '"hour"'),
        PLAIN.replace('"hours":"",', ''),
        PLAIN.replace('["at",9]', '["at",0]'),
        PLAIN.replace('["at",9]', '["at",9.0]'),
        PLAIN.replace('["at",9]', '["at",9,9]'),
        PLAIN.replace('["at",9]', '["at"]'),
        PLAIN.replace('["at",9]', '[]'),
        PLAIN.replace('["at",9]', '"at"'),
        PLAIN.replace('["at",9]', '9'),
        PLAIN.replace('["at",9]', '[["at"],9]'),
        PLAIN.replace('["at",9]', '["until",9]'),
        PLAIN.replace('["at",9]', '["first-after",9]'),
        PLAIN.replace('[["at",9]]', 'null'),
        PLAIN.replace('[["at",9]]', '""'),
    ],
)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(RulesRefused, match='is not the canonical text of rules'):
        from_canonical(text)


@given(st.integers(0, len(PLAIN) - 1), st.characters())
def test_a_changed_text_is_refused_or_is_that_of_other_rules(at: int, character: str) -> None:
    changed = PLAIN[:at] + character + PLAIN[at + 1 :]
    try:
        rules = from_canonical(changed)
    except RulesRefused:
        return
    assert canonical(rules) == changed
    assert (rules == Rules((At(9),))) == (changed == PLAIN)


def test_the_text_has_every_field() -> None:
    assert list(json.loads(PLAIN)) == sorted(field.name for field in fields(Rules))
