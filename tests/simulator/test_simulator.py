"""The pretend Asterisk, held against recordings of a real one and against a server on a real connection.

The form of a recording is told in `tests/recordings.py`.
"""

import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitcounter.agi import ChannelState
from hitcounter.simulator import (
    Answered,
    Application,
    CallerHungUp,
    Channel,
    HangUp,
    HangUpTiming,
    HungUp,
    LineFromServer,
    LineToServer,
    Missing,
    OtherChannel,
    Played,
    Pressed,
    Ran,
    Recorded,
    SaidDate,
    SaidDateTime,
    SaidDigits,
    SaidLetters,
    SaidNumber,
    SaidPhonetically,
    SaidTime,
    SimulatedCall,
    Waited,
    converse,
    place_call,
)
from hitcounter.simulator.channel import parse_caller_id
from hitcounter.simulator.commands import COMMANDS
from hitcounter.simulator.leg import KEYPAD
from hitcounter.simulator.lines import MAX_LINE, MAX_WORDS, LineReader, parse_args
from tests.support.patience import PATIENCE
from tests.support.places import TRANSCRIPTS
from tests.support.recordings import NULS

# Recordings that cannot be played, and why.
BEYOND = {
    'conn-refused': 'no server was reached',
    'conn-uri-no-path': 'no server was reached',
    'err-many-quoted': 'a table was overrun at 128 words, and Asterisk lived on until 200: the pretence ends at once',
}
FILES = [path for path in sorted(TRANSCRIPTS.rglob('*.txt')) if path.stem not in BEYOND]
STATUS = re.compile(r'AGISTATUS=(\w+)')
RETURNING = re.compile(r'AGI Script (?!\S*/driver)\S+ completed, returning (-?\d+)')
RETURNED = {'0': 'SUCCESS', '-1': 'FAILURE', '4': 'HANGUP'}

FIELDS = {
    'agi_request': 'url',
    'agi_channel': 'name',
    'agi_language': 'language',
    'agi_uniqueid': 'unique_id',
    'agi_version': 'version',
    'agi_callerid': 'caller_id',
    'agi_calleridname': 'caller_name',
    'agi_callingpres': 'presentation',
    'agi_dnid': 'dnid',
    'agi_rdnis': 'rdnis',
    'agi_context': 'context',
    'agi_extension': 'extension',
    'agi_priority': 'priority',
    'agi_accountcode': 'account_code',
    'agi_threadid': 'thread_id',
}

# The world of the recordings: what their sounds, and the dialplan around them, were like.
WORLD = Channel(
    samples={'beep': 3520, 'demo-congrats': 240000, 'demo-thanks': 44000},
    missing=frozenset({'no-such-file', 'nosuch', 'nolabel', 'be ep', '../../../etc/passwd', '/nodir'}),
)
GOSUB = {'missing': frozenset({'nosuch', 'x'}), 'subroutines': {'sub,s,1': 'came-back-${ARG1}'}}
WORLDS = {
    'cmd-channel-status': {'others': {'Local/31415@default-000000a6;1': OtherChannel()}},
    'cmd-database': {'database': {'fam/nl': 'x'}},  # which cmd-variable-newline left there
    'cmd-exec': {'applications': {'While': Application(), 'Read': Application(variables={'READSTATUS': 'TIMEOUT'})}},
    'cmd-exec-full': {'variables': {'AGIEXECFULL': 'yes'}},
    'cmd-exec-hangup': {
        'applications': {'Dial(PJSIP/nobody@nowhere)': Application(variables={'DIALSTATUS': 'CHANUNAVAIL'})}
    },
    'cmd-gosub': GOSUB,
    'cmd-hangup-other': {'others': {'Local/31415@default-00000097;1': OtherChannel(linked=True)}},
    'cmd-receive-text': {'texts': ('hi (you) there', 'Q')},
    'cmd-record-dtmf': {'seconds_per_key': 0.23, 'hang_up': HangUp(4, after=1.0)},
    'cmd-variable-newline': {'variables': {'n': 'one\ntwo', 'forged': 'x)\n200 result=1 (forged', 'tail': 'x\n'}},
    'dtmf-control-stream': {'seconds_per_key': 0.54},
    'dtmf-get-option': {'seconds_per_key': 0.92},
    'dtmf-stream-file': {'seconds_per_key': 0.92},
    'env-dead': {'dead': True},
    'hangup-during-get-option': {'hang_up': HangUp(2, after=0.82)},
    'hangup-during-stream': {'hang_up': HangUp(2, after=0.82)},
    'hangup-exit-idle': {'variables': {'AGIEXITONHANGUP': 'yes'}},
    'hangup-nosighup-idle': {'variables': {'AGISIGHUP': 'no'}},
    'sip-caller-bye': {'hang_up': HangUp('SAY NUMBER')},
    'status-hangup-exit': {'variables': {'AGIEXITONHANGUP': 'yes'}},
    'status-hangup-stream': {'hang_up': HangUp(2, after=0.62)},
}

# Of a second of silence, one of Asterisk's clocks counted 998 ms and another 1020.
CLOCKS = {b'200 result=7002 (timeout) endpos=8160\n': b'200 result=7000 (timeout) endpos=8000\n'}


# Against the recordings.


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(TRANSCRIPTS).with_suffix('')))
def test_every_byte_and_every_agistatus_is_as_recorded(path):
    statuses = recorded_statuses(path)
    for number, lines in enumerate(recorded_calls(path)):
        call, exchanges = SimulatedCall(recorded_channel(path, lines)), recorded_exchanges(lines)

        for exchange, replies in zip(exchanges, played(call, exchanges), strict=True):
            assert without_usage(replies) == without_usage(exchange.expected), exchange

        assert statuses[number : number + 1] in ([call.status], [])  # few logs do not tell it


