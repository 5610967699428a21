"""What the caller of a line hears, with a simulated call: each item, values that are not known, hangups everywhere."""

from functools import partial

import pytest

from hitcounter.agi import Call
from hitcounter.hits import PROMPTS
from hitcounter.lines.announcements import DEFAULTS, Group, Item, Say, items_for
from hitcounter.lines.outcome import Outcome, Result
from hitcounter.lines.speaking import open_early_media, play, set_language
from hitcounter.testing import (
    CallerHungUp,
    CallEvent,
    Channel,
    HangUp,
    HangUpTiming,
    Missing,
    Played,
    SaidDateTime,
    SaidDigits,
    SaidNumber,
    dial,
)

OPENS, CLOSES = 1_796_500_800.0, 1_796_587_200.0
COUNTED = Outcome(
    Result.COUNTED, number=65, to_go=35, caller_calls=2, round=3, opens=OPENS, closes=CLOSES, line_number=1065
)  # so that everything can be said
SPEAKING_ENGLISH = Channel(variables={'CHANNEL(language)': 'en'})
SETS = [pytest.param(items, id=name) for name, items in DEFAULTS.items()]
SETS += [pytest.param(items_for('counted', False, {}, PROMPTS), id='counted without a round')]


def heard(*items: Item, outcome: Outcome = COUNTED, channel: Channel | None = None, **how) -> list[CallEvent]:
    """What the caller of `outcome` hears of `items`."""
    return dial(channel or Channel(), lambda call: play(call, items, outcome, **how)).events


def play_default(call: Call, items: tuple[Item, ...]) -> None:
    """Everything in a default set is known."""
    play(call, items, COUNTED)


@pytest.mark.parametrize(
    ('item', 'event'),
    [
        ('hello', Played('hello')),
        (Say('number', 'round'), SaidNumber(65)),
        (Say('digits', 'round'), SaidDigits('65')),
        (Say('number', 'line'), SaidNumber(1065)),
        (Say('number', 'to-go'), SaidNumber(35)),
        (Say('digits', 'calls'), SaidDigits('2')),
        (Say('time', 'opens'), SaidDateTime(1_796_500_800, "ABd 'digits/at' IMp", 'Europe/Berlin')),
        (Say('time', 'closes'), SaidDateTime(1_796_587_200, "ABd 'digits/at' IMp", 'Europe/Berlin')),
        (Group((Say('number', 'to-go'),)), SaidNumber(35)),
    ],
)
def test_each_item_is_heard(item: Item, event: CallEvent) -> None:
    assert heard(item, zone='Europe/Berlin') == [event]


def test_items_are_heard_in_order() -> None:
    events = heard('wxyz/thanks', Say('number', 'round'), Group(('wxyz/only', Say('number', 'to-go'), 'wxyz/to-go')))
    assert events == [Played('wxyz/thanks'), SaidNumber(65), Played('wxyz/only'), SaidNumber(35), Played('wxyz/to-go')]


def test_without_a_round_both_numbers_are_that_of_the_line() -> None:
    outcome = Outcome(Result.COUNTED, number=7)
    assert heard(Say('number', 'round'), Say('number', 'line'), outcome=outcome) == [SaidNumber(7), SaidNumber(7)]


@pytest.mark.parametrize('value', ['round', 'line', 'to-go', 'calls'])
def test_a_value_that_is_not_known_is_left_out_and_the_group_that_it_is_in(value: str) -> None:
    say = Say('number', value)
    assert heard('thanks', say, Group(('only', say)), 'goodbye', outcome=Outcome(Result.CLOSED)) == [
        Played('thanks'),
        Played('goodbye'),
    ]


@pytest.mark.parametrize('number', [0, 2**31 - 1])
def test_a_number_is_said_up_to_the_end_of_asterisk_s_integers(number: int) -> None:
    assert heard(Say('number', 'round'), outcome=Outcome(Result.COUNTED, number)) == [SaidNumber(number)]


def test_a_larger_number_is_said_digit_by_digit() -> None:
    assert heard(Say('number', 'round'), outcome=Outcome(Result.COUNTED, 2**31)) == [SaidDigits('2147483648')]


@pytest.mark.parametrize(
    ('language', 'of_channel', 'pattern'),
    [
        ('', 'en', "ABd 'digits/at' IMp"),
        ('', 'en_GB', "ABd 'digits/at' IMp"),
        ('', 'fr', "AdB 'digits/at' HM"),
        ('es_MX', 'en', "AdB 'digits/at' HM"),
        ('en', 'fr', "ABd 'digits/at' IMp"),
    ],
)
def test_a_time_is_said_in_the_manner_of_the_language(language: str, of_channel: str, pattern: str) -> None:
    (event,) = heard(Say('time', 'opens'), language=language, channel=Channel(language=of_channel))
    assert event == SaidDateTime(1_796_500_800, pattern, 'UTC')


def test_a_sound_file_that_asterisk_does_not_have_keeps_nothing_back(caplog: pytest.LogCaptureFixture) -> None:
    events = heard('nosuch', Say('number', 'round'), channel=Channel(missing=frozenset({'nosuch'})))
    assert events == [Missing('nosuch'), SaidNumber(65)]
    assert "Asterisk could not play 'nosuch'" in caplog.text


def test_the_language_of_a_line_is_set_on_the_channel() -> None:
    assert dial(SPEAKING_ENGLISH, lambda call: set_language(call, 'fr')).variables['CHANNEL(language)'] == 'fr'


def test_a_line_without_a_language_leaves_that_of_the_channel() -> None:
    assert dial(Channel(), lambda call: set_language(call, '')).lines == []


def test_early_media_does_not_answer() -> None:
    asterisk = dial(Channel(), open_early_media)
    assert asterisk.events == []
    assert asterisk.lines == [b'EXEC Progress']


@pytest.mark.parametrize('items', SETS)
def test_every_item_of_a_default_set_is_heard(items: tuple[Item, ...]) -> None:
    assert len(dial(Channel(), partial(play_default, items=items)).events) == len(items)


@pytest.mark.parametrize('timing', HangUpTiming)
@pytest.mark.parametrize('items', SETS)
def test_a_caller_may_go_at_every_item_of_a_default_set(items: tuple[Item, ...], timing: HangUpTiming) -> None:
    for place in range(1, len(items) + 1):
        asterisk = dial(Channel(hang_up=HangUp(place, timing)), partial(play_default, items=items))
        assert (CallerHungUp() in asterisk.events) == (timing is not HangUpTiming.VANISHING)
        assert place <= len(asterisk.lines) <= place + (timing is HangUpTiming.AFTER)


def test_no_default_says_a_loss() -> None:
    words = {name for items in DEFAULTS.values() for name in items if isinstance(name, str)}
    assert words == {
        'ascending-2tone',
        'auth-thankyou',
        'im-sorry',
        'please-try-call-later',
        'privacy-unident',
        'queue-thereare',
        'vm-goodbye',
        'vm-nobodyavail',
    }
