"""The 47 AGI commands of Asterisk 22, each a small function from the leg and its arguments to an outcome."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Final

from .channel import decode, encode
from .heard import (
    Heard,
    HungUp,
    Missing,
    Played,
    Pressed,
    Recorded,
    SaidDate,
    SaidDateTime,
    SaidDigits,
    SaidLetters,
    SaidNumber,
    SaidPhonetically,
    SaidTime,
    Waited,
)
from .leg import KEYPAD, RATE, Leg
from .lines import MAX_WORDS

#: About what Asterisk's voice takes for one digit or letter.
_SPEECH_SECONDS: Final = 0.6

#: Seconds that GET DATA and GET OPTION wait for a digit when they are not told.
_PATIENCE: Final = 6.0

_MAX_DIGITS: Final = 1024
#: Bytes of a value that GET VARIABLE gives; GET FULL VARIABLE gives all.
_MAX_VALUE: Final = 1023

_SOUND_FORMATS: Final = frozenset({'alaw', 'g722', 'gsm', 'sln', 'sln16', 'ulaw', 'wav', 'wav49'})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command comes to: `200 result=` and `result`, after the caller has heard `heard` for `seconds`.

    `broken` is the result instead if the caller hangs up meanwhile, or is gone already; None: the same.
    `failed` leaves AGISTATUS as FAILURE. `seconds` is infinite where only a hangup ends the command.
    """

    result: str = '0'
    heard: tuple[Heard, ...] = ()
    seconds: float = 0.0
    broken: str | None = None
    failed: bool = False
    hangs_up: bool = False
    lead: str = ''

    def on_dead_channel(self) -> 'Outcome':
        """The same with nobody on the line, for the commands that Asterisk runs even then."""
        return Outcome(self.result if self.broken is None else self.broken)


#: Runs a command with its arguments; None if they make no sense to it.
Run = Callable[[Leg, list[str]], Outcome | None]


@dataclass(frozen=True, slots=True)
class Command:
    """A command as Asterisk lists it; `syntax` tells how many arguments it takes, `...` any number more."""

    name: str
    syntax: str
    run: Run
    runs_dead: bool = False
    example: str = ''
    fewest: int = field(init=False)
    most: int = field(init=False)

    def __post_init__(self) -> None:
        optional = self.syntax.count('[')
        required = self.syntax.count('<') - optional
        object.__setattr__(self, 'fewest', required)
        object.__setattr__(self, 'most', MAX_WORDS if '...' in self.syntax else required + optional)

    @property
    def usage(self) -> str:
        """The lines that stand between the first and the last of a 520."""
        return f'Usage: {self.name} {self.syntax}'.rstrip() + '\n' + self.example

    def outcome(self, leg: Leg, arguments: list[str]) -> Outcome | None:
        """Run it, unless the number of arguments is wrong."""
        if not self.fewest <= len(arguments) <= self.most:
            return None
        return self.run(leg, arguments)


#: Every command by its name.
COMMANDS: Final[dict[str, Command]] = {}


def find_command(words: list[bytes]) -> Command | None:
    """The command that a line begins with, told by whole words and without regard to case."""
    for count in (1, 2, 3):
        command = _BY_WORDS.get(tuple(word.upper() for word in words[:count]))
        if command is not None:
            return command
    return None


def command(name: str, syntax: str, *, runs_dead: bool = False, example: str = '') -> Callable[[Run], Run]:
    """Enter a function into `COMMANDS`."""

    def enter(run: Run) -> Run:
        COMMANDS[name] = Command(name, syntax, run, runs_dead, example)
        return run

    return enter


# The channel.

@command('ANSWER', '...')
def answer(leg: Leg, arguments: list[str]) -> Outcome:
    return Outcome(heard=leg.pick_up(), broken='-1')


@command('HANGUP', '[<channelname>]')
def hang_up(leg: Leg, arguments: list[str]) -> Outcome:
    if not leg.is_called(arguments):
        return Outcome('-1')
    return Outcome('1', heard=(HungUp(),), hangs_up=True)


@command('CHANNEL STATUS', '[<channelname>]')
def channel_status(leg: Leg, arguments: list[str]) -> Outcome:
    return Outcome(str(leg.status) if leg.is_called(arguments) else '-1')