def test_what_is_left_out_or_has_a_world_of_its_own_is_a_recording():
    assert set(BEYOND) | set(WORLDS) <= {path.stem for path in TRANSCRIPTS.rglob('*.txt')}
    assert [path.stem for path in FILES if not recorded_calls(path)] == []


@dataclass
class Exchange:
    """What went to Asterisk, or happened to it, and all that it sent then."""

    what: str
    sent: bytearray = field(default_factory=bytearray)
    replies: bytearray = field(default_factory=bytearray)
    seconds: float = 0.0

    @property
    def expected(self) -> bytes:
        return CLOCKS.get(bytes(self.replies), bytes(self.replies))


def played(call: SimulatedCall, exchanges: list[Exchange]) -> Iterator[bytes]:
    """What the pretence sends at each; a command that had no reply was still running at the next."""
    running = None
    for exchange in exchanges:
        call.feed(bytes(exchange.sent))
        if exchange.what.startswith('close'):
            call.feed_end()
        replies = call.finish(running) if running else b''
        running = None
        match exchange.what:
            case 'connect':
                replies += call.opening()
            case 'hang up':
                replies += call.hang_up()
            case 'wait':
                replies += call.idle(exchange.seconds)
            case 'close':
                replies += call.close()
            case 'close unread':
                call.close()
            case 'send':
                while (running := call.begin()) and exchange.replies:
                    replies += call.finish(running)
        yield replies


def recorded_calls(path: Path) -> list[list[bytes]]:
    calls = re.split(rb'^# connection \d+\n', path.read_bytes(), flags=re.MULTILINE)
    return [call.split(b'\n') for call in calls if b'\n< ' in b'\n' + call]


def recorded_statuses(path: Path) -> list[str]:
    """AGISTATUS of each call, as the dialplan printed it, else as the application returned."""
    log = path.read_text()
    return STATUS.findall(log) or [RETURNED[code] for code in re.findall(RETURNING, log)]


def recorded_channel(path: Path, lines: list[bytes]) -> Channel:
    block = [line[2:].decode().partition(': ') for line in lines if line.startswith(b'< agi_')]
    values = {FIELDS[name]: '' if value == 'unknown' else value for name, _, value in block if name in FIELDS}
    keys, hang_up = recorded_plans(lines)
    recorded = {
        **values,
        'arguments': tuple(value for name, _, value in block if name.startswith('agi_arg_')),
        'keys': keys,
        'hang_up': hang_up,
        'line_limit': 2047 if path.parent.name == '16' else MAX_LINE,
    }
    return replace(WORLD, **{**recorded, **WORLDS.get(path.stem, {})})


def recorded_plans(lines: list[bytes]) -> tuple[dict[int | str, str], HangUp | None]:
    keys: dict[int | str, str] = {}
    hang_up = None
    count, pending = 0, False
    for line in lines:
        count += line.startswith(b'> ')
        pending = line.startswith(b'> ') or (pending and not line.startswith(b'< '))
        if line.startswith(b'# the caller presses ') and pending:
            keys[count] = line[21:].decode().replace(' ', '')
        elif line == b'# the caller hangs up' and pending:
            hang_up = HangUp(count)
    return keys, hang_up


def recorded_exchanges(lines: list[bytes]) -> list[Exchange]:
    exchanges = [Exchange('connect')]
    together, passed = False, 0.0
    for line in lines:
        if line.startswith((b'> ', b'>| ')):
            if not together:
                exchanges.append(Exchange('send'))
            exchanges[-1].sent += line[3:] if line.startswith(b'>|') else line[2:] + b'\n'
        elif line.startswith(b'< '):
            if passed and exchanges[-1].replies:
                exchanges.append(Exchange('wait', seconds=passed))
            exchanges[-1].replies += line[2:] + b'\n'
        elif line in (b'# the caller hangs up', b'# the caller gives up') and exchanges[-1].replies:
            exchanges.append(Exchange('hang up'))
        elif line == b'# server closed at once':
            exchanges.append(Exchange('close unread'))
        elif line.startswith((b'# server closed', b'# server shut down')):
            exchanges.append(Exchange('close'))
        together = line.startswith((b'> ', b'>| '))
        passed = float(line[3:-2]) if line.startswith(b'# +') else 0.0
    return exchanges


def without_usage(replies: bytes) -> bytes:
    """Asterisk's texts are its own; what counts is where they stand."""
    return re.sub(rb'(?s)(520-[^\n]*\n).+?\n(520 End)', rb'\1\2', replies)


# Lines and words.


@given(st.lists(st.binary().filter(lambda word: not set(word) & set(b'\n\0')), max_size=MAX_WORDS))
def test_words_that_are_quoted_come_back_as_they_were(words):
    line = b' '.join(b'"' + word.replace(b'\\', rb'\\').replace(b'"', rb'\"') + b'"' for word in words)

    assert parse_args(line) == words


@pytest.mark.parametrize('pieces', NULS)
def test_a_nul_costs_the_rest_of_its_line_and_the_next_one_continues_it(pieces):
    reader = LineReader()
    lines = []
    for piece in pieces:
        reader.feed(piece)
        lines += iter(reader.next_line, None)

    assert lines == NULS[pieces]


