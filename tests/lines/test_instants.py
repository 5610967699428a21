import os
import subprocess
import sys
from datetime import UTC, datetime
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitcounter.errors import RulesRefused
from hitcounter.lines.instants import check_zone, iso, parse_instant, show

ZONES = sorted(available_timezones() - {'localtime', 'Factory', 'posixrules'})


def refusal(function, *arguments, **options) -> str:
    with pytest.raises(RulesRefused) as raised:
        function(*arguments, **options)
    return str(raised.value)


def utc(*numbers: int) -> float:
    return datetime(*numbers, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ('text', 'zone', 'instant'),
    [
        ('1970-01-01T00:00:00Z', 'UTC', 0.0),
        ('2026-12-05T20:00:00+01:00', 'UTC', 1796497200.0),
        ('2026-12-05T19:00:00Z', 'America/New_York', 1796497200.0),
        ('2026-12-05T19:00Z', 'Europe/Berlin', 1796497200.0),
        ('2026-12-05 20:00', 'Europe/Berlin', 1796497200.0),
        ('2026-12-05 20:00:00', 'Europe/Berlin', 1796497200.0),
        ('2026-12-05T20:00', 'Europe/Berlin', 1796497200.0),
        ('2026-12-06 00:30', 'Asia/Kolkata', 1796497200.0),
        ('2026-12-05T20:00:30.5', 'Europe/Berlin', 1796497230.5),
        ('2026-12-05T20:00:30.000001', 'Europe/Berlin', 1796497230.000001),
        ('2026-12-05 14:00:00-05:00', 'Europe/Berlin', 1796497200.0),
        ('2026-12-05 24:00', 'Europe/Berlin', utc(2026, 12, 5, 23)),
        ('2026-12-31 24:00', 'Europe/London', utc(2027, 1, 1)),
        ('2026-12-31T24:00:00Z', 'Europe/Berlin', utc(2027, 1, 1)),
        ('2027-01-01 00:00', 'Asia/Kolkata', utc(2026, 12, 31, 18, 30)),
        ('2028-02-29 12:00', 'America/New_York', utc(2028, 2, 29, 17)),
        ('2028-02-28 24:00', 'UTC', utc(2028, 2, 29)),
        ('2028-02-29 24:00', 'UTC', utc(2028, 3, 1)),
        ('2000-02-29 00:00', 'UTC', utc(2000, 2, 29)),
        ('2100-12-31T23:59:59.999999Z', 'UTC', 4133980799.999999),
        ('2026-12-05T20:00:00-00:00', 'UTC', utc(2026, 12, 5, 20)),
        ('2026-12-05T20:00:00+14:00', 'UTC', utc(2026, 12, 5, 6)),
        ('2026-12-05T20:00:00-12:00', 'UTC', utc(2026, 12, 6, 8)),
        # The last before, and the first after, a change of the clocks.
        ('2026-03-29 01:59:59', 'Europe/Berlin', utc(2026, 3, 29, 0, 59, 59)),
        ('2026-03-29 03:00', 'Europe/Berlin', utc(2026, 3, 29, 1)),
        ('2026-10-25 01:59:59', 'Europe/Berlin', utc(2026, 10, 24, 23, 59, 59)),
        ('2026-10-25 03:00', 'Europe/Berlin', utc(2026, 10, 25, 2)),
        ('2026-03-08 01:59:59', 'America/New_York', utc(2026, 3, 8, 6, 59, 59)),
        ('2026-03-08 03:00', 'America/New_York', utc(2026, 3, 8, 7)),
        ('2026-11-01 00:59:59', 'America/New_York', utc(2026, 11, 1, 4, 59, 59)),
        ('2026-11-01 02:00', 'America/New_York', utc(2026, 11, 1, 7)),
        # With its offset, a time that is twice is one instant.
        ('2026-10-25T02:30:00+02:00', 'Europe/Berlin', utc(2026, 10, 25, 0, 30)),
        ('2026-10-25T02:30:00+01:00', 'Europe/Berlin', utc(2026, 10, 25, 1, 30)),
        # With an offset, a time that the clocks skip is an instant as well.
        ('2026-03-29T02:30:00+01:00', 'Europe/Berlin', utc(2026, 3, 29, 1, 30)),
    ],
)
def test_a_date_and_a_time_are_an_instant(text, zone, instant):
    assert parse_instant(text, zone) == instant


