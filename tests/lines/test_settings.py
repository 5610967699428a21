"""The settings of a line: what a TOML table may have, and the text that is stored."""

import tomllib

import pytest

from hitcounter.errors import RulesRefused
from hitcounter.lines.announcements import Say
from hitcounter.lines.settings import DEFAULT, Settings, canonical, from_canonical, parse_settings

WHERE = "'lines.toml', line.contest"


def parse(text: str) -> Settings:
    return parse_settings(tomllib.loads(text), WHERE)


ALL = """
hours = "Mo-Fr 08:00-18:00; PH off"
time-zone = "Europe/Berlin"
country = "DE"
language = "de"
before-answer = ["closed", "too-late"]
say.counted = ["hello", {number = "round"}]
say.full = []
"""


def test_all_settings_are_read() -> None:
    settings = parse(ALL)
    assert settings == Settings(
        'Mo-Fr 08:00-18:00; PH off',
        'Europe/Berlin',
        'DE',
        'de',
        ('closed', 'too-late'),
        {'counted': ('hello', Say('number', 'round')), 'full': ()},
    )


@pytest.mark.parametrize('text', [ALL, '', 'before-answer = true', 'country = "GB"', 'before-answer = "full"'])
def test_what_is_stored_reads_back_as_the_same_settings(text: str) -> None:
    settings = parse(text)
    assert from_canonical(canonical(settings)) == settings


def test_an_empty_table_is_a_line_as_any_other() -> None:
    assert parse('') == DEFAULT
    assert canonical(DEFAULT) == '{"time-zone": "UTC"}'


def test_before_answer_is_true_for_all_who_are_not_counted() -> None:
    assert set(parse('before-answer = true').before_answer) == {
        'closed',
        'too-late',
        'full',
        'repeat',
        'barred',
        'withheld',
    }
    assert parse('before-answer = false').before_answer == ()


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('hour = "x"', "has 'hour', which is not a setting of a line: did you mean 'hours'?"),
        (
            'x = 1',
            "has 'x', which is not a setting of a line: write one of hours, time-zone, country, language, "
            'before-answer, say',
        ),
        ('hours = 8', 'has hours = 8: write a text, in quotation marks'),
        ('before-answer = 1', 'has before-answer = 1: write true, false or a list of sets'),
        (
            'before-answer = ["close"]',
            ", before-answer: 'close' is not a set of announcements: did you mean 'closed'?",
        ),
        (
            'time-zone = "Europe/Berln"',
            ": 'Europe/Berln' is not a time zone: the nearest names are Europe/Berlin, Europe/Dublin, Europe/Belfast",
        ),
        ('hours = "PH off; Mo-Fr"', ": the hours 'PH off; Mo-Fr' "),
        ('hours = "Mo-Fr 08:00-18:00; PH off"', 'name the country, too'),
        ('country = "de"', ": country 'de' is not the code of a country"),
        ('language = "de/x"', ", language: 'de/x' is not a language of Asterisk"),
        ('say = 1', '.say: 1 is not a table'),
        ('say.count = []', ".say: 'count' is not a set of announcements: did you mean 'counted'?"),
        ('say.counted = "hello"', ".say.counted: 'hello' is not a list of items"),
        ('say.counted = ["hello.wav"]', ".say.counted, item 1: the sound file 'hello.wav' has an extension"),
        ('say.counted = [{number = "rund"}]', ".say.counted, item 1: 'rund' is not a value that is said as a number"),
    ],
)
def test_a_wrong_setting_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(RulesRefused) as raised:
        parse(text)
    assert str(raised.value).startswith(WHERE)
    assert said in str(raised.value)
    assert '\n' not in str(raised.value)