def test_a_nul_in_the_last_line_before_the_end_costs_its_rest():
    reader = LineReader()
    reader.feed(b'NOOP\0lost\n')
    assert reader.next_line() is None
    reader.feed_end()

    assert list(iter(reader.next_line, None)) == [b'NOOP']


def test_a_line_with_nuls_has_no_more_bytes_than_others():
    reader = LineReader(10)
    reader.feed(b'abcd\0x\nefghijkl\n')

    assert reader.next_line() == b'abcdefghij'
    reader.feed_end()
    assert reader.next_line() == b'kl'


@given(st.binary())
def test_no_line_makes_words_out_of_nothing(line):
    words = parse_args(line)

    assert sum(map(len, words)) <= len(line)


def test_plain_words_past_the_table_are_lost():
    assert parse_args(b'x ' * (MAX_WORDS + 1)) == [b'x'] * MAX_WORDS


def test_quoted_words_past_the_table_end_asterisk_and_the_call():
    call = SimulatedCall(Channel())

    assert call.receive(b'NOOP' + b' ""' * MAX_WORDS + b'\n') == b''
    assert call.ended
    assert call.status is None


def test_a_full_table_is_no_harm():
    call = SimulatedCall(Channel())

    assert call.receive(b'NOOP' + b' ""' * (MAX_WORDS - 1) + b'\n') == b'200 result=0\n'


def test_the_longest_line_comes_whole():
    value = b'x' * (MAX_LINE - len(b'SET VARIABLE a \n'))
    call = SimulatedCall(Channel())

    assert call.receive(b'SET VARIABLE a ' + value + b'\n') == b'200 result=1\n'
    assert call.receive(b'GET FULL VARIABLE ${a}\n') == b'200 result=1 (' + value + b')\n'


def test_the_rest_of_a_line_one_byte_too_long_is_a_command_that_is_read_with_the_next_bytes():
    value = b'x' * (MAX_LINE - len(b'SET VARIABLE a '))
    call = SimulatedCall(Channel())

    assert call.receive(b'SET VARIABLE a ' + value + b'\n') == b'200 result=1\n'
    assert call.receive(b'NOOP\n') == b'510 Invalid or unknown command\n200 result=0\n'


def test_the_rest_of_a_much_longer_line_is_read_at_once():
    call = SimulatedCall(Channel())

    assert call.receive(b'NOOP ' + b'x' * 9000 + b'\n') == b'200 result=0\n510 Invalid or unknown command\n'


def test_a_long_value_is_cut_by_get_variable_only():
    call = SimulatedCall(Channel(variables={'v': 'x' * 5000}))

    assert call.receive(b'GET VARIABLE v\n') == b'200 result=1 (' + b'x' * 1023 + b')\n'
    assert call.receive(b'GET FULL VARIABLE ${v}\n') == b'200 result=1 (' + b'x' * 5000 + b')\n'


@given(st.data())
def test_a_line_in_pieces_is_one_command(data):
    line = b'SET VARIABLE a "one two"\n'
    cuts = sorted(data.draw(st.sets(st.integers(1, len(line) - 1))))
    call = SimulatedCall(Channel())

    replies = [call.receive(line[start:end]) for start, end in zip([0, *cuts], [*cuts, None], strict=True)]

    assert replies == [b''] * len(cuts) + [b'200 result=1\n']


def test_lines_left_unread_run_when_the_server_closes():
    call = SimulatedCall(Channel())

    assert call.receive(b'NOOP\nVERBOSE x\nNOOP') == b'200 result=0\n'
    assert call.close() == b'200 result=1\n200 result=0\nHANGUP\n'
    assert call.status == 'SUCCESS'


# The environment block.


def test_a_channel_of_which_nothing_is_told_still_has_a_whole_block():
    block = SimulatedCall(Channel(unique_id='1.2', name='PJSIP/a')).opening()

    assert block.startswith(b'agi_network: yes\nagi_network_script: hits\nagi_request: agi://127.0.0.1/hits\n')
    assert b'agi_callerid: unknown\nagi_calleridname: unknown\nagi_callingpres: 67\n' in block
    assert block.endswith(b'\n\n')


def test_two_channels_have_two_unique_ids():
    assert Channel().unique_id != Channel().unique_id


def test_bytes_that_are_no_utf_8_are_sent_as_they_are():
    name = b'Zo\xeb'.decode(errors='surrogateescape')

    assert b'agi_calleridname: Zo\xeb\n' in SimulatedCall(Channel(caller_name=name)).opening()


@pytest.mark.parametrize(
    ('text', 'name', 'number'),
    [
        ('"Zoë" <+44123>', 'Zoë', '+44123'),
        ('Joe Bloggs <12345>', 'Joe Bloggs', '12345'),
        ('777', '', '777'),
        ('Zoë', 'Zoë', ''),
        ('<5>', '', '5'),
        ('', '', ''),
    ],
)
def test_a_caller_id_has_a_name_and_a_number(text, name, number):
    assert parse_caller_id(text) == (name, number)


# Commands.


def test_every_command_is_known():
    assert len(COMMANDS) == 47


def test_a_command_with_too_few_arguments_is_answered_with_its_usage():
    for command in COMMANDS.values():
        if command.fewest:
            lines = SimulatedCall(Channel()).receive(command.name.encode() + b'\n').split(b'\n')

            assert lines[0] == b'520-Invalid command syntax.  Proper usage follows:'
            assert lines[1].startswith(b'Usage: ' + command.name.encode())
            assert lines[-2:] == [b'520 End of proper usage.', b'']


