"""The script that checks a line's sound files, with a simulated call and a real database."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hitcounter.errors import RoundRefused
from hitcounter.hits import PROMPTS, HitCounter
from hitcounter.lines.announcements import DEFAULTS, Say, parse_sets
from hitcounter.lines.component import Lines
from hitcounter.lines.settings import Settings
from hitcounter.lines.sounds import check_sounds, missing_of, sounds_of
from hitcounter.state import State, open_database
from hitcounter.testing import (
    Answered,
    CallerHungUp,
    Channel,
    HangUp,
    HangUpTiming,
    SaidNumber,
    SimulatedCall,
    connect,
    dial,
)

URL = 'agi://127.0.0.1/sounds/contest'
OWN = Settings(say=parse_sets({'won': ['wxyz/won', 'wxyz/hold-on'], 'full': ['wxyz/won']}, 'say'))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with (
        open_database(f'file://{tmp_path}/hits.fs', share=True) as database,
        State(database, [HitCounter, Lines]) as state,
    ):
        yield state


def check(state: State, settings: Settings, **channel) -> SimulatedCall:
    """A call of the script for a line that is declared with `settings`."""
    state[Lines].declare('contest', settings)
    return dial(Channel(url=URL, **channel), check_sounds.bind(state=state))


def test_the_files_of_all_sets_are_checked_each_once_and_what_saying_needs() -> None:
    assert sounds_of(Settings(), PROMPTS) == [
        'hello',
        'number',
        'auth-thankyou',
        'queue-thereare',
        'ascending-2tone',
        'vm-nobodyavail',
        'vm-goodbye',
        'im-sorry',
        'please-try-call-later',
        'privacy-unident',
        'digits/1',
        'digits/day-0',
    ]


def test_files_of_the_line_are_checked_in_place_of_the_defaults() -> None:
    sounds = sounds_of(OWN, [])
    assert sounds.count('wxyz/won') == 1
    assert 'ascending-2tone' not in sounds  # of "won" alone


def test_a_line_that_says_nothing_needs_no_digits() -> None:
    say = dict.fromkeys(DEFAULTS, ())
    assert sounds_of(Settings(say=say), []) == []
    assert sounds_of(Settings(say={**say, 'won': (Say('time', 'closes'),)}), []) == ['digits/day-0']


def test_the_dialplan_the_caller_and_the_database_are_told_what_is_missing(
    state: State, caplog: pytest.LogCaptureFixture
) -> None:
    before = time.time()
    asterisk = check(state, OWN, missing=frozenset({'wxyz/hold-on', 'hello'}), unique_id='17.1')
    assert asterisk.variables['HITCOUNTER_MISSING'] == 'hello&wxyz/hold-on'
    assert asterisk.variables['HITCOUNTER_CHECKED'] == '13'
    assert asterisk.events[0] == Answered()
    assert asterisk.events[-1] == SaidNumber(2)
    sounds = state[Lines].view('contest').sounds
    assert sounds is not None
    assert sounds.missing == ('hello', 'wxyz/hold-on')
    assert before <= sounds.time <= time.time()
    assert [record.getMessage() for record in caplog.records] == [
        f"17.1: line 'contest' needs the sound file '{name}', which Asterisk does not have"
        for name in ('hello', 'wxyz/hold-on')
    ]


def test_when_nothing_is_missing_the_variable_is_empty(state: State) -> None:
    asterisk = check(state, Settings())
    assert asterisk.variables['HITCOUNTER_MISSING'] == ''
    assert asterisk.variables['HITCOUNTER_CHECKED'] == '12'
    assert asterisk.events[-1] == SaidNumber(0)
    sounds = state[Lines].view('contest').sounds
    assert sounds is not None
    assert sounds.missing == ()


def test_no_file_is_played(state: State) -> None:
    assert check(state, Settings()).events == [Answered(), SaidNumber(0)]


def test_a_line_that_is_not_known_is_refused_in_one_sentence_and_not_answered(state: State) -> None:
    call, asterisk = connect(Channel(url=URL), parameters={'line': 'contest'})
    with pytest.raises(RoundRefused) as refused:
        check_sounds(call, state)
    assert str(refused.value) == 'line \'contest\' is not declared and has had no round: see "hitcounter lines"'
    assert asterisk.events == []


def test_a_file_that_is_in_english_only_is_missing_in_the_language_of_the_line(state: State) -> None:
    asterisk = check(state, Settings(language='fr'), missing=frozenset({'fr/number', 'fr/digits/1'}))
    assert asterisk.variables['HITCOUNTER_MISSING'] == 'fr/number&fr/digits/1'


@pytest.mark.parametrize(
    ('language', 'missing'),
    [
        ('fr', {'fr/hello', 'en/hello'}),  # it is where files of no language are
        ('fr_CA', {'fr_CA/hello'}),  # it is in fr
        ('en', {'en/hello'}),
        ('en_GB', {'en_GB/hello'}),
    ],
)
def test_a_file_that_is_heard_in_the_language_or_has_none_is_not_missing(language: str, missing: set[str]) -> None:
    found: list[str] = []
    dial(Channel(missing=missing), lambda call: found.extend(missing_of(call, ['hello'], language)))
    assert found == []


@pytest.mark.parametrize(
    ('missing', 'found'),
    [
        ({'fr_CA/hello', 'fr/hello'}, ['fr_CA/hello']),
        ({'hello'}, ['hello']),
    ],
)
def test_a_file_that_is_missing_is_named_as_it_would_be_found(missing: set[str], found: list[str]) -> None:
    names: list[str] = []
    dial(Channel(missing=missing), lambda call: names.extend(missing_of(call, ['hello'], 'fr_CA')))
    assert names == found


def test_a_file_with_a_whole_path_has_the_language_in_its_last_folder() -> None:
    names: list[str] = []
    missing = frozenset({'/srv/wxyz/fr/won'})
    dial(Channel(missing=missing), lambda call: names.extend(missing_of(call, ['/srv/wxyz/won'], 'fr')))
    assert names == ['/srv/wxyz/fr/won']


def test_the_variable_holds_as_many_names_as_pass_everywhere_and_the_database_all(state: State) -> None:
    names = [f'wxyz/{number:0100d}' for number in range(20)]
    asterisk = check(state, Settings(say={'won': tuple(names)}), missing=frozenset(names))
    assert asterisk.variables['HITCOUNTER_MISSING'] == '&'.join(names[:8])
    sounds = state[Lines].view('contest').sounds
    assert sounds is not None
    assert sounds.missing == tuple(names)


@pytest.mark.parametrize('timing', [HangUpTiming.DURING, HangUpTiming.CROSSING])
@pytest.mark.parametrize('place', range(1, 15))
def test_a_check_that_a_hangup_ends_stores_nothing(state: State, place: int, timing: HangUpTiming) -> None:
    asterisk = check(state, Settings(), hang_up=HangUp(place, timing))
    assert CallerHungUp() in asterisk.events
    sounds = state[Lines].view('contest').sounds
    assert (sounds is None) == (place <= 13)  # ANSWER, and 12 files