@command('SET CALLERID', '...')
def set_caller_id(leg: Leg, arguments: list[str]) -> Outcome:
    if arguments:
        leg.set_caller(arguments[0])
    return Outcome('1')


@command('SET CONTEXT', '<context>')
def set_context(leg: Leg, arguments: list[str]) -> Outcome:
    leg.context = arguments[0]
    return Outcome()


@command('SET EXTENSION', '<extension>')
def set_extension(leg: Leg, arguments: list[str]) -> Outcome:
    leg.extension = arguments[0]
    return Outcome()


@command('SET PRIORITY', '<priority>')
def set_priority(leg: Leg, arguments: list[str]) -> Outcome | None:
    if not leg.has(arguments[0]):
        return None
    leg.priority = arguments[0]
    return Outcome()


@command('SET AUTOHANGUP', '<seconds>')
def set_auto_hangup(leg: Leg, arguments: list[str]) -> Outcome | None:
    """Takes the time, and then lets the call go on for ever: the caller's plan is what ends it here."""
    return Outcome() if _scan(arguments[0]) is not None else None


@command('SET MUSIC', '<on|off> ...')
@command('TDD MODE', '<on|off>')
@command('SEND TEXT', '<text>')
@command('SEND IMAGE', '<image>')
@command('NOOP', '...', runs_dead=True)
@command('ASYNCAGI BREAK', '...', runs_dead=True)
@command('SPEECH CREATE', '...')
@command('SPEECH SET', '<name> <value>')
@command('SPEECH DESTROY', '...', runs_dead=True)
@command('SPEECH LOAD GRAMMAR', '<name> <path>')
@command('SPEECH UNLOAD GRAMMAR', '<name>', runs_dead=True)
@command('SPEECH ACTIVATE GRAMMAR', '<name>')
@command('SPEECH DEACTIVATE GRAMMAR', '<name>')
@command('SPEECH RECOGNIZE', '<prompt> <timeout> [<offset>]')
def nothing(leg: Leg, arguments: list[str]) -> Outcome:
    """What Asterisk answers with 0 and this pretence does nothing for."""
    return Outcome()


@command('VERBOSE', '<message> ...', runs_dead=True)
def verbose(leg: Leg, arguments: list[str]) -> Outcome:
    return Outcome('1')


@command('RECEIVE CHAR', '<timeout>')
def receive_char(leg: Leg, arguments: list[str]) -> Outcome:
    return Outcome('-1 (hangup)', seconds=_milliseconds(arguments[0]), failed=True)


@command('RECEIVE TEXT', '<timeout>')
def receive_text(leg: Leg, arguments: list[str]) -> Outcome:
    return Outcome('-1', seconds=_milliseconds(arguments[0]), failed=True)


@command('GOSUB', '<context> <extension> <priority> [<argument>]')
def gosub(leg: Leg, arguments: list[str]) -> Outcome:
    if not all(leg.has(name) for name in arguments[:3]):
        return Outcome('-1 Gosub label not found', failed=True)
    return Outcome('0 Gosub complete', lead='100 result=0 Trying...\n')


# Variables and the database.

@command('SET VARIABLE', '<name> <value>', runs_dead=True)
def set_variable(leg: Leg, arguments: list[str]) -> Outcome:
    leg.set(*arguments)
    return Outcome('1')


_EXAMPLE: Final = 'Example return code: 200 result=1 (testvariable)\n'


@command('GET VARIABLE', '<name>', runs_dead=True, example=_EXAMPLE)
def get_variable(leg: Leg, arguments: list[str]) -> Outcome:
    value = leg.get(arguments[0])
    return _value(None if value is None else decode(encode(value)[:_MAX_VALUE]))


@command('GET FULL VARIABLE', '<expression> [<channelname>]', runs_dead=True, example=_EXAMPLE)
def get_full_variable(leg: Leg, arguments: list[str]) -> Outcome:
    return _value(leg.expand(arguments[0]) if leg.is_called(arguments[1:]) else None)


@command('DATABASE GET', '<family> <key>', runs_dead=True, example=_EXAMPLE)
def database_get(leg: Leg, arguments: list[str]) -> Outcome:
    return _value(leg.database.get('/'.join(arguments)))


@command('DATABASE PUT', '<family> <key> <value>', runs_dead=True)
def database_put(leg: Leg, arguments: list[str]) -> Outcome:
    leg.database['/'.join(arguments[:2])] = arguments[2]
    return Outcome('1')


