"""Commands that play prompts, and that listen to the caller's keys and voice."""

from dataclasses import dataclass
from math import inf
from typing import Final

from ..events import Missing, Played, Pressed, Recorded
from ..leg import KEYPAD, RATE, CallLeg
from .command import Outcome, code_of, command, from_milliseconds, minus_one, scan, silence, with_digit

#: Seconds that GET DATA and GET OPTION wait for a digit by default.
_PATIENCE: Final = 6.0

_MAX_DIGITS: Final = 1024

#: The defaults of CONTROL STREAM FILE.
_CONTROLS: Final = ['3000', '#', '*', '', '0']

_SOUND_FORMATS: Final = frozenset({'alaw', 'g722', 'gsm', 'sln', 'sln16', 'ulaw', 'wav', 'wav49'})


# Prompts.


@command('STREAM FILE', '<filename> <escape_digits> [<sample_offset>]')
def stream_file(leg: CallLeg, arguments: list[str]) -> Outcome | None:
    offset = scan(arguments[2]) if arguments[2:] else 0
    if offset is None:
        return None
    return _stream(leg, arguments[0], arguments[1], offset)


@command('GET OPTION', '<filename> <escape_digits> [<timeout>]')
def get_option(leg: CallLeg, arguments: list[str]) -> Outcome:
    patience = from_milliseconds(arguments[2]) if arguments[2:] else _PATIENCE
    return _stream(leg, arguments[0], arguments[1], 0, patience)


def _stream(leg: CallLeg, name: str, listened: str, offset: int, patience: float = 0.0) -> Outcome:
    if not leg.has_prompt(name):
        return Outcome(f'-1 endpos={offset}', events=(Missing(name),), failed=True)
    leg.set('PLAYBACKSTATUS', 'SUCCESS')
    length = leg.samples(name)
    start = min(max(offset, 0), length)
    digit, seconds = leg.press(listened, (length - start) / RATE, patience)

    def position(seconds: float) -> int:
        return min(length, start + round(RATE * seconds))

    events = with_digit(Played(name), digit)
    return Outcome(
        f'{code_of(digit)} endpos={position(seconds)}',
        events if start < length else events[1:],
        seconds,
        broken=lambda seconds: f'-1 endpos={position(seconds)}',
        interrupted='',
    )


@command(
    'CONTROL STREAM FILE',
    '<filename> <escape_digits> [<skipms>] [<ffchar>] [<rewchr>] [<pausechr>] [<offsetms>]',
)
def control_stream_file(leg: CallLeg, arguments: list[str]) -> Outcome:
    name, listened = arguments[:2]
    if not leg.has_prompt(name):
        leg.set('CPLAYBACKSTATUS', 'ERROR')
        return Outcome('-1 endpos=-1', events=(Missing(name),), failed=True)
    skip, forward, rewind, pause, start = arguments[2:] + _CONTROLS[len(arguments) - 2 :]
    keys = _Controls(listened, forward or '#', rewind or '*', pause, (scan(skip) or 0) / 1000)
    offset, length = (scan(start) or 0) / 1000, leg.samples(name) / RATE
    ending = _play_controlled(leg, keys, offset, length)
    end = round(1000 * ending.position) if ending.stopped_by else -1
    leg.set('CPLAYBACKSTATUS', 'USERSTOPPED' if ending.stopped_by else 'SUCCESS')
    leg.set('CPLAYBACKOFFSET', str(end))
    leg.set('CPLAYBACKSTOPKEY', ending.stopped_by)
    return Outcome(
        f'{code_of(ending.stopped_by)} endpos={end}',
        (Played(name), *map(Pressed, ending.pressed)),
        ending.seconds,
        broken=lambda seconds: f'-1 endpos={round(1000 * min(length, offset + seconds))}',  # as if not wound
    )


@dataclass(frozen=True, slots=True)
class _Controls:
    """The keys that wind, pause and stop a prompt, and the seconds that they wind."""

    stop: str
    forward: str
    rewind: str
    pause: str
    skip: float


@dataclass(frozen=True, slots=True)
class _Ending:
    """Where in a prompt playing ended, after how many seconds, the keys used, and the key that stopped it."""

    position: float
    seconds: float
    pressed: str = ''
    stopped_by: str = ''


