"""Asterisk's side of one AGI call, without a socket: the server's bytes go in, Asterisk's bytes come out."""

from dataclasses import dataclass, replace
from math import inf

from .channel import Channel, Manner, decode, encode
from .commands import Command, Outcome, find_command
from .heard import CallerHungUp, Heard
from .leg import Leg
from .lines import MAX_WORDS, LineReader, parse_args

_HANGUP = 'HANGUP\n'
_UNKNOWN = '510 Invalid or unknown command\n'
_USAGE = '520-Invalid command syntax.  Proper usage follows:\n'
_END_OF_USAGE = '520 End of proper usage.\n'
_DEAD = '511 Command Not Permitted on a dead channel or intercept routine\n'


@dataclass(frozen=True, slots=True)
class Running:
    """A command that Asterisk has begun, and how it will end: with `reply`, or `broken` by a hangup.

    `seconds` is how long it keeps the channel busy; it is infinite if only a hangup ends it.
    """

    line: bytes
    reply: str
    broken: str
    manner: Manner | None = None
    heard: tuple[Heard, ...] = ()
    seconds: float = 0.0
    hangs_up: bool = False


class PretendCall:
    r"""One AGI call as Asterisk leads it.

    Send `opening()`, then for each piece that the server sends either `receive` it, or `feed` it and go
    through the commands with `begin` and `finish`; `close` when the server closes. It is over once `ended`.

    >>> call = PretendCall(Channel())
    >>> call.receive(b'SAY NUMBER 42 ""\n')
    b'200 result=0\n'
    >>> call.heard
    [SaidNumber(number=42)]
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.leg = Leg(channel)
        self.heard: list[Heard] = []
        #: Every line that was read from the server, without its newline.
        self.lines: list[bytes] = []
        #: Whether Asterisk is through with the call, and closes the connection.
        self.ended = False
        #: AGISTATUS at the end: SUCCESS, FAILURE or HANGUP; None before, and if Asterisk itself went down.
        self.status: str | None = None
        self._reader = LineReader()
        self._begun: set[str] = set()
        self._failed = False

    @property
    def variables(self) -> dict[str, str]:
        """The channel's variables as they are now."""
        return self.leg.variables

    @property
    def database(self) -> dict[str, str]:
        """Asterisk's own database as this call sees it, `family/key` to value."""
        return self.leg.database

    # The way of the bytes.

    def opening(self) -> bytes:
        """What Asterisk sends first: the environment block."""
        leaves_at_once = self._planned({0}) is Manner.AFTER
        return self.channel.environment_block() + (self.hang_up() if leaves_at_once else b'')

    def receive(self, piece: bytes) -> bytes:
        """Take bytes of the server, let each command that is read run to its end, and give all replies."""
        self.feed(piece)
        return self._run_all()

    def feed(self, piece: bytes) -> None:
        """Take bytes of the server, in any pieces."""
        self._reader.feed(piece)

    def begin(self) -> Running | None:
        """Begin the next command; None if Asterisk waits for more bytes, or is through with the call."""
        line = None if self.ended else self._reader.next_line()
        if line is None:
            return None
        self.lines.append(line)
        running = self._start(line)
        self.heard += running.heard
        return running

    def finish(self, running: Running, *, hung_up: bool = False) -> bytes:
        """End a command, perhaps by the caller's hangup; give its reply and what comes right after it."""
        manner = Manner.DURING if hung_up else running.manner
        reply = running.broken if manner is Manner.DURING else running.reply
        if manner in (Manner.DURING, Manner.AFTER):
            reply += self._leave()
        elif running.hangs_up:
            reply += self._hang_up()
        return encode(reply)

    def hang_up(self) -> bytes:
        """Have the caller hang up while no command runs."""
        return encode(self._leave())

    def close(self) -> bytes:
        """Let the server close its side: what is still unread runs, then Asterisk says HANGUP and closes."""
        self._reader.feed_end()
        replies = self._run_all()
        return replies + encode('' if self.ended else self._end(self._last_status()))

    def _run_all(self) -> bytes:
        replies = b''
        while running := self.begin():
            replies += self.finish(running)
        return replies

    # One command.

    def _start(self, line: bytes) -> Running:
        if line[:7].lower() == b'failure':
            return _instant(line, self._end('FAILURE'))
        words = parse_args(line)
        command = find_command(words)
        points = self._points(command)
        manner = self._planned(points)
        if manner is Manner.VANISHING or len(words) > MAX_WORDS:
            self.ended = True
            return _instant(line, '')
        before = self._leave() if manner is Manner.CROSSING else ''
        self.leg.hold_keys(''.join(keys for point, keys in self.channel.keys.items() if point in points))
        outcome = self._outcome(command, words)
        if isinstance(outcome, str):
            return replace(_instant(line, before + outcome), manner=manner)
        self._failed |= outcome.failed
        return _running(line, before, outcome, manner)

    def _points(self, command: Command | None) -> set[int | str]:
        """How a plan may name the command that now begins: by its count, and by its name the first time."""
        points: set[int | str] = {len(self.lines)}
        if command is not None and command.name not in self._begun:
            self._begun.add(command.name)
            points.add(command.name)
        return points

    def _planned(self, points: set[int | str]) -> Manner | None:
        plan = self.channel.hang_up
        return plan.how if plan is not None and plan.at in points and not self.leg.dead else None

    def _outcome(self, command: Command | None, words: list[bytes]) -> Outcome | str:
        """What a command comes to, or the lines of its refusal."""
        if command is None:
            return _UNKNOWN
        if self.leg.dead and not command.runs_dead:
            return _DEAD
        arguments = [decode(word) for word in words[len(command.name.split()) :]]
        outcome = command.outcome(self.leg, arguments)
        if outcome is None:
            return f'{_USAGE}{command.usage}{_END_OF_USAGE}'
        return outcome.on_dead_channel() if self.leg.dead else outcome

    # The caller goes, and the end.

    def _leave(self) -> str:
        if self.leg.dead or self.ended:
            return ''
        self.heard.append(CallerHungUp())
        return self._hang_up()

    def _hang_up(self) -> str:
        self.leg.dead = True
        if _is(self.leg.get('AGIEXITONHANGUP'), 'yes', 'true', 'y', 't', '1', 'on'):
            return self._signal() + self._end('HANGUP')
        return self._signal()

    def _end(self, status: str) -> str:
        self.ended, self.status = True, status
        return self._signal()

    def _signal(self) -> str:
        silent = _is(self.leg.get('AGISIGHUP'), 'no', 'false', 'n', 'f', '0', 'off')
        return '' if silent else _HANGUP

    def _last_status(self) -> str:
        if self.leg.dead:
            return 'HANGUP'
        return 'FAILURE' if self._failed else 'SUCCESS'


def _instant(line: bytes, reply: str) -> Running:
    return Running(line, reply, reply)


def _running(line: bytes, before: str, outcome: Outcome, manner: Manner | None) -> Running:
    start = f'{before}{outcome.lead}200 result='
    return Running(
        line,
        reply=f'{start}{outcome.result}\n',
        broken=f'{start}{outcome.result if outcome.broken is None else outcome.broken}\n',
        manner=Manner.DURING if outcome.seconds == inf else manner,
        heard=outcome.heard,
        seconds=outcome.seconds,
        hangs_up=outcome.hangs_up,
    )


def _is(value: str | None, *words: str) -> bool:
    return value is not None and value.lower() in words
