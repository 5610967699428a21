"""Recordings of AGI sessions of a real Asterisk (`tests/transcripts`), and streams that play them.

A line from Asterisk stands after `< ` and one to it after `> `; a piece without its newline after `>| `; what else
happened after `# `. The folder `16` holds those of Asterisk 16, the others are of Asterisk 22.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hitcounter.agi.call import Call
from hitcounter.agi.protocol.environment import Environment
from hitcounter.simulator.lines import parse_args
from tests.support.places import TRANSCRIPTS

#: Bytes with a NUL, and the lines that Asterisk has of them; held against a real one in tests/asterisk.
NULS = {
    (b'SET VARIABLE a x\0lost\n', b'y\n'): [b'SET VARIABLE a xy'],
    (b'\0SET VARIABLE b lost\n', b'SET VARIABLE b z\n'): [b'SET VARIABLE b z'],
    (b'SET VARIABLE c "x\0\0"\n', b'\0\n', b' y"\n'): [b'SET VARIABLE c "x y"'],
    (b'SET VARIABLE d x\n', b'NOOP\0\n', b'\n'): [b'SET VARIABLE d x', b'NOOP'],
}


@dataclass
class Exchange:
    """Lines that went to Asterisk, without their newlines, what it sent then, and what it sent unasked later."""

    sent: list[bytes]
    replies: bytes = b''
    unasked: bytes = b''


@dataclass
class Recording:
    """One recorded connection; the first exchange is the environment."""

    exchanges: list[Exchange] = field(default_factory=list)


def recordings_in(path: Path) -> list[Recording]:
    """The connections of one file on which Asterisk sent something."""
    parts = re.split(rb'^# connection \d+\n', path.read_bytes(), flags=re.MULTILINE)
    return [_recording(part.split(b'\n')) for part in parts if b'\n< ' in b'\n' + part]


def _recording(lines: list[bytes]) -> Recording:
    exchanges = [Exchange([])]
    half = b''
    for line in lines:
        mark, rest = line[:2], line[2:]
        last = exchanges[-1]
        if mark == b'>|':
            half += line[3:]
        elif mark == b'> ':
            if last.replies or not last.sent:
                exchanges.append(last := Exchange([]))
            last.sent.append(half + rest)
            half = b''
        elif mark == b'< ':
            if last.unasked:
                last.unasked += rest + b'\n'
            else:
                last.replies += rest + b'\n'
        elif mark == b'# ' and last.replies and rest.startswith((b'the caller', b'+', b'server')):
            last.unasked = last.unasked or b'\n'  # which says nothing
    return Recording(exchanges)


class Played:
    """A stream on which the replies come that were recorded for the same words."""

    def __init__(self, exchanges: list[Exchange]) -> None:
        self.sent: list[bytes] = []
        self._exchanges = list(exchanges)
        self._pieces: list[bytes] = []

    def expect(self, exchange: Exchange) -> None:
        """Have this one played next."""
        self._exchanges.append(exchange)

    def send(self, data: bytes) -> None:
        self.sent.append(data)
        words = parse_args(data.removesuffix(b'\n'))
        while self._exchanges:
            exchange = self._exchanges.pop(0)
            if [parse_args(line) for line in exchange.sent] == [words]:
                self._pieces.append(exchange.replies)
                if exchange.unasked:
                    self._pieces.append(exchange.unasked)
                return
        raise AssertionError(f'{data!r} was not recorded, or not as late')

    def receive(self, deadline: float) -> bytes:
        """What came, a piece at a time; what Asterisk sent unasked comes together with the next reply."""
        if len(self._pieces) > 1 and self._pieces[0].strip() in (b'', b'HANGUP', b'HANGUP\nHANGUP'):
            self._pieces[:2] = [self._pieces[0] + self._pieces[1]]
        return self._pieces.pop(0)

    def pending(self) -> bytes:
        return b''

    def wait(self, seconds: float) -> bool:
        return False


def replay(name: str, *, line_limit: int = 8191) -> tuple[Call, Played]:
    """A call to the Asterisk of the recording `name`, and its stream."""
    exchanges = recordings_in(TRANSCRIPTS / f'{name}.txt')[0].exchanges
    stream = Played(exchanges[1:])
    return Call(Environment.parse(exchanges[0].replies), stream, line_limit=line_limit), stream


def command_table(shown: str) -> Iterator[tuple[str, bool]]:
    """Each command in what `agi show commands` shows, and whether it runs on a dead channel."""
    for dead, name in re.findall(r'^ *(Yes|No) +(\S+(?: \S+)*?)  ', shown, re.MULTILINE):
        yield name.upper(), dead == 'Yes'