@pytest.mark.parametrize(
    ('text', 'day', 'instant'),
    [
        ('22:15', '2026-12-05 00:00', '2026-12-05T22:15:00+01:00'),
        ('22:15', '2026-12-05 23:59:59', '2026-12-05T22:15:00+01:00'),
        ('22:15:00', '2026-12-05T22:59:59Z', '2026-12-05T22:15:00+01:00'),
        ('22:15', '2026-12-05T23:00:00Z', '2026-12-06T22:15:00+01:00'),
        ('22:15:30.25', '2026-12-05 12:00', '2026-12-05T22:15:30.25+01:00'),
        ('00:00', '2026-12-05 12:00', '2026-12-05T00:00:00+01:00'),
        ('24:00', '2026-12-05 12:00', '2026-12-06T00:00:00+01:00'),
        ('24:00:00', '2026-12-31 12:00', '2027-01-01T00:00:00+01:00'),
        ('24:00', '2028-02-29 12:00', '2028-03-01T00:00:00+01:00'),
        ('03:00', '2026-03-29 00:00', '2026-03-29T03:00:00+02:00'),
        ('24:00', '2026-10-25 00:00', '2026-10-26T00:00:00+01:00'),
    ],
)
def test_a_time_alone_is_on_the_local_day_of_another_instant(text, day, instant):
    berlin = 'Europe/Berlin'
    assert parse_instant(text, berlin, day=parse_instant(day, berlin)) == parse_instant(instant, berlin)


BERLIN, NEW_YORK = 'Europe/Berlin', 'America/New_York'
TWICE_OR_NEVER = [
    ('2026-03-29 02:00', BERLIN, 'does not exist', '2026-03-29T01:00:00+01:00', '2026-03-29T03:00:00+02:00'),
    ('2026-03-29T02:59:59.5', BERLIN, 'does not exist', '2026-03-29T01:59:59.5+01:00', '2026-03-29T03:59:59.5+02:00'),
    ('2027-03-28 02:30', BERLIN, 'does not exist', '2027-03-28T01:30:00+01:00', '2027-03-28T03:30:00+02:00'),
    ('2026-10-25 02:00', BERLIN, 'is twice', '2026-10-25T02:00:00+02:00', '2026-10-25T02:00:00+01:00'),
    ('2026-10-25 02:59:59', BERLIN, 'is twice', '2026-10-25T02:59:59+02:00', '2026-10-25T02:59:59+01:00'),
    ('2027-10-31 02:30', BERLIN, 'is twice', '2027-10-31T02:30:00+02:00', '2027-10-31T02:30:00+01:00'),
    ('2026-03-29 01:30', 'Europe/London', 'does not exist', '2026-03-29T00:30:00+00:00', '2026-03-29T02:30:00+01:00'),
    ('2026-10-25 01:30', 'Europe/London', 'is twice', '2026-10-25T01:30:00+01:00', '2026-10-25T01:30:00+00:00'),
    ('2026-03-08 02:30', NEW_YORK, 'does not exist', '2026-03-08T01:30:00-05:00', '2026-03-08T03:30:00-04:00'),
    ('2027-11-07 01:30', NEW_YORK, 'is twice', '2027-11-07T01:30:00-04:00', '2027-11-07T01:30:00-05:00'),
    # The day begins at one o'clock; and the day that Samoa skipped when it crossed the date line.
    ('2026-04-23 24:00', 'Africa/Cairo', 'does not exist', '2026-04-23T23:00:00+02:00', '2026-04-24T01:00:00+03:00'),
    ('2011-12-30 12:00', 'Pacific/Apia', 'does not exist', '2011-12-29T12:00:00-10:00', '2011-12-31T12:00:00+14:00'),
]


@pytest.mark.parametrize(('text', 'zone', 'what', 'earlier', 'later'), TWICE_OR_NEVER)
def test_a_local_time_that_is_twice_or_never_is_refused_with_two_to_choose_from(text, zone, what, earlier, later):
    assert refusal(parse_instant, text, zone) == (
        f'the local time {text!r} {what} in {zone}: write {earlier} or {later}'
    )
    assert parse_instant(earlier, zone) < parse_instant(later, zone)


def test_a_time_alone_that_is_twice_or_never_is_refused_too():
    assert refusal(parse_instant, '02:30', BERLIN, day=utc(2026, 3, 29)) == (
        "the local time '02:30' does not exist in Europe/Berlin: "
        'write 2026-03-29T01:30:00+01:00 or 2026-03-29T03:30:00+02:00'
    )
    assert refusal(parse_instant, '02:30', BERLIN, day=utc(2026, 10, 25)) == (
        "the local time '02:30' is twice in Europe/Berlin: write 2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00"
    )


FORM = "write it as '2026-12-05 20:00' or '2026-12-05T20:00:00+01:00'"


