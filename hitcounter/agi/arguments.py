"""Arguments: times and options in the form that Asterisk reads. What it would read as something else is refused."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from ..errors import CommandRefused

#: A length of time: seconds, or a timedelta.
Seconds = float | timedelta

#: A moment: one with its time zone, or seconds since 1970 UTC.
Moment = datetime | float

#: One argument of an application; a sequence stands for parts joined by `&`.
Argument = str | int | Sequence[str]

#: What a telephone can send.
KEYS = '0123456789*#ABCD'

_INT = 2**31  # the numbers of Asterisk end before it (C's int)
_LONG = 2**63  # and its moments, before and after 1970 (C's time_t)

_EXPANDED = re.compile(r'\$[{[]').search
_SPECIAL = re.compile(r'[\\,"]').sub
_SPECIAL_OR_BRACKET = re.compile(r'[\\,"()\[\]]').sub
_SEPARATING = re.compile(r'[,"\\()\[\]]').search


def milliseconds(time: Seconds) -> int:
    """`time` in milliseconds; 1 at least, unless it is 0. Raises CommandRefused for what is no time."""
    seconds = time.total_seconds() if isinstance(time, timedelta) else time
    if not 0 <= seconds < _INT / 1000:
        raise CommandRefused(f'{time!r} is no time that Asterisk can wait: give 0 to 2147483 seconds')
    return max(round(seconds * 1000), int(seconds > 0))


def whole_seconds(time: Seconds) -> int:
    """`time` in seconds, rounded up."""
    return -(-milliseconds(time) // 1000)


def timestamp(moment: Moment) -> int:
    """`moment` in seconds since 1970 UTC. Raises CommandRefused for what is none."""
    if not isinstance(moment, datetime):
        if not -_LONG <= moment < _LONG:
            raise CommandRefused(f'{moment!r} is no moment that Asterisk knows: give seconds since 1970')
        return int(moment)
    if moment.tzinfo is None:
        raise CommandRefused(f'{moment!r} has no time zone: give it one')
    return int(moment.timestamp())


def samples(offset: int) -> str:
    """`offset`, a place in a sound file, as a word."""
    if offset < 0:
        raise CommandRefused(f'{offset} is no place in a sound file: give 0 or more samples')
    return c_int(offset)


def c_int(number: int) -> str:
    """`number` as a word, if Asterisk has room for it; it would say another one otherwise."""
    if not -_INT <= number < _INT:
        raise CommandRefused(f'{number} is too large for Asterisk, whose numbers end at {_INT - 1}')
    return str(number)


def keys(text: str) -> str:
    """`text`, if all of it are keys; any other would never be pressed."""
    for key in text:
        if key not in KEYS:
            raise CommandRefused(f'{key!r} is no key of a telephone: give some of {KEYS}')
    return text


def join_arguments(arguments: Sequence[Argument]) -> str:
    r"""The `arguments` of an application as the one string that Asterisk splits into them again.

    >>> join_arguments(['PJSIP/100', 20, 'm'])
    'PJSIP/100,20,m'
    >>> join_arguments([['welcome', 'to-main'], 'say "a, b"'])
    'welcome&to-main,say \\"a\\, b\\"'

    Comma, quote and backslash are escaped, and brackets where they are no pairs (`__ast_app_separate_args` in
    app.c). Raises CommandRefused for what no escape can keep together: `&` in a string, and the `${` or `$[`
    that Asterisk expands where AGIEXECFULL is set.
    """
    return ','.join(map(_escape, arguments))


def _escape(argument: Argument) -> str:
    if isinstance(argument, int):
        return str(argument)
    if not isinstance(argument, str):
        return '&'.join(map(_escape, argument))
    refuse_expansion(argument)
    if '&' in argument:
        raise CommandRefused(f'{argument[:80]!r} holds a &, which begins another part: give the parts as a list')
    return (_SPECIAL if _is_paired(argument) else _SPECIAL_OR_BRACKET)(r'\\\g<0>', argument)


def refuse_expansion(text: str) -> None:
    """Raise CommandRefused if Asterisk may take something in `text` for a variable or an expression."""
    if _EXPANDED(text):
        raise CommandRefused(f'{text[:80]!r} holds ${{ or $[, which Asterisk may expand: read the variable first')


def plain(text: str) -> str:
    """`text`, if Asterisk reads it as one piece where it knows no escape."""
    refuse_expansion(text)
    if _SEPARATING(text):
        raise CommandRefused(
            f'{text[:80]!r} holds a comma, a bracket, a quote or a backslash: set a variable to it, and pass its name'
        )
    return text


def _is_paired(text: str) -> bool:
    """Whether Asterisk, having read `text`, has no bracket open, within which a comma would not separate."""
    for opening, closing in ('()', '[]'):
        depth = 0
        for character in text:
            if character == opening:
                depth += 1
            elif character == closing:
                depth = max(depth - 1, 0)
        if depth:
            return False
    return True
