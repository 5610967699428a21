"""Real Asterisk, and the recipes of the documentation: the commands are given, the dialplan is loaded and called."""

import json
import re
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner

from hitcounter.commands.main import main
from tests.support.asterisk.counter import HALF_A_MINUTE, Serve, Server
from tests.support.asterisk.telephony import Asterisk, Call, Caller, spoken
from tests.support.places import TREE

PAGE = (TREE / 'docs' / 'recipes.md').read_text('utf-8')
BLOCK = re.compile(r'^```ini\n(.*?)^```$', re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(PAGE)
CONTEXTS = re.findall(r'^\[([\w-]+)\]$', ''.join(BLOCKS), re.MULTILINE)

#: A recipe is called by its extension, of three characters, and its context: 100choke; 000 is the extension s. The
#: phones that it dials are answered, and hang up.
ENTRY = """
[to-recipe]
exten => _X.,1,Verbose(1,call from ${CALLERID(num)} is ${CHANNEL})
 same => n,Set(CHANNEL(hangup_handler_push)=ended-recipe,s,1)
 same => n,GotoIf($["${EXTEN:0:3}" = "000"]?${EXTEN:3},s,1:${EXTEN:3},${EXTEN:0:3},1)

[ended-recipe]
exten => s,1,Verbose(1,${CHANNEL} had result=${HITCOUNTER_RESULT} line=${HITCOUNTER_LINE} again=${HITCOUNTER_AGAIN})
 same => n,Verbose(1,${CHANNEL} ends: AGISTATUS=${AGISTATUS} HITCOUNTER_NUMBER=${HITCOUNTER_NUMBER})
 same => n,Return()

[phones]
exten => _[a-z][a-z].,1,Verbose(1,${EXTEN} rings: ${CALLERID(all)})
 same => n,Answer()
 same => n,Playback(beep)
 same => n,Hangup()

[ext-group]
exten => 600,1,Verbose(1,ring group 600 has ${CALLERID(num)})
 same => n,Hangup()

[incoming]
exten => 700,1,Goto(to-recipe,201missed-call-vote,1)
exten => 701,1,Goto(to-recipe,100regulars,1)
"""


@dataclass(frozen=True)
class Ended:
    """What became of a call."""

    call: Call
    result: str
    line: str
    again: str


Dial = Callable[..., Caller]


def recipe(title: str) -> str:
    """The text of one recipe."""
    found = re.search(rf'^### {re.escape(title)}\n(.*?)(?=^##)', PAGE, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def command(server: Server, line: str) -> str:
    """What a command line prints that is given beside the server."""
    program, *arguments = shlex.split(line)
    result = CliRunner().invoke(main, arguments, env={'HITCOUNTER_STORAGE': server.storage})
    assert (program, result.exit_code) == ('hitcounter', 0), result.output
    return result.output


def prepare(server: Server, title: str, **in_place: str) -> None:
    """Give the commands of a recipe."""
    lines = re.findall(r'^    (hitcounter .*)$', recipe(title), re.MULTILINE)
    assert lines
    for there, here in in_place.items():
        assert any(there in line for line in lines)
        lines = [line.replace(there, here) for line in lines]
    for line in lines:
        command(server, line)


@contextmanager
def dialplan(asterisk: Asterisk, *places: tuple[str, str]) -> Iterator[int]:
    """Have all recipes in the dialplan, with other `places` where they name some; phones are answered."""
    text = ''.join(BLOCKS)
    for there, here in places:
        assert there in text
        text = text.replace(there, here)
    with asterisk.with_dialplan(f'{text}{ENTRY}') as start:
        yield start


@pytest.fixture
def start(asterisk: Asterisk) -> Iterator[int]:
    """Where Asterisk's log was before it read the recipes. They stay in its dialplan for this test."""
    phones = [(f'PJSIP/{name}', f'Local/{name}@phones') for name in ('studio', 'desk', 'shop', 'reception', 'expert')]
    # One call at once, instead of fifty.
    with dialplan(asterisk, *phones, ('(contest)} > 50', '(contest)} > 1'), ('192.0.2.10', '127.0.0.1')) as start:
        yield start


@pytest.fixture
def dial(asterisk: Asterisk) -> Dial:
    """Calls an extension of a recipe."""
    return lambda dialled, **caller: asterisk.dial(dialled, by='Local/{}@to-recipe/n', **caller)


def ended(asterisk: Asterisk, caller: Caller) -> Ended:
    """Wait until the call is over."""
    call = caller.ends()
    had = re.escape(caller.channel)
    return Ended(call, *asterisk.log.wait(rf'^ {had} had result=(\w*) line=(\S*) again=(\d?)$').groups())


def shown(server: Server, line: str) -> dict[str, Any]:
    """The last round of a line."""
    found: dict[str, Any] = json.loads(command(server, f'hitcounter round show {line} --callers --json'))
    return found


def test_asterisk_takes_every_line_of_the_recipes_without_a_warning(asterisk: Asterisk, start: int) -> None:
    shown = [asterisk.cli(f'dialplan show {context}') for context in CONTEXTS]

    lines = [line for block in BLOCKS for line in block.splitlines() if '=>' in line]
    assert len(lines) > 60
    assert sum(int(said) for text in shown for said in re.findall(r'(\d+) priorit', text)) == len(lines)
    assert not re.search('WARNING|ERROR', asterisk.log.text(start))


def test_every_tenth_caller(asterisk: Asterisk, server: Server, start: int, dial: Dial) -> None:
    prepare(server, 'Every tenth caller')

    callers = [dial('100every-tenth') for _ in range(11)]
    calls = [ended(asterisk, caller) for caller in callers]

    assert sorted(call.result for call in calls) == ['COUNTED'] * 10 + ['WON']
    (won,) = [call.call for call in calls if call.result == 'WON']
    assert won.number == '10'
    assert won.played[-2:] == ('digits/10', 'demo-congrats')
    assert sorted(int(call.call.number) for call in calls) == [*range(1, 12)]
    assert all('demo-congrats' not in call.call.played for call in calls if call.result == 'COUNTED')


def test_the_first_caller_after_the_news(asterisk: Asterisk, server: Server, start: int, dial: Dial) -> None:
    begins = time.time() + 5
    moment = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(begins))
    prepare(server, 'The first caller after the news', **{'20:00': moment})

    results = []
    while 'WON' not in results:
        results.append(ended(asterisk, dial('100after-the-news')).result)

    (win,) = shown(server, 'news')['wins']
    assert results == ['COUNTED'] * (win['number'] - 1) + ['WON']
    assert win['arrived'] >= moment.removesuffix('Z')
    assert ended(asterisk, dial('100after-the-news')).result == 'CLOSED'


def test_a_vote_by_missed_call(asterisk: Asterisk, server: Server, start: int, dial: Dial) -> None:
    prepare(server, 'A vote by missed call')

    votes = [ended(asterisk, dial(f'{extension}missed-call-vote')) for extension in ('201', '202', '202')]
    by_phone = asterisk.dial_as('4989123401', '700')

    assert [(vote.line, vote.result, vote.call.played) for vote in votes] == [
        ('yes', 'COUNTED', ()),
        ('no', 'COUNTED', ()),
        ('no', 'COUNTED', ()),
    ]
    assert by_phone.ends().number == '2'
    assert by_phone.answers()[-1] == '486'  # busy
    assert '200' not in by_phone.answers()
    assert [shown(server, line)['entries'] for line in ('yes', 'no')] == [2, 2]


def test_the_winner_goes_to_the_studio(asterisk: Asterisk, server: Server, start: int, dial: Dial) -> None:
    prepare(server, 'The winner goes to the studio')

    first = ended(asterisk, dial('100radio'))
    winner = dial('100radio')

    assert ended(asterisk, winner).result == 'WON'
    assert first.result == 'COUNTED'
    asterisk.log.wait(rf'^ studio rings: "Winner 2" <{winner.caller_id}>$', start)
    (win,) = shown(server, 'on-air')['wins']
    assert win['caller'] == winner.caller_id


def test_the_winner_is_called_back_if_the_studio_does_not_answer(
    asterisk: Asterisk, server: Server, dial: Dial
) -> None:
    prepare(server, 'The winner goes to the studio')

    with dialplan(asterisk) as start:
        ended(asterisk, dial('100radio'))
        winner = dial('100radio')
        call = ended(asterisk, winner).call

    assert call.played[-1] == 'vm-nobodyavail'
    asterisk.log.wait(rf'^ call back {winner.caller_id}: caller 2 of on-air has won$', start)


def test_a_freepbx_custom_destination(asterisk: Asterisk, server: Server, start: int, dial: Dial) -> None:
    command(server, "hitcounter round open contest --win 'at 2'")

    assert ended(asterisk, dial('000custom-contest')).result == 'COUNTED'
    winner = dial('000custom-contest')

    asterisk.log.wait(rf'^ ring group 600 has {winner.caller_id}$', start)
    assert ended(asterisk, winner).line == 'contest'


def test_what_became_of_the_call_in_h(asterisk: Asterisk, serve: Serve, start: int, dial: Dial) -> None:
    serve('--prompt', HALF_A_MINUTE)

    caller = dial('100logged')
    caller.hears(HALF_A_MINUTE)
    caller.hang_up()

    asterisk.log.wait('^ logged: COUNTED 1, HANGUP$', start)


@pytest.fixture
def two_servers(asterisk: Asterisk) -> Iterator[None]:
    """The recipes, in whose dialplan two servers have the addresses of `servers`."""
    places = [('192.0.2.10', '127.0.0.1'), ('192.0.2.1/', '127.0.0.1/'), ('192.0.2.2/', '127.0.0.1:4576/')]
    with dialplan(asterisk, *places):
        yield


def test_the_second_server_is_asked_where_the_first_one_did_not_decide(
    asterisk: Asterisk, servers: list[Server], two_servers: None, dial: Dial
) -> None:
    servers[0].kill()

    calls = [ended(asterisk, dial('100two-servers')) for _ in range(2)]

    assert [(call.result, call.call.number) for call in calls] == [('COUNTED', '1'), ('COUNTED', '2')]
    assert [call.call.played for call in calls] == [('hello', *spoken(1)), ('hello', *spoken(2))]


def test_the_second_server_is_not_asked_where_the_first_one_has_decided(
    asterisk: Asterisk, servers: list[Server], two_servers: None, dial: Dial
) -> None:
    first = dial('100two-servers')
    first.hears(HALF_A_MINUTE)
    servers[0].kill()

    assert ended(asterisk, first).call.number == '1'
    assert ended(asterisk, dial('100two-servers')).call.number == '2'


def test_the_second_server_is_not_asked_about_a_caller_who_was_turned_away(
    asterisk: Asterisk, servers: list[Server], two_servers: None, dial: Dial
) -> None:
    command(servers[0], 'hitcounter line declare contest')
    command(servers[0], 'hitcounter line close contest')

    call = ended(asterisk, dial('100two-servers'))

    assert (call.result, call.call.number) == ('CLOSED', '')
    assert call.call.played == ('im-sorry', 'please-try-call-later')  # once


def test_one_line_in_several_languages(asterisk: Asterisk, server: Server, start: int, dial: Dial) -> None:
    prepare(server, 'One line in several languages')

    calls = [ended(asterisk, dial(f'{extension}languages')) for extension in ('101', '102', '103')]

    assert [(call.line, call.call.number) for call in calls] == [
        ('contest', '1'),
        ('contest', '2'),
        ('contest-es', '1'),
    ]
    heard = asterisk.log.text(start)
    assert re.findall(r"Playing 'hello\.\w+' .*\(language '(\w+)'\)", heard) == ['fr', 'it', 'es']


def test_take_a_number(asterisk: Asterisk, server: Server, start: int, dial: Dial) -> None:
    prepare(server, 'Take a number')
    calls = [ended(asterisk, dial('300take-a-number')) for _ in range(2)]
    cron = re.search('`(hitcounter round close desk) && (hitcounter round open desk)`', PAGE)
    assert cron
    command(server, cron[1])
    closed = ended(asterisk, dial('300take-a-number'))
    command(server, cron[2])
    tomorrow = dial('300take-a-number')

    assert [call.call.played for call in calls] == [spoken(1), spoken(2)]
    assert (closed.result, closed.call.played) == ('CLOSED', ('vm-nobodyavail',))
    assert ended(asterisk, tomorrow).call.number == '1'
    asterisk.log.wait(rf'^ desk rings: "Number 1" <{tomorrow.caller_id}>$', start)


def test_opening_hours(asterisk: Asterisk, server: Server, start: int, dial: Dial) -> None:
    prepare(server, 'Opening hours, and a message when closed', **{'Mo-Fr 09:00-18:00; PH off': '24/7'})
    switches = re.findall('`(hitcounter line (?:close|open) shop)`', PAGE)
    assert len(switches) == 2

    opened = ended(asterisk, dial('400opening-hours'))
    command(server, switches[0])
    closed = ended(asterisk, dial('400opening-hours'))
    command(server, switches[1])
    again = ended(asterisk, dial('400opening-hours'))

    assert [call.result for call in (opened, closed, again)] == ['COUNTED', 'CLOSED', 'COUNTED']
    assert closed.call.played == ('im-sorry', 'please-try-call-later')
    asterisk.log.wait_for(2, '^ shop rings: ', start)
    assert again.call.number == '2'


@pytest.fixture
def second_asterisk(asterisk: Asterisk) -> Iterator[Asterisk]:
    """One more, with the same recipes; the server that both reach is the same."""
    second = Asterisk(asterisk.folder, 'second', beside=asterisk)
    try:
        second.wait_until_ready()
        with dialplan(second, ('192.0.2.10', '127.0.0.1')):
            yield second
    finally:
        second.stop()


def test_two_asterisks_one_server(
    asterisk: Asterisk, second_asterisk: Asterisk, server: Server, start: int, dial: Dial
) -> None:
    callers = [
        (telephony, telephony.dial('100shared', by='Local/{}@to-recipe/n'))
        for _ in range(5)
        for telephony in (asterisk, second_asterisk)
    ]
    numbers = [int(ended(telephony, caller).call.number) for telephony, caller in callers]

    assert sorted(numbers) == [*range(1, 11)]
    assert command(server, 'hitcounter lines') == 'shared  10\n'


def test_a_choke(asterisk: Asterisk, serve: Serve, start: int, dial: Dial) -> None:
    server = serve('--prompt', HALF_A_MINUTE)
    first = dial('100choke')
    first.hears(HALF_A_MINUTE)

    second = ended(asterisk, dial('100choke'))
    first.hang_up()

    assert (second.result, second.call.played, second.call.number) == ('', (), '')
    assert ended(asterisk, first).call.number == '1'
    assert command(server, 'hitcounter lines') == 'contest  1\n'


def test_the_number_twice_in_a_gosub(asterisk: Asterisk, server: Server, start: int, dial: Dial) -> None:
    call = ended(asterisk, dial('100greeting'))

    assert call.call.played == ('hello', *spoken(1), 'beep', 'hello', *spoken(1))
    assert (call.result, call.again) == ('COUNTED', '1')
    assert command(server, 'hitcounter lines') == 'greeting  1\n'


def test_local_channels(asterisk: Asterisk, server: Server, start: int, dial: Dial) -> None:
    dial('100gate').ends()

    asterisk.log.wait('^ reception rings: ', start)
    asterisk.log.wait('^ caller 1 of gate again: 1$', start)
    assert command(server, 'hitcounter lines') == 'gate  1\n'


def test_a_local_channel_that_is_taken_out_of_the_call_does_not_go_on(
    asterisk: Asterisk, server: Server, dial: Dial
) -> None:
    places = [('PJSIP/reception', 'Local/reception@phones'), ('Local/200@gate/n', 'Local/200@gate')]
    with dialplan(asterisk, *places) as start:
        dial('100gate').ends()

    asterisk.log.wait(r'Spawn extension \(gate, 200, 2\) exited', start)  # in Dial


def test_regular_callers_first(asterisk: Asterisk, server: Server, start: int) -> None:
    prepare(server, 'Regular callers first')

    for user in ('4989123401', '4989123402', '4989123401'):
        asterisk.dial_as(user, '701').ends()

    rung = re.findall(r'^ (reception|expert) rings: .*<(\d+)>', asterisk.log.text(start), re.MULTILINE)
    assert rung == [('reception', '4989123401'), ('reception', '4989123402'), ('expert', '4989123401')]


@pytest.mark.parametrize(
    ('dialled', 'sound'),
    [
        ('100office', 'vm-goodbye'),
        ('300triage', 'vm-goodbye'),
        ('400plan-b', 'im-sorry'),
    ],
)
def test_a_recipe_goes_on_without_a_server_as_it_says(
    asterisk: Asterisk, start: int, dial: Dial, dialled: str, sound: str
) -> None:
    assert sound in ended(asterisk, dial(dialled)).call.played


def test_plan_b_is_not_for_a_caller_who_was_counted(asterisk: Asterisk, server: Server, start: int, dial: Dial) -> None:
    call = ended(asterisk, dial('400plan-b'))

    assert (call.result, call.call.played) == ('COUNTED', ('hello', *spoken(1)))