def test_a_usage_has_the_lines_that_look_like_a_reply_as_in_the_recording():
    recorded = (TRANSCRIPTS / 'err-usage-all.txt').read_bytes().split(b'\n> ')
    for command in COMMANDS.values():
        for exchange in recorded:
            if exchange.split(b'\n')[0] == command.name.encode() and b'\n< 520-' in exchange:
                looking = re.findall(rb'^.*200 result.*$', exchange.replace(b'\n< ', b'\n'), re.MULTILINE)
                assert [line.encode() for line in command.usage.splitlines() if '200 result' in line] == looking


def test_a_command_with_just_enough_arguments_is_answered():
    for command in COMMANDS.values():
        reply = SimulatedCall(Channel(missing=frozenset())).receive(line_of(command.name, ['1'] * command.fewest))

        assert b'200 result=' in reply, command


def test_what_does_not_run_dead_is_refused_after_the_hangup():
    for command in COMMANDS.values():
        call = SimulatedCall(Channel())
        call.hang_up()

        reply = call.receive(line_of(command.name, ['1'] * command.fewest))

        assert reply.startswith(b'200' if command.runs_dead else b'511'), command


@pytest.mark.parametrize(
    ('command', 'heard'),
    [
        ('ANSWER', Answered()),
        ('STREAM FILE hello ""', Played('hello')),
        ('GET OPTION hello 1', Played('hello')),
        ('CONTROL STREAM FILE hello ""', Played('hello')),
        ('GET DATA hello', Played('hello')),
        ('STREAM FILE gone ""', Missing('gone')),
        ('STREAM FILE hello.gsm ""', Missing('hello.gsm')),
        ('CONTROL STREAM FILE gone ""', Missing('gone')),
        ('GET DATA gone', Missing('gone')),
        ('SAY NUMBER 42 ""', SaidNumber(42)),
        ('SAY NUMBER 3.7 ""', SaidNumber(3)),
        ('SAY NUMBER 99999999999 ""', SaidNumber(1215752191)),
        ('SAY DIGITS 1a2 ""', SaidDigits('12')),
        ('SAY ALPHA ab ""', SaidLetters('ab')),
        ('SAY PHONETIC ab ""', SaidPhonetically('ab')),
        ('SAY DATE 0 ""', SaidDate(0)),
        ('SAY TIME 0 ""', SaidTime(0)),
        ('SAY DATETIME 0 "" Y Europe/Berlin', SaidDateTime(0, 'Y', 'Europe/Berlin')),
        ('WAIT FOR DIGIT 1500', Waited(1.5)),
        ('RECORD FILE mine wav # 1000', Recorded('mine')),
        ('EXEC Wait 2', Waited(2)),
        ('EXEC SayNumber 7', SaidNumber(7)),
        ('EXEC SayDigits 12', SaidDigits('12')),
        ('EXEC Hangup', HungUp()),
        ('HANGUP', HungUp()),
    ],
)
def test_the_caller_hears_each_command(command, heard):
    call = SimulatedCall(Channel(missing=frozenset({'gone'})))

    call.receive(command.encode() + b'\n')

    assert call.events == [heard]


@pytest.mark.parametrize(
    ('commands', 'reply'),
    [
        (['EXEC Playback gone', 'GET VARIABLE PLAYBACKSTATUS'], '200 result=1 (FAILED)'),
        (['EXEC Playback hello&gone,skip', 'GET VARIABLE PLAYBACKSTATUS'], '200 result=1 (SUCCESS)'),
        (['EXEC NoSuchApp x'], '200 result=-2'),
        (['EXEC Return'], '200 result=-1'),
        (['EXEC Set "v=a b"', 'GET VARIABLE v'], '200 result=1 (a b)'),
        (['EXEC SayNumber x'], '200 result=0'),
        (['SET VARIABLE __inherited 1', 'GET VARIABLE inherited'], '200 result=1 (1)'),
        (['SET VARIABLE NOFUNC(x) 1', 'GET VARIABLE NOFUNC(x)'], '200 result=0'),
        (['SET VARIABLE CALLERID(num) 4711', 'GET VARIABLE CALLERID(num)'], '200 result=1 (4711)'),
        (['SET VARIABLE CALLERID(name) Zoë', 'GET VARIABLE CALLERID(all)'], '200 result=1 ("Zoë" <>)'),
        (['SET VARIABLE CALLERID(all) 12', 'GET VARIABLE CALLERID(num)'], '200 result=1 (12)'),
        (['SET CALLERID "Joe <12>"', 'GET VARIABLE CALLERID(all)'], '200 result=1 ("Joe" <12>)'),
        (['GET FULL VARIABLE ${EXTEN}-${nosuch}'], '200 result=1 (31415-)'),
        (['GET FULL VARIABLE ${EXTEN} No/such'], '200 result=0'),
        (['SET CONTEXT other', 'GET VARIABLE CONTEXT'], '200 result=1 (other)'),
        (['SET EXTENSION 42', 'GET VARIABLE EXTEN'], '200 result=1 (42)'),
        (['SET PRIORITY 7', 'GET VARIABLE PRIORITY'], '200 result=1 (7)'),
        (['DATABASE PUT fam/sub key v', 'DATABASE GET fam/sub key'], '200 result=1 (v)'),
        (['DATABASE PUT fam/sub key v', 'DATABASE DELTREE fam'], '200 result=0'),
        (['DATABASE PUT family key v', 'DATABASE DELTREE fam'], '200 result=1'),
        (['DATABASE DEL fam key'], '200 result=1'),
        (['CHANNEL STATUS'], '200 result=4'),
        (['ANSWER', 'CHANNEL STATUS'], '200 result=6'),
        (['CHANNEL STATUS No/such'], '200 result=-1'),
        (['HANGUP No/such'], '200 result=-1'),
        (['RECORD FILE mine nosuch # 1000'], '200 result=-1 (writefile)'),
        (['RECORD FILE mine wav # 500 2000'], '200 result=0 (timeout) endpos=6000'),
        (['RECORD FILE mine wav # 8000 0 s=1'], '200 result=7000 (timeout) endpos=8000'),
        (['RECEIVE CHAR 300'], '200 result=-1 (hangup)'),
        (['RECEIVE TEXT 300'], '200 result=-1'),
        (['GET DATA beep 500 0'], '200 result=-1'),
        (['GOSUB gone s 1'], '200 result=-1 Gosub label not found'),
    ],
)
def test_the_last_of_these_commands_is_answered(commands, reply):
    call = SimulatedCall(Channel(missing=frozenset({'gone'})))

    replies = [call.receive(command.encode() + b'\n') for command in commands]

    assert replies[-1].decode() == reply + '\n'


