"""The judge, who finds what is wrong."""

from itertools import count

import pytest

from tests.support.cluster.judge import Absence, Heard, judge

_moments = count(1)


def heard(unique_id: str, number: int | None = None, *, waited: float = 0.1, **what: object) -> Heard:
    began = next(_moments)
    return Heard('one', unique_id, began, began + waited, number, **what)  # type: ignore[arg-type]


def problems(*calls: Heard, stored: dict[str, int], unknown: str = '', absences: tuple[Absence, ...] = ()) -> str:
    verdict = judge(calls, [*stored.items()], len(stored), unknown=unknown.split(), bound=5.0, absences=absences)
    return '; '.join(verdict.problems)


def test_nothing_is_wrong_where_each_number_is_stored() -> None:
    assert problems(heard('a', 1), heard('b', 2), heard('c', apology=True), stored={'a': 1, 'b': 2}) == ''


@pytest.mark.parametrize(
    ('stored', 'problem'),
    [
        ({}, 'a heard 1, and is stored as None'),
        ({'a': 2, 'b': 1}, 'a heard 1, and is stored as 2; b is stored, and nobody made that call'),
        ({'a': 1, 'b': 3}, 'the stored numbers are not 1 to 2; b is stored, and nobody made that call'),
    ],
)
def test_an_acknowledged_number_that_is_not_stored_so_is_found(stored: dict[str, int], problem: str) -> None:
    assert problems(heard('a', 1), stored=stored) == problem


def test_a_number_that_was_said_twice_is_found() -> None:
    found = problems(heard('a', 1), heard('b', 1), stored={'a': 1})
    assert found == 'b heard 1, and is stored as None; 1 was said 2 times'


def test_a_call_that_is_stored_twice_is_found() -> None:
    verdict = judge([heard('a', 2)], [('a', 1), ('a', 2)], 2, unknown=(), bound=5.0)
    assert verdict.problems == ['a is stored 2 times']


def test_a_call_that_is_stored_after_an_apology_is_found_unless_it_was_said_to_be_unknown() -> None:
    apology = heard('a', apology=True)
    assert problems(apology, stored={'a': 1}) == 'a heard that he was not counted, and is stored as 1'
    assert problems(apology, stored={'a': 1}, unknown='a') == ''
    assert problems(apology, stored={}, unknown='a') == ''


def test_a_caller_who_heard_nothing_is_found_unless_the_server_was_away() -> None:
    silence = heard('a', lost='refused')
    assert problems(silence, stored={}) == 'a heard nothing from one: refused'
    away = Absence('one', silence.began)
    assert problems(silence, stored={}, absences=(away,)) == ''
    assert problems(silence, stored={'a': 1}, absences=(away,)) == ''
    assert problems(silence, stored={}, absences=(Absence('two', 0.0),)) == 'a heard nothing from one: refused'
    assert problems(silence, stored={}, absences=(Absence('one', 0.0, 0.5),)) == 'a heard nothing from one: refused'


def test_a_caller_who_waited_too_long_is_found() -> None:
    late = heard('a', 1, waited=6.0)
    assert problems(late, stored={'a': 1}) == 'a waited 6.0 s for one, and 5 s is the bound'
    assert problems(late, stored={'a': 1}, absences=(Absence('one', late.began + 5),)) == ''


def test_it_says_how_long_after_a_moment_each_server_said_a_number() -> None:
    calls = [Heard('one', 'a', 0.0, 1.0, 1), Heard('one', 'b', 2.0, 3.5, 2), Heard('two', 'c', 2.0, 3.0, apology=True)]
    verdict = judge(calls, [('a', 1), ('b', 2)], 2, unknown=(), bound=5.0)
    assert verdict.first_numbers(3.0) == {'one': 0.5}


def test_it_says_how_long_nobody_heard_a_number() -> None:
    apology = Heard('one', 'c', 3.0, 4.0, apology=True)
    calls = [Heard('one', 'a', 0.0, 1.0, 1), Heard('two', 'b', 5.0, 6.5, 3), apology, Heard('two', 'd', 1.0, 2.0, 2)]
    assert judge(calls, [('a', 1), ('d', 2), ('b', 3)], 3, unknown=(), bound=5.0).silence == 4.5
