"""Plays a set of announcements on a call: its sound files, and the values that it says."""

from collections.abc import Iterable, Iterator

from ..agi import Call
from .announcements import Group, Item, Say
from .outcome import Outcome

#: How a time is said, as in Asterisk's voicemail.conf: by the language, and in all others.
PATTERNS = {'en': "ABd 'digits/at' IMp"}  # Saturday, December fifth, at nine o'clock p.m.
PATTERN = "AdB 'digits/at' HM"  # Saturday, five December, at 21 o'clock

_SAY_NUMBER = range(-(2**31), 2**31)  # what SAY NUMBER can say

#: What can be said of a call, by the names in announcements.WAYS.
_Values = dict[str, float]


def set_language(call: Call, language: str) -> None:
    """Have Asterisk play and say everything in `language`; '' leaves the language that the channel has.

    Asterisk plays the file in English that it does not have in that language, and reports nothing. But it says a number
    by the language's own grammar, which may need files that English does not have: German says 60 for 65 then.
    """
    if language:
        call.set_variable('CHANNEL(language)', language)


def open_early_media(call: Call) -> None:
    """Let the caller hear what is played before the call is answered.

    Without it Asterisk plays all the same, and reports that it did, but a SIP phone hears nothing: it was not told
    where from. A trunk may still not pass it on. It does nothing once the call is answered.
    """
    call.exec('Progress')


def play(call: Call, items: Iterable[Item], outcome: Outcome, zone: str = 'UTC', *, language: str = '') -> None:
    """Play `items` to the caller of `outcome`, with times in the time zone `zone`.

    A value that is not known is left out, and so is the group that it is in. `language` is that of `set_language`. A
    sound file that Asterisk does not have is logged and passed over.
    """
    values = _values(outcome)
    pattern = PATTERNS.get((language or call.environment.language)[:2], PATTERN)
    for item in _known(items, values):
        match item:
            case str():
                call.stream_file(item)
            case Say('time', value):
                call.say_datetime(values[value], pattern=pattern, timezone=zone)
            case Say(way, value):
                _say_number(call, way, int(values[value]))


def _values(outcome: Outcome) -> _Values:
    in_line = outcome.number if outcome.round is None else outcome.line_number
    values = {
        'round': outcome.number,
        'line': in_line,
        'to-go': outcome.to_go,
        'calls': outcome.caller_calls,
        'opens': outcome.opens,
        'closes': outcome.closes,
    }
    return {name: value for name, value in values.items() if value is not None}


def _known(items: Iterable[Item], values: _Values) -> Iterator[str | Say]:
    """The items to play, one by one."""
    for item in items:
        if isinstance(item, Group):
            if all(_is_known(each, values) for each in item.items):
                yield from item.items
        elif _is_known(item, values):
            yield item


def _is_known(item: str | Say, values: _Values) -> bool:
    return isinstance(item, str) or item.value in values


def _say_number(call: Call, way: str, number: int) -> None:
    if way == 'digits' or number not in _SAY_NUMBER:
        call.say_digits(number)
    else:
        call.say_number(number)