@command('DATABASE DEL', '<family> <key>', runs_dead=True)
def database_del(leg: Leg, arguments: list[str]) -> Outcome:
    leg.database.pop('/'.join(arguments), None)
    return Outcome('1')


@command('DATABASE DELTREE', '<family> [<keytree>]', runs_dead=True)
def database_deltree(leg: Leg, arguments: list[str]) -> Outcome:
    root = '/'.join(arguments)
    tree = [key for key in leg.database if f'{key}/'.startswith(f'{root}/')]
    for key in tree:
        del leg.database[key]
    return Outcome('0' if tree else '1')


def _value(value: str | None) -> Outcome:
    return Outcome('0' if value is None else f'1 ({value})')


# Prompts.

@command('STREAM FILE', '<filename> <escape_digits> [<sample_offset>]')
def stream_file(leg: Leg, arguments: list[str]) -> Outcome | None:
    offset = _scan(arguments[2]) if arguments[2:] else 0
    if offset is None:
        return None
    return _stream(leg, arguments[0], arguments[1], offset)


@command('GET OPTION', '<filename> <escape_digits> [<timeout>]')
def get_option(leg: Leg, arguments: list[str]) -> Outcome:
    patience = _milliseconds(arguments[2]) if arguments[2:] else _PATIENCE
    return _stream(leg, arguments[0], arguments[1], 0, patience)


def _stream(leg: Leg, name: str, listened: str, offset: int, patience: float = 0.0) -> Outcome:
    if not leg.has_prompt(name):
        return Outcome(f'-1 endpos={offset}', heard=(Missing(name),), failed=True)
    leg.set('PLAYBACKSTATUS', 'SUCCESS')
    whole, half = leg.samples(name), leg.samples(name) // 2
    digit = leg.press(listened)
    end = half if digit else whole
    seconds = end / RATE + (0 if digit else patience)
    heard = _with_digit(Played(name), digit)
    return Outcome(f'{_code(digit)} endpos={end}', heard, seconds, broken=f'-1 endpos={half}')


@command(
    'CONTROL STREAM FILE',
    '<filename> <escape_digits> [<skipms>] [<ffchar>] [<rewchr>] [<pausechr>] [<offsetms>]',
)
def control_stream_file(leg: Leg, arguments: list[str]) -> Outcome:
    name, listened = arguments[:2]
    if not leg.has_prompt(name):
        leg.set('CPLAYBACKSTATUS', 'ERROR')
        return Outcome('-1 endpos=-1', heard=(Missing(name),), failed=True)
    digit = leg.press(listened)
    half = leg.samples(name) * 1000 // RATE // 2
    end = half if digit else -1
    leg.set('CPLAYBACKSTATUS', 'USERSTOPPED' if digit else 'SUCCESS')
    leg.set('CPLAYBACKOFFSET', str(end))
    leg.set('CPLAYBACKSTOPKEY', digit)
    seconds = (half if digit else 2 * half) / 1000
    heard = _with_digit(Played(name), digit)
    return Outcome(f'{_code(digit)} endpos={end}', heard, seconds, broken=f'-1 endpos={half}')


@command('GET DATA', '<file> [<timeout>] [<maxdigits>] ...')
def get_data(leg: Leg, arguments: list[str]) -> Outcome:
    name = arguments[0]
    patience = _milliseconds(arguments[1]) if arguments[1:] else _PATIENCE
    most = _scan(arguments[2]) or 0 if arguments[2:] else _MAX_DIGITS
    if name and not leg.has_prompt(name):
        return Outcome('-1', heard=(Missing(name),))
    if most <= 0:
        return Outcome('-1')
    pressed, digits = _collect(leg, most)
    in_time = pressed.endswith('#') or len(digits) == most
    heard = ((Played(name),) if name else ()) + tuple(map(Pressed, pressed))
    seconds = (leg.samples(name) / RATE if name and not pressed else 0) + (0 if in_time else patience)
    return Outcome(digits if in_time else f'{digits} (timeout)', heard, seconds, broken='-1')


def _collect(leg: Leg, most: int) -> tuple[str, str]:
    """All that the caller pressed, and the digits that count: no more than `most`, and none after `#`."""
    pressed = ''
    while len(pressed) < most and not pressed.endswith('#'):
        digit = leg.press(KEYPAD)
        if not digit:
            break
        pressed += digit
    return pressed, pressed.removesuffix('#')


