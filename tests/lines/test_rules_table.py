"""The rules of a round as a table: each value that is wrong is one sentence with its place."""

import tomllib
from datetime import datetime
from typing import Any

import pytest

from hitcounter.errors import RulesRefused
from hitcounter.lines.rules import Rules
from hitcounter.lines.rules_table import KEYS, check_values, parse_rules
from hitcounter.lines.settings import DEFAULT, Settings
from hitcounter.lines.terms import At, FirstAfter

NOW = datetime.fromisoformat('2026-12-05T12:00:00+01:00').timestamp()
BERLIN = Settings(zone='Europe/Berlin', country='DE', hours='Mo-Fr 08:00-18:00')


def parse(line: Settings = DEFAULT, **table: object) -> Rules:
    return parse_rules({key.replace('_', '-'): value for key, value in table.items()}, line, NOW)


def test_a_table_of_texts_is_the_same_as_one_of_numbers() -> None:
    assert parse(win='at 3', limit='2', most_calls='9') == parse(win='at 3', limit=2, most_calls=9)


def test_an_empty_table_has_the_defaults_and_what_the_line_says() -> None:
    assert parse() == Rules(withheld='count')
    assert parse(BERLIN) == Rules(withheld='count', zone='Europe/Berlin', country='DE', hours=BERLIN.hours)


def test_a_window_takes_the_place_of_the_hours() -> None:
    rules = parse(BERLIN, until='22:15')
    assert (rules.hours, rules.closes) == ('', NOW + 10.25 * 3600)


@pytest.mark.parametrize('limits', [{'once_per': 'caller'}, {'limit': 2}, {'cooldown': '30d', 'win': 'at 3'}])
def test_withheld_numbers_cannot_win_where_callers_are_told_apart(limits: dict[str, Any]) -> None:
    assert parse(**limits).withheld == 'count-no-win'
    assert parse(**limits, withheld='count').withheld == 'count'


def test_once_per_caller_is_a_limit_of_one_unless_another_is_given() -> None:
    assert parse(once_per='caller').limit == 1
    assert parse(once_per='caller', limit=20).limit == 20


def test_a_window_is_a_time_or_the_round() -> None:
    assert parse(limit=1, window='1d').window == 86400
    assert parse(limit=1, window='round').window is None


def test_times_are_local_on_the_day_of_the_opening() -> None:
    rules = parse(BERLIN, **{'from': '2026-12-06 20:00'}, until='22:15', win='first after 21:00')
    opens = datetime.fromisoformat('2026-12-06T20:00:00+01:00').timestamp()
    assert (rules.opens, rules.closes) == (opens, opens + 2.25 * 3600)
    assert rules.win == (FirstAfter(opens + 3600),)


@pytest.mark.parametrize(
    'written', ['2026-12-05T22:15:00', '2026-12-05 22:15:00', '22:15:00', '2026-12-05T21:15:00Z', '"22:15"']
)
def test_toml_may_have_times_without_quotation_marks(written: str) -> None:
    table = tomllib.loads(f'until = {written}')
    assert parse_rules(table, BERLIN, NOW).closes == NOW + 10.25 * 3600


def test_the_zone_of_the_table_goes_before_that_of_the_line() -> None:
    assert parse(BERLIN, until='22:15', time_zone='UTC').closes == NOW + 11.25 * 3600


