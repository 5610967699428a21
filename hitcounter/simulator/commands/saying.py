"""Commands that say numbers, letters and times."""

import re
from typing import Final

from ..events import CallEvent, SaidDate, SaidDateTime, SaidDigits, SaidLetters, SaidNumber, SaidPhonetically, SaidTime
from ..leg import CallLeg
from .command import Outcome, as_c_int, code_of, command, minus_one, scan, with_digit

#: About the time that Asterisk's voice takes for one digit or letter.
_SPEECH_SECONDS: Final = 0.6


@command('SAY NUMBER', '<number> <escape_digits> [<gender>]')
def say_number(leg: CallLeg, arguments: list[str]) -> Outcome | None:
    number = scan(arguments[0])
    if number is None:
        return None
    said = as_c_int(number)
    return say(leg, SaidNumber(said), str(said), arguments[1])


@command('SAY DIGITS', '<number> <escape_digits>')
def say_digits(leg: CallLeg, arguments: list[str]) -> Outcome | None:
    if scan(arguments[0]) is None:
        return None
    audible = re.sub(r'[^0-9*#-]', '', arguments[0])
    return say(leg, SaidDigits(audible), audible, arguments[1])


@command('SAY ALPHA', '<text> <escape_digits> [<case>]')
def say_alpha(leg: CallLeg, arguments: list[str]) -> Outcome | None:
    if arguments[2:] and arguments[2][:1].lower() not in ('a', 'l', 'n', 'u'):
        return None
    return say(leg, SaidLetters(arguments[0]), arguments[0], arguments[1])


@command('SAY PHONETIC', '<text> <escape_digits>')
def say_phonetic(leg: CallLeg, arguments: list[str]) -> Outcome:
    return say(leg, SaidPhonetically(arguments[0]), arguments[0], arguments[1])


@command('SAY DATE', '<date> <escape_digits>')
def say_date(leg: CallLeg, arguments: list[str]) -> Outcome | None:
    seconds = scan(arguments[0])
    return None if seconds is None else say(leg, SaidDate(seconds), 'day month', arguments[1])


@command('SAY TIME', '<time> <escape_digits>')
def say_time(leg: CallLeg, arguments: list[str]) -> Outcome | None:
    seconds = scan(arguments[0])
    return None if seconds is None else say(leg, SaidTime(seconds), 'time', arguments[1])


@command('SAY DATETIME', '<time> <escape_digits> [<format>] [<timezone>]')
def say_datetime(leg: CallLeg, arguments: list[str]) -> Outcome | None:
    seconds = scan(arguments[0])
    if seconds is None:
        return None
    return say(leg, SaidDateTime(seconds, *arguments[2:]), 'day and time', arguments[1])


def say(leg: CallLeg, sound: CallEvent, spoken: str, listened: str) -> Outcome:
    digit, seconds = leg.press(listened, _SPEECH_SECONDS * len(spoken))
    return Outcome(code_of(digit), with_digit(sound, digit), seconds, broken=minus_one)
