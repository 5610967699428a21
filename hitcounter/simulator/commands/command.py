"""A command: its syntax and its outcome; and what all families of commands share."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Final

from ...agi.protocol.command import RUN_DEAD
from ..events import CallEvent, Pressed, Waited
from ..leg import CallLeg
from ..lines import MAX_WORDS


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a command: `200 result=` and `result`, after the caller has heard `events` for `seconds`.

    `broken` returns the result if the caller hangs up after so many seconds (0 if already gone); None: the same.
    `interrupted` is the result if another command comes meanwhile, '' for no reply; None: the command does not notice.
    `failed` leaves AGISTATUS as FAILURE. `seconds` is infinite where only a hangup ends the command.
    """

    result: str = '0'
    events: tuple[CallEvent, ...] = ()
    seconds: float = 0.0
    broken: Callable[[float], str] | None = None
    interrupted: str | None = None
    failed: bool = False
    hangs_up: bool = False
    lead: str = ''

    def after_hangup(self, seconds: float) -> str:
        """The result if the caller hangs up after so many seconds."""
        return self.result if self.broken is None else self.broken(seconds)

    def on_dead_channel(self) -> 'Outcome':
        """The outcome without a caller, for the commands that Asterisk runs even then."""
        return Outcome(self.after_hangup(0.0))


#: Runs a command with its arguments; returns None if they make no sense.
Run = Callable[[CallLeg, list[str]], Outcome | None]


@dataclass(frozen=True, slots=True)
class Command:
    """A command as Asterisk lists it; `syntax` says how many arguments it takes, `...` means any number more."""

    name: str
    syntax: str
    run: Run
    example: str = ''
    fewest: int = field(init=False)
    most: int = field(init=False)

    def __post_init__(self) -> None:
        optional = self.syntax.count('[')
        required = self.syntax.count('<') - optional
        object.__setattr__(self, 'fewest', required)
        object.__setattr__(self, 'most', MAX_WORDS if '...' in self.syntax else required + optional)

    @property
    def runs_dead(self) -> bool:
        """Whether Asterisk also runs it after the caller has hung up."""
        return self.name in RUN_DEAD

    @property
    def usage(self) -> str:
        """The lines between the first and the last one of a 520."""
        return f'Usage: {self.name} {self.syntax}'.rstrip() + '\n' + self.example

    def outcome(self, leg: CallLeg, arguments: list[str]) -> Outcome | None:
        """Run it, unless the number of arguments is wrong."""
        if not self.fewest <= len(arguments) <= self.most:
            return None
        return self.run(leg, arguments)


#: Every command by its name.
COMMANDS: Final[dict[str, Command]] = {}


def command(name: str, syntax: str, *, example: str = '') -> Callable[[Run], Run]:
    """Register a function in `COMMANDS`."""

    def register(run: Run) -> Run:
        COMMANDS[name] = Command(name, syntax, run, example)
        return run

    return register


def minus_one(seconds: float) -> str:
    """What most commands answer when the caller hangs up."""
    return '-1'


def with_digit(sound: CallEvent, digit: str) -> tuple[CallEvent, ...]:
    return (sound, Pressed(digit)) if digit else (sound,)


def silence(seconds: float) -> tuple[CallEvent, ...]:
    return (Waited(seconds),) if 0 < seconds < inf else ()


def code_of(digit: str) -> str:
    return str(ord(digit)) if digit else '0'


def scan(text: str) -> int | None:
    """An integer as C's `sscanf` finds one, whatever follows it."""
    found = re.match(r'[ \t\n\r\v\f]*([-+]?[0-9]{1,30})', text)
    return int(found[1]) if found else None


def as_c_int(number: int) -> int:
    """What remains of a number in Asterisk's 32 bits."""
    return (number + 2**31) % 2**32 - 2**31


def from_milliseconds(text: str) -> float:
    """Seconds of a time-out in milliseconds; a negative one never expires."""
    number = as_c_int(scan(text) or 0)
    return number / 1000 if number >= 0 else inf
