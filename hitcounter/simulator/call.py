"""Asterisk's side of one AGI call, without a socket: the server's bytes go in, Asterisk's bytes come out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

from .channel import Channel, HangUp, HangUpTiming, decode, encode
from .commands import COMMANDS, Command, Outcome, find_command
from .events import CallerHungUp, CallEvent, HungUp
from .leg import KEYPAD, CallLeg
from .lines import MAX_WORDS, LineReader, parse_args

_HANGUP = 'HANGUP\n'
_UNKNOWN = '510 Invalid or unknown command\n'
_USAGE = '520-Invalid command syntax.  Proper usage follows:\n'
_END_OF_USAGE = '520 End of proper usage.\n'
_DEAD = '511 Command Not Permitted on a dead channel or intercept routine\n'


@dataclass(frozen=True, slots=True)
class Running:
    """A command that Asterisk has begun, and how it will end: with `reply`, or `broken` by a hangup.

    `seconds` is how long it keeps the channel busy, infinite if only a hangup ends it. A planned hangup comes
    `left_after` so many seconds. `interrupted` is the reply if another command, or the end of the connection, arrives
    meanwhile; None if the command does not check for that.
    """

    line: bytes
    reply: str
    broken: Callable[[float], str]
    interrupted: str | None = None
    timing: HangUpTiming | None = None
    left_after: float | None = None
    events: tuple[CallEvent, ...] = ()
    seconds: float = 0.0
    hangs_up: bool = False


class SimulatedCall:
    r"""One AGI call, seen from Asterisk.

    Send `opening()`. Then either `receive` each piece that the server sends, or `feed` it and go through the commands
    with `begin` and `finish`; `close` when the server closes. The call is over once `ended`.

    Raises ValueError if the channel plans something impossible: an unknown command, a key that no telephone has.

    >>> call = SimulatedCall(Channel())
    >>> call.receive(b'SAY NUMBER 42 ""\n')
    b'200 result=0\n'
    >>> call.events
    [SaidNumber(number=42)]
    """

    def __init__(self, channel: Channel) -> None:
        _check_plans(channel)
        self.channel = channel
        self.leg = CallLeg(channel)
        self.events: list[CallEvent] = []
        #: Every line that was read from the server, without its newline.
        self.lines: list[bytes] = []
        #: Whether Asterisk has finished with the call and closes the connection.
        self.ended = False
        #: AGISTATUS at the end: SUCCESS, FAILURE or HANGUP; None before that, or if Asterisk itself went down.
        self.status: str | None = None
        self._reader = LineReader(channel.line_limit)
        self._begun: set[str] = set()
        self._failed = False

    def __repr__(self) -> str:
        state = f'ended with AGISTATUS={self.status}' if self.ended else 'goes on'
        return f'<SimulatedCall of {self.channel.url}: {state}>'

    @property
    def variables(self) -> dict[str, str]:
        """The channel's variables as they are now."""
        return self.leg.variables

    @property
    def database(self) -> dict[str, str]:
        """Asterisk's own database as this call sees it, `family/key` to value."""
        return self.leg.database

    # Bytes in and out.

    def opening(self) -> bytes:
        """What Asterisk sends first: the environment block."""
        plan = self._planned({0})
        leaves_at_once = plan is not None and plan.how is HangUpTiming.AFTER
        return self.channel.environment_block() + (self.hang_up() if leaves_at_once else b'')

    def receive(self, piece: bytes) -> bytes:
        """Take bytes from the server, run each complete command to its end, and return all replies."""
        self.feed(piece)
        return self._run_all()

    def feed(self, piece: bytes) -> None:
        """Take bytes from the server, in any pieces."""
        self._reader.feed(piece)

    def feed_end(self) -> None:
        """Record that the server closes its side; `close` does so too."""
        self._reader.feed_end()

    def begin(self) -> Running | None:
        """Begin the next command; returns None if Asterisk waits for more bytes, or has finished with the call."""
        line = None if self.ended else self._reader.next_line()
        if line is None:
            return None
        self.lines.append(line)
        running = self._start(line)
        self.events += running.events
        return running

    def finish(self, running: Running, *, left_after: float | None = None) -> bytes:
        """End a command, perhaps by a hangup after so many seconds; returns its reply and what follows it at once.

        Bytes fed since it began, and `feed_end`, interrupt the commands that check for them.
        """
        left_after = running.left_after if left_after is None else left_after
        self.leg.pass_time(running.seconds if left_after is None else left_after)
        if left_after is not None:
            return encode(running.broken(left_after) + self._leave())
        if running.interrupted is not None and self._reader.readable:
            return encode(running.interrupted)
        if running.timing is HangUpTiming.AFTER or self.leg.seconds_left <= 0:
            return encode(running.reply + self._leave())
        return encode(running.reply + (self._hang_up() if running.hangs_up else ''))

    def idle(self, seconds: float) -> bytes:
        """Let time pass while no command runs; SET AUTOHANGUP may hang up meanwhile."""
        self.leg.pass_time(seconds)
        return encode(self._leave() if self.leg.seconds_left <= 0 else '')

    def hang_up(self) -> bytes:
        """Have the caller hang up while no command runs."""
        return encode(self._leave())

    def close(self) -> bytes:
        """Let the server close its side: unread commands still run, then Asterisk sends HANGUP and closes."""
        self.feed_end()
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
        plan = self._planned(points)
        how = None if plan is None else plan.how
        if how is HangUpTiming.VANISHING or len(words) > MAX_WORDS:
            self.ended = True
            return _instant(line, '')
        before = self._leave() if how is HangUpTiming.CROSSING else ''
        self.leg.hold_keys(''.join(keys for point, keys in self.channel.keys.items() if point in points))
        outcome = self._outcome(command, words)
        if isinstance(outcome, str):
            return self._hung_up_during(replace(_instant(line, before + outcome), timing=how), plan)
        self._failed |= outcome.failed
        return self._hung_up_during(_running(line, before, outcome, how), plan)

    def _hung_up_during(self, running: Running, plan: HangUp | None) -> Running:
        """The same command, with the moment at which a plan or SET AUTOHANGUP ends it, if one does."""
        left_after = self.leg.seconds_left if self.leg.seconds_left < running.seconds else inf
        if plan is not None and plan.how is HangUpTiming.DURING:
            usual = running.seconds / 2 if running.seconds < inf else 0.0
            left_after = min(left_after, running.seconds, usual if plan.after is None else plan.after)
        if left_after < inf:
            return replace(running, left_after=left_after, seconds=left_after)
        return replace(running, left_after=0.0) if running.seconds == inf else running

    def _points(self, command: Command | None) -> set[int | str]:
        """The names that a plan may use for the command that now begins: its count, and its name if it is the first."""
        points: set[int | str] = {len(self.lines)}
        if command is not None and command.name not in self._begun:
            self._begun.add(command.name)
            points.add(command.name)
        return points

    def _planned(self, points: set[int | str]) -> HangUp | None:
        plan = self.channel.hang_up
        return plan if plan is not None and plan.at in points and not self.leg.dead else None

    def _outcome(self, command: Command | None, words: list[bytes]) -> Outcome | str:
        """The outcome of a command, or the lines that refuse it."""
        if command is None:
            return _UNKNOWN
        if self.leg.dead and not command.runs_dead:
            return _DEAD
        arguments = [decode(word) for word in words[len(command.name.split()) :]]
        outcome = command.outcome(self.leg, arguments)
        if outcome is None:
            return f'{_USAGE}{command.usage}{_END_OF_USAGE}'
        return outcome.on_dead_channel() if self.leg.dead else outcome

    # The hangup and the end.

    def _leave(self) -> str:
        if self.leg.dead or self.ended:
            return ''
        self.events.append(CallerHungUp() if self.leg.seconds_left > 0 else HungUp())
        return self._hang_up()

    def _hang_up(self) -> str:
        self.leg.dead = True
        if self.leg.is_on('AGIEXITONHANGUP'):
            return self._signal() + self._end('HANGUP')
        return self._signal()

    def _end(self, status: str) -> str:
        self.ended, self.status = True, status
        return self._signal()

    def _signal(self) -> str:
        return '' if self.leg.is_off('AGISIGHUP') else _HANGUP

    def _last_status(self) -> str:
        if self.leg.dead and not self.channel.dead:
            return 'HANGUP'
        return 'FAILURE' if self._failed else 'SUCCESS'


def _check_plans(channel: Channel) -> None:
    """Raise ValueError for a plan that could never happen: a test would pass without testing anything."""
    plans = [*channel.keys] if channel.hang_up is None else [*channel.keys, channel.hang_up.at]
    for plan in plans:
        if isinstance(plan, str) and plan not in COMMANDS:
            raise ValueError(f'{plan!r} is not an AGI command: write one such as STREAM FILE, or the count of one')
    for key in ''.join([channel.digits, *channel.keys.values()]):
        if key not in KEYPAD:
            raise ValueError(f'no telephone has the key {key!r}: use {KEYPAD}')


def _instant(line: bytes, reply: str) -> Running:
    return Running(line, reply, lambda seconds: reply)


def _running(line: bytes, before: str, outcome: Outcome, timing: HangUpTiming | None) -> Running:
    def reply(result: str) -> str:
        return f'{before}{outcome.lead}200 result={result}\n'

    return Running(
        line,
        reply(outcome.result),
        lambda seconds: reply(outcome.after_hangup(seconds)),
        interrupted=reply(outcome.interrupted) if outcome.interrupted else outcome.interrupted,
        timing=timing,
        events=outcome.events,
        seconds=outcome.seconds,
        hangs_up=outcome.hangs_up,
    )
