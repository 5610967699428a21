"""Every recorded session of a real Asterisk, led once more: each reply belongs to its command."""

import re

import pytest

from hitcounter.agi.call import Call
from hitcounter.agi.protocol.environment import Environment
from hitcounter.agi.protocol.reply import Replies, Reply
from hitcounter.errors import CommandFailed, CommandRefused, Hangup
from hitcounter.simulator.commands import COMMANDS
from hitcounter.simulator.lines import MAX_WORDS, parse_args
from tests.support.places import TRANSCRIPTS
from tests.support.recordings import Exchange, Played, recordings_in

FILES = [path for path in sorted(TRANSCRIPTS.rglob('*.txt')) if recordings_in(path)]

# These show what comes of more than one command at a time, which no Call sends. All but that is led over one; the
# replies alone are read from first to last.
ABUSED = {
    'conn-close-during-stream',
    'err-interrupted-digit',
    'err-interrupted-get',
    'err-interrupted-not',
    'err-interrupted-stream',
    'err-long-line-2048',
    'err-long-line-8192',
    'err-newline-in-argument',
    'err-pipelined',
}

STATUS = re.compile(rb'^(200|510|511|520)[- ]', re.MULTILINE)
REPLY = re.compile(
    rb'(?:100 [^\n]*\n)?200 result=([^ \n]*)(?: \((.*)\))?(?: endpos=(-?\d+))?(?: (Gosub [^\n]*))?\n', re.DOTALL
)


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(TRANSCRIPTS).with_suffix('')))
def test_every_reply_is_paired_with_its_command(path):
    limit = 2047 if path.parent.name == '16' else 8191
    replays = []
    for recording in recordings_in(path):
        environment, *exchanges = recording.exchanges
        block, end, rest = environment.replies.partition(b'\n\n')
        stream = Played([])
        received = rest + environment.unasked
        call = Call(Environment.parse(block + end), stream, received, line_limit=limit)
        replays.append(Replay(call, stream, limit=limit, hung_up=b'HANGUP' in received))
        replays[-1].run(exchanges)
    assert any(replay.abused for replay in replays) == (path.stem in ABUSED)


@pytest.mark.parametrize('path', [path for path in FILES if path.stem in ABUSED], ids=lambda path: path.stem)
def test_every_reply_of_an_abused_session_is_read(path):
    for recording in recordings_in(path):
        sent = b''.join(exchange.replies + exchange.unasked for exchange in recording.exchanges[1:])
        replies = Replies()
        read = []
        for line in sent.splitlines(keepends=True):
            replies.feed(line)
            read.append(replies.take())
        assert [reply.status for reply in read if reply] == [int(status) for status in STATUS.findall(sent)]
        assert replies.hung_up


def is_abuse(exchange: Exchange) -> bool:
    return len(exchange.sent) != 1 or (
        len(STATUS.findall(without_usage(exchange.replies))) != 1 and b'forged' not in exchange.replies
    )


def without_usage(replies: bytes) -> bytes:
    return re.sub(rb'(?s)(520-[^\n]*\n).*?520 End of proper usage\.\n', rb'\1', replies)


class Replay:
    """Leads recorded exchanges over a call, and holds what comes of each against the recording."""

    def __init__(self, call: Call, stream: Played, *, limit: int, hung_up: bool) -> None:
        self.call, self.stream, self.limit = call, stream, limit
        self.hung_up, self.told, self.abused = hung_up, False, False

    def run(self, exchanges: list[Exchange]) -> None:
        for exchange in exchanges:
            if any(map(self.is_refused, exchange.sent)):
                for line in exchange.sent:
                    self.refused(line)
            elif is_abuse(exchange):
                self.abused = True
            else:
                self.stream.expect(exchange)
                self.one(exchange)
            self.hung_up = self.hung_up or b'HANGUP' in exchange.unasked

    def refused(self, line: bytes) -> None:
        name, arguments = name_and_arguments(line)
        if self.is_refused(line):
            with pytest.raises(CommandRefused):
                self.call.command(name, *arguments)

    def one(self, exchange: Exchange) -> None:
        [line] = exchange.sent
        name, arguments = name_and_arguments(line)
        self.hung_up = self.hung_up or exchange.replies.endswith(b'HANGUP\n') or exchange.replies.startswith(b'511')
        if self.hung_up and (not self.told or name.upper() not in RUNNING_DEAD):
            with pytest.raises(Hangup):
                self.call.command(name, *arguments)
            self.told = True
        elif exchange.replies.startswith(b'5'):
            with pytest.raises(CommandFailed, match=f'answered {exchange.replies[:3].decode()} to'):
                self.call.command(name, *arguments)
        else:
            assert self.call.command(name, *arguments) == recorded_reply(exchange.replies)
        assert self.call.hung_up == self.told

    def is_refused(self, line: bytes) -> bool:
        too_much = len(line) >= self.limit or len(parse_args(line)) > MAX_WORDS
        return too_much or not line.strip() or b'\0' in line or b'\r' in line or line[:7].lower() == b'failure'


RUNNING_DEAD = {name for name, command in COMMANDS.items() if command.runs_dead}


def recorded_reply(replies: bytes) -> Reply:
    match = REPLY.fullmatch(replies)
    assert match, replies
    result, data, endpos, text = match.groups()
    return Reply(
        200,
        result.decode(),
        None if data is None else data.decode(),
        None if endpos is None else int(endpos),
        (text or b'').decode(),
    )


def name_and_arguments(line: bytes) -> tuple[str, list[str]]:
    """The words of a command; what is none goes out as it is."""
    words = [word.decode() for word in parse_args(line)]
    for count in (3, 2, 1):
        name = ' '.join(words[:count])
        if name.upper() in COMMANDS and len(name.split()) == count == len(words[:count]):
            return name, words[count:]
    return line.decode(), []