@pytest.mark.parametrize(
    'command',
    [
        'SAY NUMBER abc ""',
        'SAY DIGITS x ""',
        'SAY ALPHA a "" z',
        'SAY DATE x ""',
        'SAY TIME x ""',
        'SAY DATETIME x ""',
        'STREAM FILE beep "" x',
        'WAIT FOR DIGIT x',
        'RECORD FILE mine wav # x',
        'SET PRIORITY gone',
        'SET AUTOHANGUP x',
        'SET VARIABLE a b c',
    ],
)
def test_arguments_that_make_no_sense_are_answered_with_the_usage(command):
    call = SimulatedCall(Channel(missing=frozenset({'gone'})))

    assert call.receive(command.encode() + b'\n').startswith(b'520-')


def test_gosub_says_that_it_is_trying():
    replies = SimulatedCall(Channel()).receive(b'GOSUB sub s 1\n')

    assert replies == b'100 result=0 Trying...\n200 result=0 Gosub complete\n'


def test_playback_answers_first():
    call = SimulatedCall(Channel())

    call.receive(b'EXEC Playback one&two\n')

    assert call.events == [Answered(), Played('one'), Played('two')]


# Digits.


def test_the_patient_caller_presses_each_digit_when_it_is_asked_for():
    call = SimulatedCall(Channel(digits='512#'))

    assert call.receive(b'STREAM FILE hello ""\n') == b'200 result=0 endpos=8000\n'
    assert call.receive(b'STREAM FILE hello 123\n') == b'200 result=0 endpos=8000\n'
    assert call.receive(b'WAIT FOR DIGIT 1000\n') == b'200 result=53\n'
    assert call.receive(b'GET DATA hello 1000 4\n') == b'200 result=12\n'
    assert call.receive(b'WAIT FOR DIGIT 1000\n') == b'200 result=0\n'
    assert [event.digit for event in call.events if isinstance(event, Pressed)] == ['5', '1', '2', '#']


def test_keys_are_pressed_during_the_command_that_was_planned_for_them():
    call = SimulatedCall(Channel(keys={'WAIT FOR DIGIT': '9', 3: '87'}))

    assert call.receive(b'NOOP\n') == b'200 result=0\n'
    assert call.receive(b'WAIT FOR DIGIT 1000\n') == b'200 result=57\n'
    assert call.receive(b'STREAM FILE hello 7\n') == b'200 result=55 endpos=4000\n'
    assert call.receive(b'WAIT FOR DIGIT 1000\n') == b'200 result=0\n'


def test_keys_that_nobody_waits_for_are_lost():
    call = SimulatedCall(Channel(keys={1: KEYPAD}))

    assert call.receive(b'SAY NUMBER 42 ""\n') == b'200 result=0\n'
    assert call.receive(b'WAIT FOR DIGIT 1000\n') == b'200 result=0\n'


@pytest.mark.parametrize(
    ('command', 'reply'),
    [
        ('SAY DIGITS 123 "5"', '200 result=53'),
        ('GET OPTION hello "5"', '200 result=53 endpos=4000'),
        ('CONTROL STREAM FILE hello "5"', '200 result=53 endpos=500'),
        ('RECORD FILE mine wav "5" 1000', '200 result=53 (dtmf) endpos=0'),
        ('EXEC Background hello', '200 result=53'),
        ('GET DATA hello 100 2', '200 result=5 (timeout)'),
        ('GET DATA "" 100 1', '200 result=5'),
    ],
)
def test_a_digit_ends_what_listens_for_it(command, reply):
    call = SimulatedCall(Channel(digits='5'))

    assert call.receive(command.encode() + b'\n').decode() == reply + '\n'


def test_a_slow_caller_presses_the_key_when_there_is_time_for_it():
    call = SimulatedCall(Channel(digits='12', seconds_per_key=2.0))

    assert call.receive(b'WAIT FOR DIGIT 1500\n') == b'200 result=0\n'
    assert call.receive(b'WAIT FOR DIGIT 3000\n') == b'200 result=49\n'
    assert call.receive(b'GET DATA hello 1500 1\n') == b'200 result=2\n'
    assert call.events == [Waited(1.5), Pressed('1'), Played('hello'), Pressed('2')]


def test_a_planned_key_that_comes_too_late_is_lost():
    call = SimulatedCall(Channel(keys={1: '12'}, seconds_per_key=0.6))

    assert call.receive(b'STREAM FILE hello 2\n') == b'200 result=0 endpos=8000\n'
    assert call.receive(b'WAIT FOR DIGIT 1000\n') == b'200 result=0\n'