def _play_controlled(leg: CallLeg, keys: _Controls, position: float, length: float) -> _Ending:
    pressed, whole = '', 0.0
    while position < length:
        digit, seconds = leg.press(keys.forward + keys.rewind + keys.pause + keys.stop, length - position)
        pressed, position, whole = pressed + digit, position + seconds, whole + seconds
        if digit and digit in keys.pause:
            digit, seconds = leg.press(keys.pause + keys.stop, 0.0, inf)
            pressed, whole = pressed + digit, whole + seconds
            if digit in keys.pause:
                digit = ''
            if whole == inf:
                break
        if digit and digit in keys.forward:
            position += keys.skip
        elif digit and digit in keys.rewind:
            position = max(0.0, position - keys.skip)
        elif digit:
            return _Ending(position, whole, pressed, digit)
    return _Ending(length, whole, pressed)


@command('GET DATA', '<file> [<timeout>] [<maxdigits>] ...')
def get_data(leg: CallLeg, arguments: list[str]) -> Outcome:
    name = arguments[0]
    patience = from_milliseconds(arguments[1]) if arguments[1:] else _PATIENCE
    most = scan(arguments[2]) or 0 if arguments[2:] else _MAX_DIGITS
    if name and not leg.has_prompt(name):
        return Outcome('-1', events=(Missing(name),))
    if most <= 0:
        return Outcome('-1')
    pressed, seconds = _collect(leg, most, leg.samples(name) / RATE if name else 0.0, patience)
    digits = pressed.removesuffix('#')
    in_time = pressed.endswith('#') or len(digits) == most
    events = ((Played(name),) if name else ()) + tuple(map(Pressed, pressed))
    return Outcome(digits if in_time else f'{digits} (timeout)', events, seconds, broken=minus_one, interrupted='')


def _collect(leg: CallLeg, most: int, playing: float, patience: float) -> tuple[str, float]:
    """What the caller pressed, at most `most` keys and none after `#`, and how long it took."""
    pressed, whole = '', 0.0
    while len(pressed) < most and not pressed.endswith('#'):
        digit, seconds = leg.press(KEYPAD, 0.0 if pressed else playing, patience)
        whole += seconds
        if not digit:
            break
        pressed += digit
    return pressed, whole


@command('WAIT FOR DIGIT', '<timeout>')
def wait_for_digit(leg: CallLeg, arguments: list[str]) -> Outcome | None:
    if scan(arguments[0]) is None:
        return None
    digit, seconds = leg.press(KEYPAD, 0.0, from_milliseconds(arguments[0]))
    events = (Pressed(digit),) if digit else silence(seconds)
    return Outcome(code_of(digit), events, seconds, broken=minus_one, interrupted='1')


@command(
    'RECORD FILE',
    '<filename> <format> <escape_digits> <timeout> [<offset_samples>] [<beep>] [<s=silence>] ...',
)
def record_file(leg: CallLeg, arguments: list[str]) -> Outcome | None:
    name, format_, listened, timeout = arguments[:4]
    offset, silent = _recording_limits(arguments[4:])
    if scan(timeout) is None:
        return None
    if format_ not in _SOUND_FORMATS or not leg.can_record(name):
        return Outcome('-1 (writefile)', failed=True)
    limit = from_milliseconds(timeout)
    digit, seconds = leg.press(listened, 0.0, min(limit, silent))
    left = round(1000 * (limit - seconds)) if silent < limit < inf else 0

    def end(seconds: float) -> str:
        return f'endpos={offset + round(RATE * seconds)}'

    result = f'{code_of(digit)} (dtmf)' if digit else f'{left} (timeout)'
    return Outcome(
        f'{result} {end(seconds)}' if seconds < inf else result,
        with_digit(Recorded(name), digit),
        seconds,
        broken=lambda seconds: f'-1 (hangup) {end(seconds)}',
        interrupted=f'0 (timeout) endpos={offset}',
    )


def _recording_limits(arguments: list[str]) -> tuple[int, float]:
    """The offset in samples, and the seconds of silence that end a recording."""
    silences = [scan(word[2:]) or 0 for word in arguments if word.lower().startswith('s=')]
    offset = (scan(arguments[0]) or 0) if arguments else 0
    return offset, float(silences[0]) if silences and silences[0] > 0 else inf
