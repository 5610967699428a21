"""Announcement sets: their items, to and from TOML, their defaults, and what is refused."""

import json
import re
import tomllib

import pytest

from hitcounter.errors import RulesRefused
from hitcounter.hits import APOLOGY
from hitcounter.lines.announcements import (
    DEFAULTS,
    SETS,
    WAYS,
    Group,
    Say,
    files_of,
    items_for,
    parse_language,
    parse_set_name,
    parse_sets,
    plain,
    set_of,
    ways_of,
)
from hitcounter.lines.outcome import Outcome, Result
from tests.support.places import TREE

CONTEST = """
counted = ["wxyz/thanks", {number = "round"}, ["wxyz/only", {number = "to-go"}, "wxyz/to-go"], {digits = "calls"}]
closed = ["wxyz/opens-again", {time = "opens"}]
full = []
"""


def test_sets_are_read_from_toml() -> None:
    assert parse_sets(tomllib.loads(CONTEST), 'line.contest.say') == {
        'counted': (
            'wxyz/thanks',
            Say('number', 'round'),
            Group(('wxyz/only', Say('number', 'to-go'), 'wxyz/to-go')),
            Say('digits', 'calls'),
        ),
        'closed': ('wxyz/opens-again', Say('time', 'opens')),
        'full': (),
    }


def test_the_sets_that_the_documentation_shows_are_taken() -> None:
    shown = re.findall(r'^```toml\n(.*?)^```', (TREE / 'docs/lines.md').read_text('utf-8'), re.MULTILINE | re.DOTALL)
    lines = [line for text in shown for line in tomllib.loads(text).get('line', {}).values() if 'say' in line]
    assert lines
    assert all(parse_sets(line['say'], 'say') for line in lines)


def test_the_documentation_has_every_set_and_every_item() -> None:
    page = (TREE / 'docs/lines.md').read_text('utf-8')
    text = page.partition('## What each caller hears\n')[2].partition('\n## ')[0]
    assert [name for name in re.findall(r'^\| `([a-z-]+)` \|', text, re.MULTILINE) if name in SETS] == list(SETS)
    for way, values in WAYS.items():
        assert f'{{{way} = "' in text
        assert all(f' = "{value}"}}' in text for value in values)


@pytest.mark.parametrize('sets', [parse_sets(tomllib.loads(CONTEST), 'say'), DEFAULTS])
def test_sets_come_back_from_json_as_they_were(sets) -> None:
    assert parse_sets(json.loads(json.dumps(plain(sets))), 'say') == sets


def test_every_value_can_be_said() -> None:
    items = [{way: value} for way, values in WAYS.items() for value in values]
    assert len(parse_sets({'won': items}, 'say')['won']) == len(items)


@pytest.mark.parametrize(
    ('table', 'sentence'),
    [
        ({'wonn': []}, "say: 'wonn' is not a set of announcements: did you mean 'won'?"),
        ({'too_late': []}, "say: 'too_late' is not a set of announcements: did you mean 'too-late'?"),
        (
            {'xyz': []},
            "say: 'xyz' is not a set of announcements: write one of counted, won, too-late, repeat, closed, full, "
            'barred, withheld, failed',
        ),
        ({'won': 'hello'}, 'say.won: \'hello\' is not a list of items: write it in brackets, as ["hello"]'),
        (
            {'won': ['hello', 5]},
            'say.won, item 2: 5 is not an item of an announcement: write the name of a sound file, or what is said, '
            'as {number = "round"}',
        ),
        ({'won': [{'numbr': 'round'}]}, "say.won, item 1: 'numbr' is not a way to say a value: did you mean 'number'?"),
        (
            {'won': [{'count': 'calls'}]},
            "say.won, item 1: 'count' is not a way to say a value: write one of number, digits, time",
        ),
        (
            {'won': [{'number': 'to_go'}]},
            "say.won, item 1: 'to_go' is not a value that is said as a number: did you mean 'to-go'?",
        ),
        (
            {'won': [{'time': 'round'}]},
            "say.won, item 1: 'round' is not a value that is said as a time: write one of opens, closes",
        ),
        (
            {'won': [{'number': 7}]},
            'say.won, item 1: 7 is not a value that is said as a number: write one of round, line, to-go, calls',
        ),
        (
            {'won': [{'number': 'round', 'digits': 'line'}]},
            "say.won, item 1: {'number': 'round', 'digits': 'line'} has 2 keys: write one, as {number = \"round\"}",
        ),
        ({'won': [{}]}, 'say.won, item 1: {} has 0 keys: write one, as {number = "round"}'),
        (
            {'won': ['a/b.wav']},
            "say.won, item 1: the sound file 'a/b.wav' has an extension, with which Asterisk does not find it: write "
            "'a/b'",
        ),
        (
            {'won': [['hello', 'bye.GSM']]},
            "say.won, item 1.2: the sound file 'bye.GSM' has an extension, with which Asterisk does not find it: write "
            "'bye'",
        ),
        ({'won': ['a&b']}, "say.won, item 1: 'a&b' has an &: write each sound file as an item of its own"),
        (
            {'won': ['']},
            "say.won, item 1: '' is not the name of a sound file: write it without blanks around it",
        ),
        (
            {'won': ['hello ']},
            "say.won, item 1: 'hello ' is not the name of a sound file: write it without blanks around it",
        ),
        (
            {'won': ['a\nb']},
            "say.won, item 1: 'a\\nb' is not the name of a sound file: 'a\\nb' contains a newline, a carriage return "
            'or a NUL: remove it',
        ),
        ({'won': [[]]}, 'say.won, item 1: the group [] is empty: remove it'),
        (
            {'won': [['a', ['b']]]},
            "say.won, item 1.2: ['b'] is a group within a group: write the name of a sound file, or what is said, as "
            '{number = "round"}',
        ),
        ([], 'say: [] is not a table: write counted = ["hello"] and the like below [say]'),
    ],
)
def test_what_cannot_be_played_is_refused_in_one_sentence(table, sentence: str) -> None:
    with pytest.raises(RulesRefused) as refused:
        parse_sets(table, 'say')
    assert str(refused.value) == sentence