WRONG = [
    ('win', '', "'' is empty: write a value, or leave it out"),
    ('win', 3, '3 is not a text: write one, in quotation marks'),
    ('win', 'at 0', "the rule 'at 0' has '0' at character 4: give a number from 1 to 1,000,000,000, as in 1000"),
    ('limit', '0', "'0' is not a count: write a whole number from 1 to 1,000,000,000, as in 100"),
    ('limit', -1, '-1 is not a count: write a whole number from 1 to 1,000,000,000, as in 100'),
    ('limit', 1.5, '1.5 is not a count: write a whole number from 1 to 1,000,000,000, as in 100'),
    ('limit', True, 'True is not a count: write a whole number from 1 to 1,000,000,000, as in 100'),
    ('most-winners', 'x', "'x' is not a count: write a whole number from 1 to 1,000,000,000, as in 100"),
    ('most-calls', 10**9 + 1, '1000000001 is not a count: write a whole number from 1 to 1,000,000,000, as in 100'),
    ('most-calls', [], '[] is not a count: write a whole number from 1 to 1,000,000,000, as in 100'),
    ('close-when-won', 'yes', "'yes' is neither true nor false: write one of them, without quotation marks"),
    ('count-all', 1, '1 is neither true nor false: write one of them, without quotation marks'),
    ('settle', '-1s', "'-1s' is not a duration: write a number and s, m, h, d or w, as in 12h or 90d"),
    ('settle', 30, '30 is not a duration: write it with its unit, in quotation marks, as in "30s"'),
    ('settle', '9999999w', "'9999999w' is too long: write at most 1,000,000,000s"),
    ('window', '0d', "'0d' is nothing: write a longer time, as in 1d, or leave it out"),
    ('cooldown', '0s', "'0s' is nothing: write a longer time, as in 1d, or leave it out"),
    ('once-per', 'number', "'number' is not known: write caller"),
    ('withheld', 'ask', "'ask' is not known: write count-no-win, count or refuse"),
    ('withheld', ['count'], "['count'] is not known: write count-no-win, count or refuse"),
    ('forget', 'all', "'all' is not known: write numbers, so that keyed hashes are stored in their place"),
    ('until', 'soon', "'soon' is not a time: write it as '2026-12-05 20:00' or '2026-12-05T20:00:00+01:00'"),
    ('from', 5, '5 is not a text: write one, in quotation marks'),
    ('time-zone', 'Mars/X', "'Mars/X' is not a time zone: name an area and a city, such as Europe/Berlin"),
    (
        'country',
        'germany',
        "country 'germany' is not the code of a country that has national numbers: write two capital letters, as in DE "
        'or GB',
    ),
]


@pytest.mark.parametrize(('key', 'value', 'said'), WRONG)
def test_a_wrong_value_is_said_with_its_place(key: str, value: object, said: str) -> None:
    for check in (check_values, lambda table, now, *places: parse_rules(table, DEFAULT, now, *places)):
        with pytest.raises(RulesRefused) as raised:
            check({key: value}, NOW)
        assert str(raised.value) == f'{key}: {said}'
        with pytest.raises(RulesRefused) as raised:
            check({key: value}, NOW, {key: f"'r.toml', key {key!r}"})
        assert str(raised.value) == f"'r.toml', key {key!r}: {said}"


@pytest.mark.parametrize(
    ('key', 'meant'),
    [
        ('wins', "did you mean 'win'?"),
        ('time_zone', "did you mean 'time-zone'?"),
        ('x', f'write one of {", ".join(KEYS)}'),
    ],
)
def test_an_unknown_key_is_said_with_the_nearest_known_one(key: str, meant: str) -> None:
    with pytest.raises(RulesRefused) as raised:
        parse_rules({key: 'at 3'}, DEFAULT, NOW)
    assert str(raised.value) == f'{key!r} is not a rule of a round: {meant}'


def test_what_only_the_line_can_make_wrong_is_not_a_wrong_value() -> None:
    table = {'until': '00:30', 'win': 'at 3', 'window': '1d'}  # in UTC, 00:30 of this day is in the past
    check_values(table, NOW)
    with pytest.raises(RulesRefused, match='is in the past'):
        parse_rules(table, DEFAULT, NOW)


def test_rules_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(RulesRefused, match="'at 9' can never be reached with at most 3 calls"):
        parse(win='at 9', most_calls=3)
    assert parse(win='at 3', most_calls=3).win == (At(3),)
