import re
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitcounter.errors import RulesRefused
from hitcounter.lines.hours import check_hours, is_open, next_opening
from hitcounter.lines.instants import iso, parse_instant
from tests.support.places import TREE

OFFICE = 'Mo-Fr 08:00-18:00; PH off'
BERLIN = 'Europe/Berlin'


def by_hand() -> list[tuple[str, str, str, str, bool]]:
    """The table of hours.txt: zone, country, hours, instant, whether they are open."""
    rows = []
    for paragraph in Path(__file__).with_name('hours.txt').read_text().split('\n\n')[1:]:
        head, *lines = paragraph.strip().splitlines()
        zone, country, hours = head.split(' ', 2)
        for line in lines:
            found = re.fullmatch(r'(\S+) (open|closed)( +.+)?', line)
            assert found, line
            rows.append((zone, country.strip('-'), hours, found[1], found[2] == 'open'))
    return rows


BY_HAND = by_hand()


@pytest.mark.parametrize(('zone', 'country', 'hours', 'instant', 'expected'), BY_HAND)
def test_hours_are_open_as_the_calendar_says(zone, country, hours, instant, expected):
    check_hours(hours, zone, country)
    assert is_open(hours, zone, country, parse_instant(instant, zone)) is expected


def test_the_table_has_all_zones_and_as_many_instants_as_promised():
    assert len({(zone, hours, parse_instant(instant, zone)) for zone, _, hours, instant, _ in BY_HAND}) >= 200
    for zone in ('Europe/Berlin', 'Europe/London', 'America/New_York', 'Asia/Kolkata'):
        answers = [expected for at, _, _, _, expected in BY_HAND if at == zone]
        assert answers.count(True) >= 15
        assert answers.count(False) >= 15


def refusal(hours: object, country: object = '', zone: str = BERLIN) -> str:
    with pytest.raises(RulesRefused) as raised:
        check_hours(hours, zone, country)
    return str(raised.value)


WRITE = "write them as 'Mo-Fr 08:00-18:00; PH off'"


@pytest.mark.parametrize(
    ('hours', 'why'),
    [
        ('', "are empty: leave them out, or write '24/7', if the line is always open"),
        (' ', "are empty: leave them out, or write '24/7', if the line is always open"),
        ('garbage', f"cannot be read from character 1, 'garbage': {WRITE}"),
        ('25:00', f"cannot be read from character 1, '25:00': {WRITE}"),
        ('Mo-Fr 25:00', f"cannot be read from character 7, '25:00': {WRITE}"),
        ('Mo-Fr 08:00-49:00', f"cannot be read from character 13, '49:00': {WRITE}"),
        ('Mo-Fr 8-18', f"cannot be read from character 7, '8-18': {WRITE}"),
        ('Mo-Fr 8am-6pm', f"cannot be read from character 7, '8am-6pm': {WRITE}"),
        ('Monday 08:00-18:00', f"cannot be read from character 3, 'nday 08:00-18:00': {WRITE}"),
        ('Mo-Fr 08:00\u201318:00', f"cannot be read from character 12, '\u201318:00': {WRITE}"),
        ('24/24', f"cannot be read from character 1, '24/24': {WRITE}"),
        ('Mo-Fr 08:00-18:00;', f'end too early: {WRITE}'),
        ('Mo-Fr 08:00', f'end too early: {WRITE}'),
        ('08:00-18:00\n', f'have characters that cannot be printed: {WRITE}'),
        ('\ud800', f'have characters that cannot be printed: {WRITE}'),
        ('2028-2026 08:00-10:00', "are not accepted: Inverted year ranges are ambiguous, do you mean '2026-2028'?"),
        ('mo-fr 08:00-18:00', "are not accepted: wday literal should be capitalized, got 'mo'"),
        ('dec 08:00-18:00', "are not accepted: month literal should be capitalized, got 'dec'"),
        (
            'Mo-Fr 08:00-18:00 "by appointment"',
            'have a comment, which no caller hears: leave out the quotation marks and what is between them',
        ),
        ('Mo-Fr 08:00-18:00 unknown', "are 'unknown' at times: a line is open or closed"),
        ('sunrise-18:00', 'follow the sun, but the place of the line is not known: write times of day'),
        ('08:00-(sunset+01:00)', 'follow the sun, but the place of the line is not known: write times of day'),
        ('SH 08:00-10:00', 'name school holidays (SH), which are not known: write their dates'),
        ('Mo 08:00+', "have an open end ('+'): write when the line closes"),
        ('Mo 08:00-16:00+', "have an open end ('+'): write when the line closes"),
        ('Mo 08:00-16:00/02:00', "repeat within the day ('/'): write each time at which the line opens and closes"),
        ('Mo 08:00-16:00/30', "repeat within the day ('/'): write each time at which the line opens and closes"),
        ('Feb 30 08:00-10:00', 'have a date that does not exist, Feb 30'),
        ('08:00-10:00; Nov 29-31 off', 'have a date that does not exist, Nov 31'),
        ('off', 'are never open from 1970 to 2100'),
        ('1960 08:00-10:00', 'are never open from 1970 to 2100'),
        ('Mo 08:00-10:00; Mo off', 'are never open from 1970 to 2100'),
        (
            'Dec 24-26 off; 08:00-18:00',
            "begin with a rule that closes, which the others override: write it after ';' at the end",
        ),
        (
            'Mo-Fr 22:00-02:00; Sa 10:00-12:00',
            "go past midnight, and the rule 'Sa 10:00-12:00' would cut a night short: write ',' before it, not ';'",
        ),
        (
            '08:00-18:00; Fr 22:00-26:00',
            "go past midnight, and the rule 'Fr 22:00-26:00' would cut a night short: write ',' before it, not ';'",
        ),
        (
            'Mo-Fr 08:00-12:00; Mo-Fr 13:00-17:00',
            "have two rules for 'Mo-Fr', of which the last counts: write ',' between times",
        ),
        (
            '08:00-12:00; 13:00-17:00',
            "have two rules for 'each day', of which the last counts: write ',' between times",
        ),
    ],
)
def test_hours_that_do_not_mean_one_thing_are_refused(hours, why):
    assert refusal(hours) == f'the hours {hours!r} {why}'