@pytest.mark.parametrize('name', ['x' * 9000, '\ud800'])
def test_a_name_that_agi_cannot_send_is_refused(name: str) -> None:
    with pytest.raises(RulesRefused, match=r'^say\.won, item 1: .* is not the name of a sound file: '):
        parse_sets({'won': [name]}, 'say')


@pytest.mark.parametrize(
    'name', ['hello', '/srv/sounds/thanks', 'v1.2/hello', 'say "hi"', 'http://sounds.invalid/a.wav']
)
def test_what_asterisk_may_have_is_taken(name: str) -> None:
    assert parse_sets({'won': [name]}, 'say') == {'won': (name,)}


@pytest.mark.parametrize('name', SETS)
def test_a_set_is_known_by_its_name(name: str) -> None:
    assert parse_set_name(name, 'before-answer') == name


@pytest.mark.parametrize('name', [None, ['won'], 'WON'])
def test_what_is_not_the_name_of_a_set_is_refused(name: object) -> None:
    with pytest.raises(RulesRefused, match=r'^before-answer: .* is not a set of announcements: '):
        parse_set_name(name, 'before-answer')


@pytest.mark.parametrize('language', ['', 'de', 'es_MX', 'en-GB'])
def test_a_language_is_a_folder_of_sounds(language: str) -> None:
    assert parse_language(language, 'language') == language


@pytest.mark.parametrize('language', [None, 'de/at', 'd e', 'd)', 'x' * 40, 'dé'])
def test_what_cannot_be_a_language_is_refused(language: object) -> None:
    with pytest.raises(RulesRefused, match=r'^language: .* is not a language of Asterisk: '):
        parse_language(language, 'language')


@pytest.mark.parametrize('result', Result)
def test_every_result_has_a_set_with_a_default(result: Result) -> None:
    assert items_for(set_of(Outcome(result)), True, {}, ()) == DEFAULTS[set_of(Outcome(result))]


def test_a_call_after_the_close_hears_that_it_is_too_late() -> None:
    assert set_of(Outcome(Result.CLOSED, is_late=True)) == 'too-late'
    assert set_of(Outcome(Result.CLOSED)) == 'closed'


def test_without_a_round_the_prompts_and_the_number_of_the_line_are_heard() -> None:
    assert items_for('counted', False, {}, ['hello', 'number']) == ('hello', 'number', Say('number', 'line'))


def test_a_set_of_the_line_takes_the_place_of_the_default_with_a_round_and_without() -> None:
    assert items_for('counted', False, {'counted': ('thanks',)}, ['hello']) == ('thanks',)
    assert items_for('counted', True, {'counted': ()}, ['hello']) == ()


def test_what_is_heard_when_a_call_could_not_be_counted_is_the_apology_of_the_one_screen_script() -> None:
    assert DEFAULTS['failed'] == APOLOGY


def test_files_and_ways_are_found_in_groups_too() -> None:
    items = parse_sets(tomllib.loads(CONTEST), 'say')['counted']
    assert list(files_of(items)) == ['wxyz/thanks', 'wxyz/only', 'wxyz/to-go']
    assert ways_of(items) == {'number', 'digits'}
