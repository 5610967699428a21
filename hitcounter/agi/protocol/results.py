"""Results: the outcomes of commands, as small immutable values."""

import re
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from ...errors import ProtocolError

_NUMBER = re.compile('-?[0-9]{1,19}').fullmatch  # C's long has no more digits


@dataclass(frozen=True, slots=True)
class Playback:
    """How playing a sound file ended."""

    #: The escape digit that ended it, or None.
    digit: str | None
    #: Samples played, 8000 a second.
    endpos: int
    #: False if Asterisk could not play it, usually because the sound file is not there.
    played: bool


@dataclass(frozen=True, slots=True)
class ControlledPlayback:
    """How playing a sound file ended that the caller could rewind and fast-forward."""

    #: The escape digit that ended it, or None.
    digit: str | None
    #: Seconds into the file at which it was stopped; None if it was played to its end.
    position: float | None
    #: False if Asterisk could not play it, usually because the sound file is not there.
    played: bool


@dataclass(frozen=True, slots=True)
class Digits:
    """The digits that a caller entered. They may be a PIN, so the repr does not show them."""

    #: Without the `#` that may have ended them.
    digits: str = field(repr=False)
    #: The caller pressed no further key in time.
    timed_out: bool
    #: False if Asterisk could not play the prompt, and so did not listen.
    played: bool


class RecordingEnd(Enum):
    """What ended a recording, in Asterisk's words."""

    #: The time expired, or the silence lasted as long as allowed.
    TIMEOUT = 'timeout'
    #: An escape digit.
    DTMF = 'dtmf'
    #: The caller hung up. The file has what was said until then.
    HANGUP = 'hangup'
    #: Asterisk cannot write this file or this format; nothing was recorded.
    WRITEFILE = 'writefile'
    #: The channel failed.
    WAITFOR = 'waitfor'
    #: The beep was cut off, by an escape digit or a hangup; nothing was recorded.
    RANDOMERROR = 'randomerror'


@dataclass(frozen=True, slots=True)
class Recording:
    """How a recording ended."""

    end: RecordingEnd
    #: The escape digit that ended it, or None.
    digit: str | None
    #: Samples in the file, 8000 a second.
    endpos: int
    #: Seconds left of the time-out: more than a few hundredths if silence ended it.
    left: float


class ChannelState(IntEnum):
    """The state of a channel (`ast_channel_state` in channelstate.h)."""

    DOWN = 0
    RESERVED = 1
    OFF_HOOK = 2
    DIALING = 3
    #: The caller hears ringing; so it is until the call is answered.
    RING = 4
    #: The called phone rings.
    RINGING = 5
    UP = 6
    BUSY = 7
    DIALING_OFF_HOOK = 8
    PRE_RING = 9


class RecognitionEnd(Enum):
    """What ended a speech recognition, in Asterisk's words."""

    SPEECH = 'speech'
    DIGIT = 'digit'
    TIMEOUT = 'timeout'
    HANGUP = 'hangup'


@dataclass(frozen=True, slots=True)
class Utterance:
    """One interpretation of what the caller said."""

    text: str
    #: How sure the engine is; the scale is the engine's.
    score: int
    grammar: str


@dataclass(frozen=True, slots=True)
class Recognition:
    """How a speech recognition ended."""

    end: RecognitionEnd
    #: The key that ended it, or None.
    digit: str | None
    #: Samples of the prompt that were played; 0 unless speech cut it off.
    endpos: int
    #: What was understood, the engine's first choice first.
    utterances: tuple[Utterance, ...]


def digit_of(result: str) -> str | None:
    """The key whose ASCII code a reply gives; None for 0, no key, and for -1, a failure."""
    if result in ('0', '-1', ''):
        return None
    try:
        return chr(number_of(result))
    except (ValueError, OverflowError):
        raise ProtocolError(f'{result!r} is not the code of a key') from None


def number_of(result: str) -> int:
    """The number that a reply gives."""
    if not _NUMBER(result):
        raise ProtocolError(f'{result[:80]!r} is not a number')
    return int(result)