@pytest.mark.parametrize(
    ('keys', 'options', 'reply'),
    [
        ('9', '1000 # * 0', '200 result=57 endpos=1000'),
        ('#9', '3000 # * 0', '200 result=57 endpos=5000'),
        ('##9', '5000 # * 0', '200 result=0 endpos=-1'),
        ('#*9', '1500 # * 0', '200 result=57 endpos=3000'),
        ('*9', '3000 # * 0', '200 result=57 endpos=1000'),
        ('09', '3000 # * 0', '200 result=57 endpos=1000'),
        ('009', '3000 # * 0', '200 result=57 endpos=2000'),
        ('9', '3000 # * 0 4000', '200 result=57 endpos=5000'),
        ('8', '', '200 result=0 endpos=-1'),
    ],
)
def test_a_prompt_can_be_wound_and_paused(keys, options, reply):
    call = SimulatedCall(Channel(samples={'long': 80000}, keys={1: keys}, seconds_per_key=1.0))

    assert call.receive(f'CONTROL STREAM FILE long 9 {options}\n'.encode()).decode() == reply + '\n'


def test_a_prompt_that_is_paused_for_ever_ends_by_a_hangup():
    call = SimulatedCall(Channel(keys={1: '0'}))

    assert call.receive(b'CONTROL STREAM FILE hello 9 1000 # * 0\n').endswith(b'\nHANGUP\n')


# The world around the channel.


@pytest.mark.parametrize(
    ('channel', 'named'),
    [
        (Channel(hang_up=HangUp('SAY NUMBRE')), "'SAY NUMBRE'"),
        (Channel(keys={'Get Data': '1'}), "'Get Data'"),
        (Channel(digits='12x'), "'x'"),
        (Channel(keys={1: '1 2'}), "' '"),
    ],
)
def test_a_plan_that_can_never_come_about_is_an_error(channel, named):
    with pytest.raises(ValueError, match=named):
        SimulatedCall(channel)


def test_a_function_is_given_and_set_as_a_variable_is():
    call = SimulatedCall(Channel(variables={'DEVICE_STATE(PJSIP/a)': 'BUSY'}))

    assert call.receive(b'GET VARIABLE DEVICE_STATE(PJSIP/a)\n') == b'200 result=1 (BUSY)\n'
    assert call.receive(b'SET VARIABLE DEVICE_STATE(PJSIP/a) INUSE\n') == b'200 result=1\n'
    assert call.variables == {'DEVICE_STATE(PJSIP/a)': 'INUSE'}


def test_other_channels_can_be_asked_for_and_hung_up():
    other = OtherChannel(state=ChannelState.RINGING, variables={'LINE': '7'})
    call = SimulatedCall(Channel(others={'PJSIP/a': other, 'Local/b;1': OtherChannel(linked=True)}))

    assert call.receive(b'CHANNEL STATUS PJSIP/a\n') == b'200 result=5\n'
    assert call.receive(b'GET FULL VARIABLE "${CHANNEL} ${LINE}" PJSIP/a\n') == b'200 result=1 (PJSIP/a 7)\n'
    assert call.receive(b'HANGUP PJSIP/a\n') == b'200 result=1\n'
    assert call.receive(b'CHANNEL STATUS PJSIP/a\n') == b'200 result=-1\n'
    assert call.receive(b'HANGUP Local/b;1\n') == b'200 result=1\nHANGUP\n'


def test_an_application_of_the_channel_comes_to_what_was_said_for_its_options_or_its_name():
    busy = Application(variables={'DIALSTATUS': 'BUSY'}, seconds=3)
    applications = {'Dial(PJSIP/a,20)': busy, 'dial': Application(result=5), 'Playback': Application()}
    call = SimulatedCall(Channel(applications=applications))

    assert call.receive(b'EXEC DIAL PJSIP/a,20\n') == b'200 result=0\n'
    assert call.receive(b'GET VARIABLE DIALSTATUS\n') == b'200 result=1 (BUSY)\n'
    assert call.receive(b'EXEC Dial PJSIP/b\n') == b'200 result=5\n'
    assert call.receive(b'EXEC Playback gone\n') == b'200 result=0\n'
    assert call.events == [Ran('DIAL', 'PJSIP/a,20'), Ran('Dial', 'PJSIP/b'), Ran('Playback', 'gone')]


def test_an_application_of_the_channel_fails_by_a_hangup():
    call = SimulatedCall(Channel(applications={'Dial': Application(seconds=3)}, hang_up=HangUp('EXEC', after=1)))

    assert call.receive(b'EXEC Dial PJSIP/a\n') == b'200 result=-1\nHANGUP\n'
    assert call.receive(b'EXEC Dial PJSIP/a\n') == b'200 result=-1\n'


@pytest.mark.parametrize(
    ('expression', 'value'),
    [
        ('${v:2}', 'llo'),
        ('${v:-3:2}', 'll'),
        ('${v:0:-1}', 'hell'),
        ('${v:1:${one}}', 'e'),
        ('${nosuch:1}', ''),
        ('$[${one} + 41]', '42'),
        ('$[7 - 9]$[2*3]', '-26'),
        ('$[${one} = 1]$[1 > 2]$[1 <= 2]$[1 != 1]', '1010'),
        ('$[1 / 2]', '$[1 / 2]'),
    ],
)
def test_expressions_are_read_as_the_dialplan_would(expression, value):
    call = SimulatedCall(Channel(variables={'v': 'hello', 'one': '1'}))

    assert call.receive(f'GET FULL VARIABLE "{expression}"\n'.encode()).decode() == f'200 result=1 ({value})\n'


