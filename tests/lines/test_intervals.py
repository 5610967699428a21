"""Intervals: every instant is in the local hour, day and month that it is in by the clock on the wall."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitcounter.errors import RulesRefused
from hitcounter.lines.intervals import begin_of_day, edges, is_whole, parse_bound, spread, spread_minutes, widened

ZONES = ('Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe')
FORMATS = {'hour': '%Y-%m-%d %H %z', 'day': '%Y-%m-%d', 'month': '%Y-%m'}

#: The nights in which the clocks change somewhere in these zones, and one in which they do not.
NIGHTS = [
    int(datetime.fromisoformat(f'2026-{day}T00:00Z').timestamp())
    for day in ('03-08', '03-29', '04-05', '10-04', '10-25', '11-01', '12-05')
]

BERLIN = ZoneInfo('Europe/Berlin')


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def local(instants: list[float], zone: str) -> list[str]:
    return [datetime.fromtimestamp(instant, ZoneInfo(zone)).isoformat() for instant in instants]


@given(
    st.sampled_from(ZONES),
    st.sampled_from(list(FORMATS)),
    st.integers(int(at('2024-01-01T00:00Z')) // 60, int(at('2029-01-01T00:00Z')) // 60),
    st.integers(1, 60 * 24 * 9),
)
def test_two_minutes_are_in_one_interval_if_the_wall_shows_the_same_for_both(
    zone: str, by: str, first: int, minutes: int
) -> None:
    bounds = set(edges(first * 60.0, (first + minutes) * 60.0, by, ZoneInfo(zone)))
    shown = [f'{datetime.fromtimestamp((first + one) * 60, ZoneInfo(zone)):{FORMATS[by]}}' for one in range(minutes)]
    changes = {(first + one) * 60.0 for one in range(1, minutes) if shown[one] != shown[one - 1]}
    assert bounds == changes | {first * 60.0, (first + minutes) * 60.0}


@pytest.mark.parametrize(
    ('zone', 'day', 'shown'),
    [
        ('Europe/Berlin', '2026-03-29', ['01:00:00+01:00', '03:00:00+02:00']),
        ('Europe/Berlin', '2026-10-25', ['01:00:00+02:00', '02:00:00+02:00', '02:00:00+01:00', '03:00:00+01:00']),
        ('America/New_York', '2026-11-01', ['01:00:00-04:00', '01:00:00-05:00', '02:00:00-05:00']),
        ('Australia/Lord_Howe', '2026-04-05', ['01:00:00+11:00', '01:30:00+10:30', '02:00:00+10:30']),
        ('Australia/Lord_Howe', '2026-10-04', ['01:00:00+10:30', '02:30:00+11:00', '03:00:00+11:00']),
        ('Asia/Kolkata', '2026-10-25', ['00:00:00+05:30', '01:00:00+05:30', '02:00:00+05:30']),
    ],
)
def test_the_hours_of_a_night_when_the_clocks_change(zone: str, day: str, shown: list[str]) -> None:
    here = ZoneInfo(zone)
    begin = begin_of_day(date.fromisoformat(day), here)
    hours = local(edges(begin, begin + 5 * 3600, 'hour', here), zone)
    expected = [f'{day}T{time}' for time in shown]
    place = hours.index(expected[0])
    assert hours[place : place + len(expected)] == expected


@pytest.mark.parametrize(('day', 'hours'), [('2026-03-29', 23), ('2026-03-30', 24), ('2026-10-25', 25)])
def test_a_day_has_as_many_hours_as_it_had(day: str, hours: int) -> None:
    start, end = widened(at(f'{day}T12:00Z'), at(f'{day}T12:01Z'), 'day', BERLIN)
    assert (end - start) / 3600 == hours
    assert len(edges(start, end, 'hour', BERLIN)) == hours + 1
    assert is_whole(start, end, 'day', BERLIN)
    assert not is_whole(start, end - 60, 'day', BERLIN)


@pytest.mark.parametrize(
    ('zone', 'day', 'begin'),
    [
        ('America/Santiago', '2026-09-06', '2026-09-06T01:00:00-03:00'),  # its midnight is skipped
        ('America/Havana', '2026-11-01', '2026-11-01T00:00:00-04:00'),  # its midnight is twice
        ('Pacific/Apia', '2011-12-30', '2011-12-31T00:00:00+14:00'),  # all of it is skipped
        ('America/Toronto', '1919-03-31', '1919-03-31T00:30:00-04:00'),  # skipped from 23:30 on
    ],
)
def test_a_day_begins_with_the_first_instant_that_has_its_date(zone: str, day: str, begin: str) -> None:
    assert local([begin_of_day(date.fromisoformat(day), ZoneInfo(zone))], zone) == [begin]


def test_a_day_that_was_skipped_is_not_an_interval() -> None:
    apia = ZoneInfo('Pacific/Apia')
    days = edges(begin_of_day(date(2011, 12, 29), apia), begin_of_day(date(2012, 1, 1), apia), 'day', apia)
    assert [shown[:10] for shown in local(days, 'Pacific/Apia')] == ['2011-12-29', '2011-12-31', '2012-01-01']


@given(
    st.sampled_from(ZONES),
    st.sampled_from(list(FORMATS)),
    st.builds(sum, st.tuples(st.sampled_from(NIGHTS), st.integers(-30 * 3600, 30 * 3600))),
    st.lists(st.integers(0, 6 * 3600), max_size=40),
    st.integers(0, 30),
)
def test_the_counts_are_those_of_a_recount_call_by_call(
    zone: str, by: str, start: int, after: list[int], forgotten: int
) -> None:
    here = ZoneInfo(zone)
    calls = [float(start + one) for one in sorted(after)]
    hours: dict[int, int] = {}
    for call in calls:
        hours[int(call) // 3600 * 3600] = hours.get(int(call) // 3600 * 3600, 0) + 1
    bounds = edges(*widened(start, start + 7 * 3600, by, here), by, here)
    on_record = calls[forgotten:]
    counts, coarse = spread(hours, lambda *_: on_record, bounds)
    cut = {int(bound) // 3600 * 3600 for bound in bounds if bound % 3600}
    began = [float(int(call) // 3600 * 3600) for call in calls]
    is_vague = [place < forgotten and hour in cut for place, hour in enumerate(began)]
    counted_at = [hour if vague else call for call, hour, vague in zip(calls, began, is_vague, strict=True)]
    assert coarse == sum(is_vague)
    assert counts == [sum(low <= call < high for call in counted_at) for low, high in pairwise(bounds)]


def never(first: int, last: int) -> list[float]:
    raise AssertionError('no interval begins within an hour')


def test_times_are_not_read_if_no_interval_begins_within_an_hour() -> None:
    assert spread({0: 3, 3600: 1}, never, [0.0, 3600.0, 7200.0]) == ([3, 1], 0)


def test_only_the_times_of_hours_that_are_cut_are_asked_for() -> None:
    asked = []

    def times(first: int, last: int) -> list[float]:
        asked.append((first, last))
        return [3600.0, 9000.0, 9001.0, 10800.0]

    assert spread({0: 1, 3600: 1, 7200: 2, 10800: 1}, times, [0.0, 9001.0, 14400.0]) == ([3, 2], 0)
    assert asked == [(7200, 10800)]


def test_calls_outside_of_the_period_are_left_out() -> None:
    assert spread({0: 1, 3600: 2, 7200: 4}, never, [3600.0, 7200.0]) == ([2], 0)
    assert spread_minutes({3540: 1, 3600: 2, 7140: 4, 7200: 8}, [3600.0, 7200.0]) == [6]


@pytest.mark.parametrize(
    ('text', 'bound'),
    [
        ('2026-10-25', '2026-10-25T00:00:00+02:00'),
        ('2026-10-25 12:30', '2026-10-25T12:30:00+01:00'),
        ('2026-10-25T02:30:00+01:00', '2026-10-25T02:30:00+01:00'),
    ],
)
def test_a_bound_is_a_date_or_a_minute(text: str, bound: str) -> None:
    assert local([parse_bound(text, BERLIN)], 'Europe/Berlin') == [bound]


@pytest.mark.parametrize(
    ('text', 'sentence'),
    [
        ('2026-02-30', "'2026-02-30' is not a date: day"),
        ('1869-01-01', "'1869-01-01 12:00' is not a time: the year must be 1970 to 2100"),
        (
            '2026-10-25 02:30',
            "the local time '2026-10-25 02:30' is twice in Europe/Berlin: write 2026-10-25T02:30:00+0",
        ),
        ('2026-10-25 02:30:10', "the local time '2026-10-25 02:30:10' is twice"),
        ('2026-10-25 12:30:10', "'2026-10-25 12:30:10' is not a whole minute: a period begins and ends with one"),
        ('yesterday', "'yesterday' is not a time"),
        ('', "'' is not a time"),
    ],
)
def test_what_is_not_a_bound_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(RulesRefused) as caught:
        parse_bound(text, BERLIN)
    assert str(caught.value).startswith(sentence)


def test_a_period_of_too_many_intervals_is_refused() -> None:
    with pytest.raises(RulesRefused, match=r'more than 100,000 hours: choose a shorter period, or longer intervals'):
        edges(0.0, datetime(2100, 1, 1, tzinfo=UTC).timestamp(), 'hour', BERLIN)
    assert len(edges(0.0, timedelta(days=365).total_seconds(), 'month', ZoneInfo('UTC'))) == 13
