"""Real Asterisk, and what the callers of a line hear: its own sounds, before the answer, to a hangup, in a language."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from hitcounter.agi import Call, ChannelState
from hitcounter.errors import Hangup
from hitcounter.hits import PROMPTS
from hitcounter.lines.announcements import DEFAULTS, Item, Say, items_for
from hitcounter.lines.outcome import Outcome, Result
from hitcounter.lines.speaking import open_early_media, play, set_language
from tests.support.asterisk.session import Session, TakeCall
from tests.support.asterisk.telephony import LOCAL, SIP, Asterisk
from tests.support.asterisk.telephony import Call as Ended
from tests.support.patience import PATIENCE
from tests.support.places import TREE

COUNTED = Outcome(Result.COUNTED, number=65, to_go=35, caller_calls=2, round=1, opens=1_796_500_800.0)
#: 5 December 2026, 21:00 in Berlin.
OPENS = ('digits/day-6', 'digits/mon-11', 'digits/h-5', 'digits/at', 'digits/9', 'digits/oclock', 'digits/p-m')
#: Every default set; the tests play them all at once.
SETS = {**DEFAULTS, 'counted without a round': items_for('counted', False, {}, PROMPTS)}


def say(call: Call, items: tuple[Item, ...]) -> None:
    play(call, items, COUNTED, 'Europe/Berlin', line_number=65)


def files(items: tuple[Item, ...]) -> tuple[str, ...]:
    """The sound files that Asterisk plays for `items`."""
    said = {'number': ('digits/60', 'digits/5'), 'time': OPENS}
    played: list[str] = []
    for item in items:
        played += said[item.way] if isinstance(item, Say) else [str(item)]
    return tuple(played)


def at_once(script: Callable[[Session, tuple[Item, ...]], None], take_call: TakeCall, by: str) -> dict[str, Ended]:
    """Run `script` with each set, all at once, each for a caller of its own; returns what became of the calls."""

    def run(name: str) -> None:
        with sessions[name]:
            script(sessions[name], SETS[name])

    sessions = {name: take_call(by=by) for name in SETS}
    with ThreadPoolExecutor(len(SETS)) as threads:
        for running in [threads.submit(run, name) for name in SETS]:
            running.result(PATIENCE)
    return {name: session.caller.ends() for name, session in sessions.items()}


def test_asterisk_s_core_sounds_have_every_file_of_every_default_set(asterisk: Asterisk, take_call: TakeCall) -> None:
    start = len(asterisk.log)

    ended = at_once(lambda session, items: say(session.call, items), take_call, LOCAL)

    assert {name: call.played for name, call in ended.items()} == {name: files(SETS[name]) for name in SETS}
    assert {call.status for call in ended.values()} == {'SUCCESS'}
    assert 'does not exist' not in asterisk.log.text(start)


@pytest.mark.parametrize('place', [0, -1])
def test_callers_hang_up_at_an_item_of_every_default_set_and_the_calls_end_calmly(
    take_call: TakeCall, place: int
) -> None:
    def hang_up_at_the_item(session: Session, items: tuple[Item, ...]) -> None:
        with ThreadPoolExecutor() as threads:
            playing = threads.submit(say_all, session.call, items)
            session.caller.hears(files(items[place:][:1])[0])
            session.caller.hang_up()
            with pytest.raises(Hangup):
                playing.result(PATIENCE)
        session.call.set_variable('HITCOUNTER_NUMBER', 65)  # the dialplan is told all the same

    def say_all(call: Call, items: tuple[Item, ...]) -> None:
        say(call, items)
        call.channel_status()  # as a script finds out whether its caller heard all of it

    ended = at_once(hang_up_at_the_item, take_call, LOCAL)

    assert {(call.status, call.number, call.went_on) for call in ended.values()} == {('HANGUP', '65', False)}


@pytest.mark.parametrize('by', [LOCAL, SIP])
def test_every_default_set_is_played_before_the_answer(take_call: TakeCall, by: str) -> None:
    def play_early(session: Session, items: tuple[Item, ...]) -> None:
        open_early_media(session.call)
        say(session.call, items)
        states.append(session.call.channel_status())

    states: list[ChannelState | None] = []
    ended = at_once(play_early, take_call, by)

    assert {name: call.played for name, call in ended.items()} == {name: files(SETS[name]) for name in SETS}
    assert set(states) == {ChannelState.RING}  # not UP


@pytest.mark.parametrize(
    ('prepare', 'provisional', 'hears_it'), [(open_early_media, ['100', '183'], True), (Call.noop, ['100'], False)]
)
def test_a_sip_phone_hears_what_is_played_before_the_answer_only_as_early_media(
    asterisk: Asterisk, prepare: Callable[[Call], None], provisional: list[str], hears_it: bool
) -> None:
    command = asterisk.inside(sys.executable, '-m', 'tests.support.asterisk.listen_early', '31422')
    with asterisk.listen(4574) as listener:
        listener.settimeout(PATIENCE)
        phone = subprocess.Popen(command, cwd=TREE, stdout=subprocess.PIPE, text=True)
        with Session(None, listener) as session:
            prepare(session.call)
            say(session.call, DEFAULTS['repeat'])
            session.call.exec('Hangup', 17)
    reported, _ = phone.communicate(timeout=PATIENCE)

    *statuses, packets = reported.split()
    assert statuses == [*provisional, '486']  # busy, and never 200: nobody pays
    assert (int(packets) > 80) == hears_it  # of 20 ms each; the two files last 1.8 s


def test_what_a_value_needs_is_in_english_where_a_language_has_no_sounds(take_call: TakeCall) -> None:
    with take_call() as session:
        set_language(session.call, 'fr')
        say(session.call, ('hello', Say('number', 'round')))

    assert session.caller.ends().played == ('hello', 'digits/60', 'digits/5')


def test_german_without_its_sounds_says_another_number(take_call: TakeCall) -> None:
    with take_call() as session:
        set_language(session.call, 'de')
        say(session.call, (Say('number', 'round'),))  # five and sixty in German, of which English has 60 alone

    assert session.caller.ends().played == ('digits/60',)