def test_a_database_is_there_from_the_beginning_and_an_empty_name_removes_all_of_it():
    channel = Channel(database={'fam/key': 'v', 'other/key': 'w'})
    call = SimulatedCall(channel)

    assert call.receive(b'DATABASE GET fam key\n') == b'200 result=1 (v)\n'
    assert call.receive(b'DATABASE DELTREE ""\n') == b'200 result=0\n'
    assert call.database == {}
    assert channel.database == {'fam/key': 'v', 'other/key': 'w'}


def test_a_text_that_never_comes_is_waited_for_until_the_hangup():
    assert SimulatedCall(Channel()).receive(b'RECEIVE CHAR 0\n') == b'200 result=-1 (hangup)\nHANGUP\n'


# Time.


def test_autohangup_ends_the_command_that_lasts_longer():
    call = SimulatedCall(Channel(samples={'long': 80000}))

    assert call.receive(b'SET AUTOHANGUP 2.5\n') == b'200 result=0\n'
    assert call.receive(b'STREAM FILE short ""\n') == b'200 result=0 endpos=8000\n'
    assert call.receive(b'STREAM FILE long ""\n') == b'200 result=-1 endpos=12000\nHANGUP\n'
    assert call.events == [Played('short'), Played('long'), HungUp()]


def test_autohangup_comes_right_after_a_command_that_lasts_as_long():
    call = SimulatedCall(Channel())

    call.receive(b'SET AUTOHANGUP 1\n')
    assert call.receive(b'STREAM FILE hello ""\n') == b'200 result=0 endpos=8000\nHANGUP\n'


def test_a_caller_leaves_after_as_much_of_a_command_as_was_planned():
    call = SimulatedCall(Channel(hang_up=HangUp(1, after=0.25)))

    assert call.receive(b'STREAM FILE hello ""\n') == b'200 result=-1 endpos=2000\nHANGUP\n'


def test_no_plan_outlasts_the_command():
    call = SimulatedCall(Channel(hang_up=HangUp(1, after=99)))

    assert call.receive(b'GET OPTION hello 1 500\n') == b'200 result=-1 endpos=8000\nHANGUP\n'


# The caller goes.


@pytest.mark.parametrize(
    ('command', 'reply'),
    [
        ('ANSWER', '200 result=-1'),
        ('STREAM FILE hello ""', '200 result=-1 endpos=4000'),
        ('CONTROL STREAM FILE hello ""', '200 result=-1 endpos=500'),
        ('SAY NUMBER 1 ""', '200 result=-1'),
        ('GET DATA hello', '200 result=-1'),
        ('WAIT FOR DIGIT 100', '200 result=-1'),
        ('RECORD FILE mine wav # 1000', '200 result=-1 (hangup) endpos=4000'),
        ('EXEC Wait 5', '200 result=-1'),
        ('EXEC Answer', '200 result=-1'),
        ('SET VARIABLE a b', '200 result=1'),
        ('NOSUCH', '510 Invalid or unknown command'),
    ],
)
def test_a_hangup_while_a_command_runs_makes_it_fail_and_is_told_after_its_reply(command, reply):
    call = SimulatedCall(Channel(hang_up=HangUp(1)))

    assert call.receive(command.encode() + b'\n').decode() == reply + '\nHANGUP\n'
    assert call.events[-1] == CallerHungUp()
    assert call.close() == b'HANGUP\n'
    assert call.status == 'HANGUP'


def test_a_hangup_may_cross_a_command_on_its_way():
    call = SimulatedCall(Channel(hang_up=HangUp('SAY NUMBER', HangUpTiming.CROSSING)))

    assert call.receive(b'ANSWER\n') == b'200 result=0\n'
    assert call.receive(b'SAY NUMBER 1 ""\n').startswith(b'HANGUP\n511 ')


def test_a_hangup_may_come_after_a_reply():
    call = SimulatedCall(Channel(hang_up=HangUp(1, HangUpTiming.AFTER)))

    assert call.receive(b'ANSWER\n') == b'200 result=0\nHANGUP\n'
    assert call.events == [Answered(), CallerHungUp()]


def test_a_hangup_may_come_before_any_command():
    assert SimulatedCall(Channel(hang_up=HangUp(0, HangUpTiming.AFTER))).opening().endswith(b'\n\nHANGUP\n')


def test_a_caller_who_vanishes_takes_asterisk_along():
    call = SimulatedCall(Channel(hang_up=HangUp('SAY NUMBER', HangUpTiming.VANISHING)))

    assert call.receive(b'SAY NUMBER 1 ""\n') == b''
    assert call.ended
    assert call.status is None
    assert call.close() == b''


def test_whoever_waits_for_ever_for_a_digit_gets_a_hangup():
    assert SimulatedCall(Channel()).receive(b'WAIT FOR DIGIT -1\n') == b'200 result=-1\nHANGUP\n'


def test_a_caller_hangs_up_once():
    call = SimulatedCall(Channel(hang_up=HangUp(1)))

    assert call.hang_up() == b'HANGUP\n'
    assert call.hang_up() == b''
    assert call.receive(b'NOOP\n') == b'200 result=0\n'
    assert call.events == [CallerHungUp()]


def test_without_agisighup_no_hangup_is_told():
    call = SimulatedCall(Channel(variables={'AGISIGHUP': 'no'}))

    assert call.hang_up() == b''
    assert call.receive(b'ANSWER\n').startswith(b'511 ')
    assert call.close() == b''