@pytest.mark.parametrize(
    ('text', 'why'),
    [
        ('', FORM),
        (None, FORM),
        (20, FORM),
        ('soon', FORM),
        ('2026-12-05', FORM),
        ('2026-12-05 20', FORM),
        ('2026-12-05 8:00', FORM),
        ('2026-12-5 20:00', FORM),
        ('26-12-05 20:00', FORM),
        ('05.12.2026 20:00', FORM),
        (' 2026-12-05 20:00', FORM),
        ('2026-12-05 20:00\n', FORM),
        ('2026-12-05  20:00', FORM),
        ('2026-12-05t20:00', FORM),
        ('2026-12-05 20:00z', FORM),
        ('2026-12-05 20:00 +01:00', FORM),
        ('2026-12-05 20:00+0100', FORM),
        ('2026-12-05 20:00+1', FORM),
        ('2026-12-05 20:00 Europe/Berlin', FORM),
        ('2026-12-05 20:00:00,5', FORM),
        ('2026-12-05 20:00:00.', FORM),
        ('2026-12-05 20:00:00.1234567', FORM),
        ('2026-12-05 20:00.5', FORM),
        ('2026-12-05 8:00 pm', FORM),
        ('\u0662\u0660\u0662\u0666-12-05 20:00', FORM),  # digits, but not those of ASCII
        ('-2026-12-05 20:00', FORM),
        ('20:00Z', FORM),
        ('20:00+01:00', FORM),
        ('20', FORM),
        ('20:00', f'it lacks the date, and nothing says which is meant: {FORM}'),
        ('0000-01-01 00:00', 'the year must be 1970 to 2100'),
        ('1969-12-31 23:59:59', 'the year must be 1970 to 2100'),
        ('2101-01-01 00:00', 'the year must be 1970 to 2100'),
        ('9999-12-31 24:00', 'the year must be 1970 to 2100'),
        ('1970-01-01 00:59', 'the year must be 1970 to 2100 in UTC as well'),
        ('2100-12-31T24:00:00Z', 'the year must be 1970 to 2100 in UTC as well'),
        ('2026-00-05 20:00', 'the month must be 01 to 12'),
        ('2026-13-05 20:00', 'the month must be 01 to 12'),
        ('2026-12-00 20:00', 'the day must be 01 to 31 in 2026-12'),
        ('2026-12-32 20:00', 'the day must be 01 to 31 in 2026-12'),
        ('2026-11-31 20:00', 'the day must be 01 to 30 in 2026-11'),
        ('2027-02-29 20:00', 'the day must be 01 to 28 in 2027-02'),
        ('2028-02-30 20:00', 'the day must be 01 to 29 in 2028-02'),
        ('2100-02-29 20:00', 'the day must be 01 to 28 in 2100-02'),
        ('2026-12-05 25:00', 'a day ends at 24:00'),
        ('2026-12-05 24:01', 'a day ends at 24:00'),
        ('2026-12-05 24:00:01', 'a day ends at 24:00'),
        ('2026-12-05 24:00:00.000001', 'a day ends at 24:00'),
        ('2026-12-05 20:60', 'the minute must be 00 to 59'),
        ('2026-12-31 23:59:60', 'the second must be 00 to 59'),
        ('2026-12-05T20:00:00+14:01', 'the offset +14:01 must be -14:00 to +14:00'),
        ('2026-12-05T20:00:00-15:00', 'the offset -15:00 must be -14:00 to +14:00'),
        ('2026-12-05T20:00:00+01:60', 'the offset +01:60 must be -14:00 to +14:00'),
    ],
)
def test_other_texts_are_refused(text, why):
    assert refusal(parse_instant, text, 'Europe/Berlin') == f'{text!r} is not a time: {why}'


def test_a_long_text_is_shown_in_part():
    assert refusal(parse_instant, 'x' * 10**6, 'UTC') == f"'{'x' * 81} is not a time: {FORM}"


@pytest.mark.parametrize(
    ('name', 'nearest'),
    [
        ('Berlin', 'Europe/Berlin'),
        ('europe/berlin', 'Europe/Berlin'),
        ('Europe/Berln', 'Europe/Berlin'),
        ('New York', 'America/New_York'),
        ('America/NewYork', 'America/New_York'),
        ('utc', 'UTC'),
        ('Europe/Berlin\0', 'Europe/Berlin'),
        ('Europe/Berlin\n', 'Europe/Berlin'),
        ('Europe//Berlin', 'Europe/Berlin'),
        ('Europe/../Europe/Berlin', 'Europe/Berlin'),
        ('right/Europe/Berlin', 'Europe/Berlin'),
        ('posix/Europe/Berlin', 'Europe/Berlin'),
    ],
)
def test_what_is_almost_a_time_zone_is_refused_with_the_nearest_names(name, nearest):
    refused, _, advice = refusal(check_zone, name).partition(' is not a time zone: the nearest name')
    assert refused == repr(name)
    verb, _, names = advice.partition(' ' + nearest)
    others = names.split(', ')[1:]
    assert verb == ('s are' if others else ' is')
    assert len(others) <= 2