@command('WAIT FOR DIGIT', '<timeout>')
def wait_for_digit(leg: Leg, arguments: list[str]) -> Outcome | None:
    if _scan(arguments[0]) is None:
        return None
    digit = leg.press(KEYPAD)
    if digit:
        return Outcome(_code(digit), heard=(Pressed(digit),), broken='-1')
    seconds = _milliseconds(arguments[0])
    return Outcome(heard=_silence(seconds), seconds=seconds, broken='-1')


@command(
    'RECORD FILE',
    '<filename> <format> <escape_digits> <timeout> [<offset_samples>] [<beep>] [<s=silence>] ...',
)
def record_file(leg: Leg, arguments: list[str]) -> Outcome | None:
    name, format_, listened, timeout = arguments[:4]
    offset, silence = _recording_limits(arguments[4:])
    if _scan(timeout) is None:
        return None
    if format_ not in _SOUND_FORMATS:
        return Outcome('-1 (writefile)', failed=True)
    digit = leg.press(listened)
    limit = _milliseconds(timeout)
    seconds = 0.0 if digit else min(limit, silence)
    left = round(1000 * (limit - seconds)) if silence < limit < inf else 0
    end = offset + round(RATE * seconds) if seconds < inf else offset
    result = f'{_code(digit)} (dtmf)' if digit else f'{left} (timeout)'
    heard = _with_digit(Recorded(name), digit)
    return Outcome(f'{result} endpos={end}', heard, seconds, broken=f'-1 (hangup) endpos={offset}')


def _recording_limits(arguments: list[str]) -> tuple[int, float]:
    """The offset in samples, and the seconds of silence that end a recording."""
    silences = [_scan(word[2:]) or 0 for word in arguments if word.lower().startswith('s=')]
    offset = (_scan(arguments[0]) or 0) if arguments else 0
    return offset, float(silences[0]) if silences and silences[0] > 0 else inf


# Saying.

@command('SAY NUMBER', '<number> <escape_digits> [<gender>]')
def say_number(leg: Leg, arguments: list[str]) -> Outcome | None:
    number = _scan(arguments[0])
    if number is None:
        return None
    said = _as_c_int(number)
    return _say(leg, SaidNumber(said), str(said), arguments[1])


@command('SAY DIGITS', '<number> <escape_digits>')
def say_digits(leg: Leg, arguments: list[str]) -> Outcome | None:
    if _scan(arguments[0]) is None:
        return None
    audible = re.sub(r'[^0-9*#-]', '', arguments[0])
    return _say(leg, SaidDigits(audible), audible, arguments[1])


@command('SAY ALPHA', '<text> <escape_digits> [<case>]')
def say_alpha(leg: Leg, arguments: list[str]) -> Outcome | None:
    if arguments[2:] and arguments[2][:1].lower() not in ('a', 'l', 'n', 'u'):
        return None
    return _say(leg, SaidLetters(arguments[0]), arguments[0], arguments[1])


@command('SAY PHONETIC', '<text> <escape_digits>')
def say_phonetic(leg: Leg, arguments: list[str]) -> Outcome:
    return _say(leg, SaidPhonetically(arguments[0]), arguments[0], arguments[1])


@command('SAY DATE', '<date> <escape_digits>')
def say_date(leg: Leg, arguments: list[str]) -> Outcome | None:
    seconds = _scan(arguments[0])
    return None if seconds is None else _say(leg, SaidDate(seconds), 'day month', arguments[1])


@command('SAY TIME', '<time> <escape_digits>')
def say_time(leg: Leg, arguments: list[str]) -> Outcome | None:
    seconds = _scan(arguments[0])
    return None if seconds is None else _say(leg, SaidTime(seconds), 'time', arguments[1])


@command('SAY DATETIME', '<time> <escape_digits> [<format>] [<timezone>]')
def say_datetime(leg: Leg, arguments: list[str]) -> Outcome | None:
    seconds = _scan(arguments[0])
    if seconds is None:
        return None
    return _say(leg, SaidDateTime(seconds, *arguments[2:]), 'day and time', arguments[1])


def _say(leg: Leg, sound: Heard, spoken: str, listened: str) -> Outcome:
    digit = leg.press(listened)
    seconds = _SPEECH_SECONDS * (1 if digit else len(spoken))
    return Outcome(_code(digit), _with_digit(sound, digit), seconds, broken='-1')