def test_an_application_on_a_dead_channel_fails_and_is_not_heard():
    call = SimulatedCall(Channel())
    call.hang_up()

    assert call.receive(b'EXEC Playback hello\n') == b'200 result=-1\n'
    assert call.receive(b'EXEC Hangup\n') == b'200 result=-1\n'
    assert call.events == [CallerHungUp()]


# Over a real connection.


def test_a_call_goes_its_whole_way():
    def script(server):
        server.tell('ANSWER')
        server.tell('SAY NUMBER 42 ""')

    with serving(script) as address:
        call = place_call(address, Channel())

    assert call.events == [Answered(), SaidNumber(42)]
    assert call.lines == [b'ANSWER', b'SAY NUMBER 42 ""']
    assert call.status == 'SUCCESS'


def test_the_server_is_told_of_its_own_hangup():
    replies = []

    def script(server):
        replies.append(server.tell('HANGUP'))
        replies.append(server.rfile.readline())

    with serving(script) as address:
        call = place_call(address, Channel())

    assert replies == [b'200 result=1\n', b'HANGUP\n']
    assert call.status == 'HANGUP'


def test_the_word_failure_ends_the_call():
    def script(server):
        assert server.tell('failure') == b'HANGUP\n'
        assert server.rfile.readline() == b''

    with serving(script) as address:
        assert place_call(address, Channel()).status == 'FAILURE'


def test_a_caller_may_vanish_from_a_real_connection():
    seen = []

    with serving(lambda server: seen.append(server.tell('ANSWER'))) as address:
        call = place_call(address, Channel(hang_up=HangUp(1, HangUpTiming.VANISHING)))

    assert seen == [b'']
    assert call.status is None


def test_a_server_that_closes_at_once_is_no_failure():
    with serving(lambda server: None) as address:
        assert place_call(address, Channel()).status == 'SUCCESS'


def test_a_silent_server_is_waited_for_no_longer_than_the_timeout():
    done = threading.Event()

    with serving(lambda server: done.wait(PATIENCE)) as address:
        with pytest.raises(TimeoutError):
            place_call(address, Channel(), timeout=0.01)
        done.set()


def test_a_server_that_is_not_there_is_an_os_error():
    with serving(lambda server: None) as address:
        pass

    with pytest.raises(ConnectionRefusedError):
        place_call(address, Channel())


def test_all_that_happens_is_told_in_order():
    with serving(lambda server: server.tell('STREAM FILE hello ""')) as address:
        events = list(converse(SimulatedCall(Channel()), address))

    assert events[0] == LineToServer(b'agi_network: yes')
    assert events[-4:] == [
        LineFromServer(b'STREAM FILE hello ""'),
        Played('hello'),
        LineToServer(b'200 result=0 endpos=8000'),
        LineToServer(b'HANGUP'),
    ]


def test_what_is_still_unread_at_the_end_is_told_too():
    with serving(lambda server: server.wfile.write(b'NOOP\nANSWER\n')) as address:
        events = list(converse(SimulatedCall(Channel()), address))

    assert [event for event in events if not isinstance(event, LineToServer)] == [
        LineFromServer(b'NOOP'),
        LineFromServer(b'ANSWER'),
        Answered(),
    ]


def test_patience_ends_during_a_prompt():
    def script(server):
        assert server.tell('STREAM FILE short ""') == b'200 result=0 endpos=8000\n'
        reply = server.tell('STREAM FILE long ""')
        assert 24000 < int(reply.removeprefix(b'200 result=-1 endpos=')) <= 32000  # but for the real time that passed
        assert server.rfile.readline() == b'HANGUP\n'

    with serving(script) as address:
        call = SimulatedCall(Channel(samples={'long': 160000}))
        events = list(converse(call, address, patience=5))

    assert CallerHungUp() in events
    assert call.status == 'HANGUP'


def test_patience_ends_while_the_server_thinks():
    with serving(lambda server: server.rfile.readline()) as address:
        call = SimulatedCall(Channel())
        list(converse(call, address, patience=0.01))

    assert call.events == [CallerHungUp()]


def test_a_wait_for_ever_ends_at_once_without_a_plan():
    with serving(lambda server: server.tell('WAIT FOR DIGIT -1')) as address:
        assert place_call(address, Channel()).status == 'HANGUP'


class Server(socketserver.StreamRequestHandler):
    """One call as the server sees it."""

    def handle(self) -> None:
        while self.rfile.readline() not in (b'\n', b''):
            pass
        self.server.script(self)

    def tell(self, command: str) -> bytes:
        self.wfile.write(command.encode() + b'\n')
        return self.rfile.readline()


@contextmanager
def serving(script: Callable[[Server], object]) -> Iterator[tuple[str, int]]:
    """A FastAGI server that runs `script` for each call; what goes wrong in one is raised at the end."""
    errors: list[AssertionError | OSError] = []

    def run(server: Server) -> None:
        try:
            script(server)
        except (AssertionError, OSError) as error:  # The test's to know, not this thread's.
            errors.append(error)

    with socketserver.ThreadingTCPServer(('127.0.0.1', 0), Server) as listener:
        listener.script = run
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,), name='listener')
        thread.start()
        try:
            yield listener.server_address
        finally:
            listener.shutdown()
            thread.join()
    if errors:
        raise errors[0]


def line_of(name: str, arguments: list[str]) -> bytes:
    return ' '.join([name, *arguments]).encode() + b'\n'