@pytest.mark.parametrize(
    ('hours', 'country', 'why'),
    [
        (OFFICE, '', "name public holidays (PH): name the country, too, such as 'DE'"),
        *(
            (
                OFFICE,
                country,
                f'name public holidays (PH), but no holidays of the country {country!r} are known: '
                "name one such as 'DE', or write the dates",
            )
            for country in ('XX', 'de', 'DEU', 'DE-BY', 'Germany', 'IN', ' ', '\0')
        ),
        ('PH Mo 08:00-10:00', 'DE', "have holidays and weekdays without a comma: write 'PH,Mo' if both are meant"),
        ('Mo-Fr PH 08:00-10:00', 'DE', "have holidays and weekdays without a comma: write 'PH,Mo' if both are meant"),
    ],
)
def test_holidays_need_a_country_whose_holidays_are_known(hours, country, why):
    assert refusal(hours, country) == f'the hours {hours!r} {why}'


@pytest.mark.parametrize(('hours', 'country'), [(None, 'DE'), (8, 'DE'), (OFFICE, None), (b'24/7', '')])
def test_hours_and_country_are_text(hours, country):
    assert refusal(hours, country) == f'the hours {hours!r} and their country {country!r} must be text'


def test_hours_are_of_a_time_zone():
    assert refusal('24/7', zone='Berlin') == "'Berlin' is not a time zone: the nearest name is Europe/Berlin"


def test_long_hours_are_refused_and_shown_in_part():
    assert refusal('08:00-18:00,' * 100_000) == (
        f"the hours '{('08:00-18:00,' * 7)[:81]} have 1,200,000 characters: at most 1,000 are read"
    )


@pytest.mark.parametrize(
    ('hours', 'country'),
    [
        ('24/7', ''),
        ('24/7; Dec 25 off', ''),
        ('Mo-Fr 8:00-18:00', ''),
        ('Mo-Fr 08:00-12:00,13:00-17:00; Sa 08:00-12:00; PH off; Dec 24 08:00-12:00', 'DE'),
        ('Mo-Fr 22:00-02:00, Sa 10:00-12:00; PH off', 'DE'),
        ('Mo-Fr,PH 08:00-18:00', 'DE'),
        ('PH +1 day 08:00-10:00', 'DE'),
        ('Mo-Fr 08:00-18:00 || Sa 10:00-12:00', ''),
        ('Mo 10:00-10:00', ''),
        ('Mar 08:00-10:00', ''),
        ('2026 Dec 24-2027 Jan 06 08:00-10:00', ''),
    ],
)
def test_other_hours_are_accepted(hours, country):
    check_hours(hours, BERLIN, country)


def test_the_hours_in_the_documentation_are_accepted():
    text = (TREE / 'docs' / 'lines.md').read_text('utf-8')
    _, table = text.split('| hours | open |\n|---|---|\n')
    hours = re.findall(r'^\| `([^`]+)` \|', table.partition('\n\n')[0], re.MULTILINE)
    assert len(hours) > 3
    for each in hours:
        check_hours(each, BERLIN, 'DE')


