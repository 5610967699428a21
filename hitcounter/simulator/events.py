"""What the caller lives through, as small records in the order it happened."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answered:
    """The call was picked up."""


@dataclass(frozen=True, slots=True)
class Played:
    """A prompt, or as much of it as the caller let it play."""

    name: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A prompt that Asterisk has no file for: the caller hears nothing."""

    name: str


@dataclass(frozen=True, slots=True)
class SaidNumber:
    """A number as Asterisk read it, which is not always as it was sent: 3.7 is said as 3."""

    number: int


@dataclass(frozen=True, slots=True)
class SaidDigits:
    """Digits, `*`, `#` and `-`, one by one."""

    digits: str


@dataclass(frozen=True, slots=True)
class SaidLetters:
    """A text, letter by letter."""

    text: str


@dataclass(frozen=True, slots=True)
class SaidPhonetically:
    """A text in the words of the spelling alphabet."""

    text: str


@dataclass(frozen=True, slots=True)
class SaidDate:
    """A day, in seconds since 1970 UTC."""

    seconds: int


@dataclass(frozen=True, slots=True)
class SaidTime:
    """A time of day, in seconds since 1970 UTC."""

    seconds: int


@dataclass(frozen=True, slots=True)
class SaidDateTime:
    """Day and time, in seconds since 1970 UTC, in Asterisk's format; empty is its own choice."""

    seconds: int
    format: str = ''
    timezone: str = ''


@dataclass(frozen=True, slots=True)
class Waited:
    """Seconds of silence."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """The caller's own silence, kept in a file."""

    name: str


@dataclass(frozen=True, slots=True)
class Ran:
    """One of the channel's own applications, with its options as they were sent."""

    application: str
    options: str


@dataclass(frozen=True, slots=True)
class Pressed:
    """A digit that a command heeded; those that nobody waits for leave no trace."""

    digit: str


@dataclass(frozen=True, slots=True)
class HungUp:
    """The script ended the call."""


@dataclass(frozen=True, slots=True)
class CallerHungUp:
    """The caller ended the call."""


CallEvent = (
    Answered
    | Played
    | Missing
    | SaidNumber
    | SaidDigits
    | SaidLetters
    | SaidPhonetically
    | SaidDate
    | SaidTime
    | SaidDateTime
    | Waited
    | Recorded
    | Ran
    | Pressed
    | HungUp
    | CallerHungUp
)
