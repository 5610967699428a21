"""Real Asterisk, and what the callers of a line hear: its own sounds, before the answer, to a hangup, in a language."""

import re
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hitcounter.agi import Call, ChannelState
from hitcounter.errors import Hangup
from hitcounter.hits import PROMPTS, HitCounter
from hitcounter.lines.announcements import DEFAULTS, Item, Say, items_for
from hitcounter.lines.component import Lines
from hitcounter.lines.outcome import Outcome, Result
from hitcounter.lines.settings import Settings
from hitcounter.lines.sounds import missing_of
from hitcounter.lines.speaking import open_early_media, play, set_language
from hitcounter.state import State, open_database
from tests.support.asterisk.counter import Serve, Server
from tests.support.asterisk.session import Session, TakeCall
from tests.support.asterisk.telephony import LOCAL, SIP, Asterisk
from tests.support.asterisk.telephony import Call as Ended
from tests.support.patience import PATIENCE
from tests.support.places import TREE

COUNTED = Outcome(Result.COUNTED, number=65, to_go=35, caller_calls=2, round=1, opens=1_796_500_800.0, line_number=65)
#: 5 December 2026, 21:00 in Berlin.
OPENS = ('digits/day-6', 'digits/mon-11', 'digits/h-5', 'digits/at', 'digits/9', 'digits/oclock', 'digits/p-m')
#: Every default set; the tests play them all at once.
SETS = {**DEFAULTS, 'counted without a round': items_for('counted', False, {}, PROMPTS)}

CHECKING = """
[checking]
exten => contest,1,AGI(agi://127.0.0.1/sounds/contest)
 same => n,Verbose(1,${CHANNEL} was told ${HITCOUNTER_CHECKED} ${HITCOUNTER_MISSING})
exten => unknown,1,AGI(agi://127.0.0.1/sounds/unknown)
 same => n,Verbose(1,${CHANNEL} unknown ended as ${AGISTATUS})
"""


def say(call: Call, items: tuple[Item, ...]) -> None:
    play(call, items, COUNTED, 'Europe/Berlin')


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
        call.wait_for_hangup(PATIENCE)  # it may come after the end of a short file
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


def sounds(folder: Path) -> str:
    """Sound files in all of these formats, and some that cannot be played; returns their folder as Asterisk sees it."""
    samples = bytes(2 * 8000 * 60)  # a minute
    for name, content in {'raw.sln': samples, 'law.ulaw': samples, 'fr/french.sln': samples}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    with wave.open(str(folder / 'waves.wav'), 'wb') as written:
        written.setparams((1, 2, 8000, 0, 'NONE', ''))
        written.writeframes(samples)
    (folder / 'empty.gsm').write_bytes(b'')
    (folder / 'broken.wav').write_bytes(b'RIFF')
    return f'/mnt{folder}'


@pytest.mark.parametrize('by', [LOCAL, SIP])
def test_which_sound_files_asterisk_has_is_found_without_playing_any(
    take_call: TakeCall, tmp_path: Path, by: str
) -> None:
    own = sounds(tmp_path)
    there = ['hello', f'{own}/raw', f'{own}/law', f'{own}/waves', 'demo-congrats']
    missing = ['nosuch', f'{own}/nosuch', f'{own}/empty', f'{own}/broken', f'{own}/french', f'{own}/raw.sln']
    with take_call(by=by) as session:
        begun = time.monotonic()
        found = list(missing_of(session.call, [*there, *missing], 'en'))
        spent = time.monotonic() - begun

    assert found == missing
    assert spent < 30  # and not the 210 that they last


def test_what_asterisk_has_in_english_only_is_missing_in_another_language(take_call: TakeCall, tmp_path: Path) -> None:
    own = sounds(tmp_path)
    with take_call() as session:
        set_language(session.call, 'fr')
        found = list(missing_of(session.call, ['hello', f'{own}/french', f'{own}/raw', 'digits/1', 'nosuch'], 'fr'))

    assert found == ['fr/hello', 'fr/digits/1', 'nosuch']


def test_the_script_checks_a_line_for_any_caller(asterisk: Asterisk, serve: Serve, tmp_path: Path) -> None:
    settings = Settings(say={'won': ('wxyz/won', 'hello'), 'full': (f'{sounds(tmp_path)}/raw',)})
    server = serve()  # which makes the database
    stop(server)
    with open_database(server.storage) as database, State(database, [HitCounter, Lines]) as state:
        state[Lines].declare('contest', settings)
    server.start()
    with asterisk.with_dialplan(CHECKING) as start:
        asterisk.cli('channel originate Local/contest@checking application Wait 60')
        told = asterisk.log.wait(r'^ (\S+) was told (.*)$', start)
        asterisk.cli('channel originate Local/unknown@checking application Wait 60')
        unknown = asterisk.log.wait(r'^ \S+ unknown ended as (.*)$', start)
    stop(server)

    assert told[2] == '13 wxyz/won'
    assert unknown[1] == 'FAILURE'
    assert asterisk.log.all(rf"<{re.escape(told[1])}> Playing '([^'.]+)")[-1] == 'digits/1'  # one is missing
    assert "line 'contest' needs the sound file 'wxyz/won', which Asterisk does not have" in server.log.text()
    with open_database(server.storage) as database, State(database, [HitCounter, Lines]) as state:
        checked = state[Lines].view('contest').sounds
    assert checked is not None
    assert checked.missing == ('wxyz/won',)


def stop(server: Server) -> None:
    server.send(signal.SIGTERM)
    assert server.end() == 0