def test_off_with_hours_closes_a_night_and_not_a_day():
    hours = 'Mo-Fr 22:00-02:00; PH 22:00-02:00 off'
    check_hours(hours, BERLIN, 'DE')
    clocks = ('2026-05-01 01:00', '2026-05-01 23:00', '2026-05-02 01:00')  # the first of May is a holiday
    assert [is_open(hours, BERLIN, 'DE', parse_instant(clock, BERLIN)) for clock in clocks] == [True, False, False]


@pytest.mark.parametrize('country', ['IN', 'XX', ''])
def test_without_holidays_the_country_does_not_matter(country):
    check_hours('Mo-Fr 08:00-18:00', 'Asia/Kolkata', country)
    assert is_open('Mo-Fr 08:00-18:00', 'Asia/Kolkata', country, parse_instant('2026-12-04 12:00', 'Asia/Kolkata'))


def test_no_hours_are_always_open():
    assert is_open('', BERLIN, '', 0.0)
    assert next_opening('', BERLIN, '', 12.5) == 12.5


def test_the_hours_open_with_the_minute_however_near_the_instant_before_is():
    opens = parse_instant('2026-12-04 08:00', BERLIN)
    assert is_open(OFFICE, BERLIN, 'DE', opens)
    assert not is_open(OFFICE, BERLIN, 'DE', opens - 2.0**-22)  # the float before it


@pytest.mark.parametrize(
    ('hours', 'instant', 'opens'),
    [
        (OFFICE, '2026-12-04T18:00:00+01:00', '2026-12-07T08:00:00+01:00'),
        (OFFICE, '2026-12-24T18:00:00+01:00', '2026-12-28T08:00:00+01:00'),
        (OFFICE, '2026-12-04T07:59:59.75+01:00', '2026-12-04T08:00:00+01:00'),
        (OFFICE, '2026-12-04T08:00:00+01:00', '2026-12-04T08:00:00+01:00'),
        (OFFICE, '2026-12-04T12:00:00.25+01:00', '2026-12-04T12:00:00.25+01:00'),
        (OFFICE, '2026-03-27T18:00:00+01:00', '2026-03-30T08:00:00+02:00'),
        (OFFICE, '2026-10-23T18:00:00+02:00', '2026-10-26T08:00:00+01:00'),
        ('Su 02:00-03:00', '2026-03-29T00:00:00+01:00', '2026-04-05T02:00:00+02:00'),
        ('Su 02:30-03:30', '2026-03-29T00:00:00+01:00', '2026-03-29T03:00:00+02:00'),
        ('Su 03:00-04:00', '2026-10-25T01:00:00+02:00', '2026-10-25T03:00:00+01:00'),
        ('Su 02:00-02:30', '2026-10-25T02:30:00+02:00', '2026-10-25T02:00:00+01:00'),
        ('Su 02:00-02:30', '2026-10-25T02:30:00+01:00', '2026-11-01T02:00:00+01:00'),
        ('2026 Oct 25 00:00-02:30', '2026-10-25T02:45:00+02:00', '2026-10-25T02:00:00+01:00'),
        ('2026 Oct 25 00:00-02:30', '2026-10-25T02:30:00+01:00', None),
        ('Dec 24 08:00-12:00', '2026-12-10T08:00:00+01:00', '2026-12-24T08:00:00+01:00'),
        ('Dec 24 08:00-12:00', '2026-12-10T07:59:59+01:00', None),
        ('Feb 29 00:00-24:00', '2028-02-20T00:00:00+01:00', '2028-02-29T00:00:00+01:00'),
        ('Jan 01 00:00-01:00', '2026-12-31T12:00:00+01:00', '2027-01-01T00:00:00+01:00'),
    ],
)
def test_callers_are_told_when_the_hours_open_next(hours, instant, opens):
    found = next_opening(hours, BERLIN, 'DE', parse_instant(instant, BERLIN))
    assert found is None if opens is None else found is not None and iso(found, BERLIN) == opens


