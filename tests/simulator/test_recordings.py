"""The simulator gives every byte that a real Asterisk gave in the recordings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from hitcounter.simulator import Application, Channel, HangUp, OtherChannel, SimulatedCall
from hitcounter.simulator.lines import MAX_LINE
from tests.support.places import TRANSCRIPTS

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
    return replace(WORLD, **{**recorded, **WORLDS.get(path.stem, {})})  # type: ignore[dict-item]  # of each world


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