@pytest.mark.parametrize(
    'name',
    [
        '', ' ', '+01:00', 'EDT', '../x', '../../etc/passwd', '/etc/localtime', '/', '.', 'localtime', 'posixrules',
        'Factory', 'zone.tab', 'leapseconds', 'é', '\ud800',
    ],
)  # fmt: skip
def test_what_is_nothing_like_a_time_zone_is_refused_with_an_example(name):
    assert refusal(check_zone, name) == (f'{name!r} is not a time zone: name an area and a city, such as Europe/Berlin')


@pytest.mark.parametrize('name', [None, 1, b'UTC', ['UTC']])
def test_a_time_zone_is_named_by_text(name):
    assert refusal(check_zone, name) == f"{name!r} is not a time zone: name one as text, such as 'Europe/Berlin'"


def test_a_folder_of_time_zones_is_not_one():
    assert refusal(check_zone, 'Europe').startswith("'Europe' is not a time zone: the nearest names are Europe/")


def test_a_long_name_is_shown_in_part():
    assert refusal(check_zone, 'x' * 10**6) == (
        f"'{'x' * 81} is not a time zone: name an area and a city, such as Europe/Berlin"
    )


def test_a_wrong_time_zone_is_refused_before_the_time_is_read():
    assert refusal(parse_instant, 'soon', 'Berlin') == (
        "'Berlin' is not a time zone: the nearest name is Europe/Berlin"
    )


# ZoneInfo reads this variable as it is imported.
_WITHOUT_ZONES = """
from hitcounter.errors import RulesRefused
from hitcounter.lines.instants import check_zone
try:
    check_zone('Europe/Berlin')
except RulesRefused as refused:
    print(refused)
"""


def test_a_machine_without_time_zones_is_told_what_to_install():
    environment = {**os.environ, 'PYTHONTZPATH': ''}
    printed = subprocess.run(
        [sys.executable, '-c', _WITHOUT_ZONES], env=environment, stdout=subprocess.PIPE, check=True, text=True
    ).stdout
    assert printed == ("the time zone 'Europe/Berlin' is not found: this machine has no time zones; install tzdata\n")


def test_every_time_zone_is_known():
    assert [check_zone(name).key for name in ZONES] == ZONES
    assert len(ZONES) > 400


@pytest.mark.parametrize(
    ('instant', 'zone', 'shown', 'written'),
    [
        (
            '2026-12-05T21:15:00Z',
            'Europe/Berlin',
            '2026-12-05 22:15:00 Europe/Berlin (2026-12-05T21:15:00Z)',
            '2026-12-05T22:15:00+01:00',
        ),
        (
            '2026-12-05T21:15:00.25Z',
            'Asia/Kolkata',
            '2026-12-06 02:45:00.25 Asia/Kolkata (2026-12-05T21:15:00.25Z)',
            '2026-12-06T02:45:00.25+05:30',
        ),
        (
            '2026-10-25T00:30:00Z',
            'Europe/Berlin',
            '2026-10-25 02:30:00 Europe/Berlin (2026-10-25T00:30:00Z)',
            '2026-10-25T02:30:00+02:00',
        ),
        (
            '2026-10-25T01:30:00Z',
            'Europe/Berlin',
            '2026-10-25 02:30:00 Europe/Berlin (2026-10-25T01:30:00Z)',
            '2026-10-25T02:30:00+01:00',
        ),
        ('1970-01-01T00:00:00Z', 'UTC', '1970-01-01 00:00:00 UTC (1970-01-01T00:00:00Z)', '1970-01-01T00:00:00+00:00'),
    ],
)
def test_an_instant_is_shown_in_local_time_and_in_utc(instant, zone, shown, written):
    seconds = parse_instant(instant, 'UTC')
    assert show(seconds, zone) == shown
    assert iso(seconds, zone) == written


@given(st.floats(86400, 4102444800), st.sampled_from(ZONES))
def test_what_is_written_with_the_offset_reads_back_to_the_microsecond(instant, zone):
    assert abs(parse_instant(iso(instant, zone), 'UTC') - instant) <= 1e-6


TEXT = st.text(max_size=40) | st.text('0123456789-:TZ+. ', max_size=40) | st.datetimes().map(str)


@given(TEXT, st.sampled_from(ZONES))
def test_any_text_is_read_or_refused_in_one_line(text, zone):
    try:
        instant = parse_instant(text, zone, day=1796497200.0)
    except RulesRefused as refused:
        assert str(refused).isprintable()  # noqa: PT017 both ends are right
    else:
        assert text.count(':') == 1 or parse_instant(iso(instant, zone), 'UTC') == instant
