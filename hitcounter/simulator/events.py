"""The events of a call, as the caller experiences them: small records; `str(event)` describes one in a few words."""

import time
from dataclasses import dataclass

__all__ = [
    'Answered',
    'CallEvent',
    'CallerHungUp',
    'HungUp',
    'Missing',
    'Played',
    'Pressed',
    'Ran',
    'Recorded',
    'SaidDate',
    'SaidDateTime',
    'SaidDigits',
    'SaidLetters',
    'SaidNumber',
    'SaidPhonetically',
    'SaidTime',
    'Waited',
]


@dataclass(frozen=True, slots=True)
class CallEvent:
    """One thing that the caller hears, does or waits for."""


@dataclass(frozen=True, slots=True)
class Answered(CallEvent):
    """The call was picked up."""

    def __str__(self) -> str:
        return 'answered'


@dataclass(frozen=True, slots=True)
class Played(CallEvent):
    """A prompt, or as much of it as the caller let it play."""

    name: str

    def __str__(self) -> str:
        return f'plays "{self.name}"'


@dataclass(frozen=True, slots=True)
class Missing(CallEvent):
    """A prompt that Asterisk has no file for: the caller hears nothing."""

    name: str

    def __str__(self) -> str:
        return f'has no prompt "{self.name}"'


@dataclass(frozen=True, slots=True)
class SaidNumber(CallEvent):
    """A number as Asterisk reads it, not always as it was sent: 3.7 is said as 3."""

    number: int

    def __str__(self) -> str:
        return f'says {self.number}'


@dataclass(frozen=True, slots=True)
class SaidDigits(CallEvent):
    """Digits, `*`, `#` and `-`, one by one."""

    digits: str

    def __str__(self) -> str:
        return f'says the digits {" ".join(self.digits)}'


@dataclass(frozen=True, slots=True)
class SaidLetters(CallEvent):
    """A text, letter by letter."""

    text: str

    def __str__(self) -> str:
        return f'spells "{self.text}"'


@dataclass(frozen=True, slots=True)
class SaidPhonetically(CallEvent):
    """A text in the words of the spelling alphabet."""

    text: str

    def __str__(self) -> str:
        return f'spells "{self.text}" in words'


@dataclass(frozen=True, slots=True)
class SaidDate(CallEvent):
    """A day, in seconds since 1970 UTC."""

    seconds: int

    def __str__(self) -> str:
        return f'says the date {_moment("%Y-%m-%d", self.seconds)}'


@dataclass(frozen=True, slots=True)
class SaidTime(CallEvent):
    """A time of day, in seconds since 1970 UTC."""

    seconds: int

    def __str__(self) -> str:
        return f'says the time {_moment("%H:%M UTC", self.seconds)}'


@dataclass(frozen=True, slots=True)
class SaidDateTime(CallEvent):
    """Day and time, in seconds since 1970 UTC, in Asterisk's format; an empty format is Asterisk's own choice."""

    seconds: int
    format: str = ''
    timezone: str = ''

    def __str__(self) -> str:
        return f'says {_moment("%Y-%m-%d %H:%M UTC", self.seconds)}'


@dataclass(frozen=True, slots=True)
class Waited(CallEvent):
    """Seconds of silence."""

    seconds: float

    def __str__(self) -> str:
        return f'waits {self.seconds:g} s'


@dataclass(frozen=True, slots=True)
class Recorded(CallEvent):
    """The caller's silence, recorded into a file."""

    name: str

    def __str__(self) -> str:
        return f'records "{self.name}"'


@dataclass(frozen=True, slots=True)
class Ran(CallEvent):
    """One of the channel's own applications, with the options as sent."""

    application: str
    options: str

    def __str__(self) -> str:
        return f'runs {self.application}({self.options})'


@dataclass(frozen=True, slots=True)
class Pressed(CallEvent):
    """A digit that a command took; digits that no command waits for leave no trace."""

    digit: str

    def __str__(self) -> str:
        return f'the caller presses {self.digit}'


@dataclass(frozen=True, slots=True)
class HungUp(CallEvent):
    """The script ended the call."""

    def __str__(self) -> str:
        return 'hangs up'


@dataclass(frozen=True, slots=True)
class CallerHungUp(CallEvent):
    """The caller ended the call."""

    def __str__(self) -> str:
        return 'the caller hangs up'


def _moment(format_: str, seconds: int) -> str:
    try:
        return time.strftime(format_, time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return f'{seconds} seconds after 1970'