# Applications of the dialplan.

@command('EXEC', '<application> ...', runs_dead=True)
def execute(leg: Leg, arguments: list[str]) -> Outcome:
    application = APPLICATIONS.get(arguments[0].lower())
    if application is None:
        return Outcome('-2')
    return application(leg, arguments[1] if arguments[1:] else '')


def _app_answer(leg: Leg, options: str) -> Outcome:
    return Outcome(heard=leg.pick_up(), broken='-1')


def _app_background(leg: Leg, options: str) -> Outcome:
    return _play_all(leg, options, KEYPAD)


def _app_fail(leg: Leg, options: str) -> Outcome:
    return Outcome('-1')


def _app_hang_up(leg: Leg, options: str) -> Outcome:
    return Outcome('-1', heard=(HungUp(),), hangs_up=True)


def _app_nothing(leg: Leg, options: str) -> Outcome:
    return Outcome()


def _app_playback(leg: Leg, options: str) -> Outcome:
    return _play_all(leg, options, '')


def _app_say_digits(leg: Leg, options: str) -> Outcome:
    return _say(leg, SaidDigits(options), options, '')


def _app_say_number(leg: Leg, options: str) -> Outcome:
    number = _scan(options)
    return Outcome() if number is None else _say(leg, SaidNumber(_as_c_int(number)), options, '')


def _app_set(leg: Leg, options: str) -> Outcome:
    name, _, value = options.partition('=')
    leg.set(name, value)
    return Outcome()


def _app_wait(leg: Leg, options: str) -> Outcome:
    seconds = float(options) if re.fullmatch(r'\d{1,9}(\.\d*)?|\.\d+', options) else 0.0
    return Outcome(heard=_silence(seconds), seconds=seconds, broken='-1')


APPLICATIONS: Final[dict[str, Callable[[Leg, str], Outcome]]] = {
    'answer': _app_answer,
    'background': _app_background,
    'goto': _app_nothing,
    'hangup': _app_hang_up,
    'log': _app_nothing,
    'noop': _app_nothing,
    'playback': _app_playback,
    'progress': _app_nothing,
    'return': _app_fail,
    'ringing': _app_nothing,
    'saydigits': _app_say_digits,
    'saynumber': _app_say_number,
    'set': _app_set,
    'verbose': _app_nothing,
    'wait': _app_wait,
}
"""The applications that EXEC finds, by their name in lower case; Asterisk has many more."""


def _play_all(leg: Leg, options: str, listened: str) -> Outcome:
    """Play `one&two,options`, as Playback and Background do: they answer first."""
    names = options.partition(',')[0].split('&')
    prompts = tuple(Played(name) if leg.has_prompt(name) else Missing(name) for name in names)
    played = [prompt.name for prompt in prompts if isinstance(prompt, Played)]
    leg.set('PLAYBACKSTATUS', 'SUCCESS' if played else 'FAILED')
    digit = leg.press(listened)
    heard = leg.pick_up() + prompts + ((Pressed(digit),) if digit else ())
    return Outcome(_code(digit), heard, sum(map(leg.samples, played)) / RATE, broken='-1')


# What they share.

def _with_digit(sound: Heard, digit: str) -> tuple[Heard, ...]:
    return (sound, Pressed(digit)) if digit else (sound,)


def _silence(seconds: float) -> tuple[Heard, ...]:
    return (Waited(seconds),) if 0 < seconds < inf else ()


def _code(digit: str) -> str:
    return str(ord(digit)) if digit else '0'


def _scan(text: str) -> int | None:
    """An integer as C's `sscanf` finds one: what follows it does not matter."""
    found = re.match(r'[ \t\n\r\v\f]*([-+]?[0-9]{1,30})', text)
    return int(found[1]) if found else None


def _as_c_int(number: int) -> int:
    """What is left of a number in the 32 bits that Asterisk keeps it in."""
    return (number + 2**31) % 2**32 - 2**31


def _milliseconds(text: str) -> float:
    """Seconds of a time-out in milliseconds; one below zero never comes."""
    number = _as_c_int(_scan(text) or 0)
    return number / 1000 if number >= 0 else inf


_BY_WORDS: Final = {tuple(name.encode().split()): entry for name, entry in COMMANDS.items()}