DAYS = ('Mo', 'Tu', 'We', 'Th', 'Fr', 'Sa', 'Su')
MINUTES = st.integers(0, 23).flatmap(lambda hour: st.sampled_from([0, 1, 15, 30, 59]).map(lambda m: 60 * hour + m))
#: First and last weekday, then beginning and end in minutes; an end that is not later is on the next day.
RULES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), MINUTES, MINUTES), min_size=1, max_size=3)
#: A day off, or none.
OFF = st.none() | st.integers(0, 6)
#: Zones with the days on which their clocks change, in 2026 and 2027, and a plain one each.
NIGHTS = [
    (zone, day)
    for zone, days in {
        'Europe/Berlin': ('2026-03-29', '2026-10-25', '2027-03-28', '2027-10-31', '2026-12-04'),
        'Europe/London': ('2026-03-29', '2026-10-25', '2027-03-28', '2027-10-31', '2026-12-31'),
        'America/New_York': ('2026-03-08', '2026-11-01', '2027-03-14', '2027-11-07', '2028-02-29'),
        'Asia/Kolkata': ('2026-03-29', '2026-10-25', '2028-02-29'),
        'Australia/Lord_Howe': ('2026-04-05', '2026-10-04'),  # by half an hour
        'Africa/Cairo': ('2026-04-24', '2026-10-30'),  # at midnight
    }.items()
    for day in days
]


def written(rules, off) -> str:
    hours = ', '.join(
        f'{DAYS[first]}-{DAYS[last]} {since // 60:02}:{since % 60:02}-{until // 60:02}:{until % 60:02}'
        for first, last, since, until in rules
    )
    return hours if off is None else f'{hours}; {DAYS[off]} off'


def open_minutes(rules, off, first_day: datetime, days: int) -> set[datetime]:
    """Each local minute of those days in which the hours are open, one by one."""
    found = set()
    for number in range(-1, days):
        day = first_day + timedelta(days=number)
        for first, last, since, until in rules:
            if (day.weekday() - first) % 7 <= (last - first) % 7:
                length = (until - since) % 1440 or 1440
                found |= {day + timedelta(minutes=since + passed) for passed in range(length)}
    return {minute for minute in found if minute.weekday() != off}


@settings(max_examples=60, deadline=None)
@given(rules=RULES, off=OFF, night=st.sampled_from(NIGHTS))
def test_hours_are_open_in_the_same_minutes_as_in_a_list_of_all(rules, off, night):
    zone, day = night
    hours = written(rules, off)
    first_day = datetime.fromisoformat(day) - timedelta(days=1)
    expected = open_minutes(rules, off, first_day, 5)
    begin = int(parse_instant(f'{first_day:%Y-%m-%d} 00:00', zone))
    minutes = range(begin, begin + 3 * 86400, 60)
    here = ZoneInfo(zone)
    local = [datetime.fromtimestamp(minute, here).replace(tzinfo=None) for minute in minutes]
    answers = [clock in expected for clock in local]
    assert [is_open(hours, zone, '', minute) for minute in minutes] == answers
    assert [is_open(hours, zone, '', minute + 59.999) for minute in minutes] == answers


@settings(max_examples=60, deadline=None)
@given(rules=RULES, off=OFF, night=st.sampled_from(NIGHTS), offset=st.integers(0, 2 * 86400))
def test_the_next_opening_is_the_first_open_minute_in_a_list_of_all(rules, off, night, offset):
    zone, day = night
    first_day = datetime.fromisoformat(day) - timedelta(days=1)
    expected = open_minutes(rules, off, first_day, 12)
    instant = int(parse_instant(f'{first_day:%Y-%m-%d} 00:00', zone)) + offset
    minutes = (instant, *range(instant - instant % 60 + 60, instant + 9 * 86400, 60))
    here = ZoneInfo(zone)
    local = (datetime.fromtimestamp(minute, here).replace(tzinfo=None, second=0) for minute in minutes)
    first = next((minute for minute, clock in zip(minutes, local, strict=False) if clock in expected), None)
    assert next_opening(written(rules, off), zone, '', float(instant)) == first


@given(
    st.text(max_size=40) | st.text('MoTuFrPSHDec 0123456789:-,;|+/"', max_size=40), st.sampled_from(['', 'DE', 'XX'])
)
def test_any_text_is_read_or_refused_in_one_line(hours, country):
    try:
        check_hours(hours, BERLIN, country)
    except RulesRefused as refused:
        assert str(refused).isprintable()  # noqa: PT017 both ends are right
    else:
        assert is_open(hours, BERLIN, country, 1796497200.0) in (True, False)


def test_threads_ask_the_same_hours_at_once():
    begin = int(parse_instant('2026-12-04 00:00', BERLIN))
    instants = range(begin, begin + 14 * 86400, 300)
    expected = [is_open(OFFICE, BERLIN, 'DE', instant) for instant in instants]
    answers: list[list[bool]] = []
    threads = [
        Thread(target=lambda: answers.append([is_open(OFFICE, BERLIN, 'DE', instant) for instant in instants]))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [expected] * 8


def test_the_library_is_not_loaded_before_hours_are_read():
    code = 'import sys; import hitcounter.lines.hours; assert "opening_hours" not in sys.modules'
    subprocess.run([sys.executable, '-c', code], check=True)
