"""Arguments: times and options in the form that Asterisk reads; what it would misread is refused."""

import operator
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from ...errors import CommandRefused

#: A length of time: seconds, or a timedelta.
Seconds = float | timedelta

#: A moment: one with its time zone, or seconds since 1970 UTC.
Moment = datetime | float

#: One argument of an application; a sequence stands for parts joined by `&`.
Argument = str | int | Sequence[str]

#: The keys of a telephone.
KEYS = '0123456789*#ABCD'

_INT = 2**31  # Asterisk's numbers are below it (C's int)
_LONG = 2**63  # and so are its moments, before and after 1970 (C's time_t)

_EXPANDED = re.compile(r'\$[{[]').search
_SPECIAL = re.compile(r'[\\,"]').sub
_SPECIAL_OR_BRACKET = re.compile(r'[\\,"()\[\]]').sub
_SEPARATING = re.compile(r'[,"\\()\[\]]').search


def seconds(time: Seconds) -> float:
    """`time` in seconds. Raises CommandRefused for what is not a time."""
    if isinstance(time, timedelta):
        return time.total_seconds()
    if not hasattr(time, '__float__'):
        raise CommandRefused(f'{time!r} is not a time: give seconds or a timedelta')
    return time


def milliseconds(time: Seconds) -> int:
    """`time` in milliseconds; 1 at least, unless it is 0. Raises CommandRefused for what Asterisk cannot wait."""
    wait = seconds(time)
    if not 0 <= wait < _INT / 1000:
        raise CommandRefused(f'{time!r} is not a time that Asterisk can wait: give 0 to 2147483 seconds')
    return max(round(wait * 1000), int(wait > 0))


def whole_seconds(time: Seconds) -> int:
    """`time` in seconds, rounded up."""
    return -(-milliseconds(time) // 1000)


def timestamp(moment: Moment) -> int:
    """`moment` in seconds since 1970 UTC. Raises CommandRefused for anything else."""
    if not isinstance(moment, datetime):
        if not hasattr(moment, '__float__'):
            raise CommandRefused(f'{moment!r} is not a moment: give a datetime, or seconds since 1970')
        if not -_LONG <= moment < _LONG:
            raise CommandRefused(f'{moment!r} is not a moment that Asterisk knows: give seconds since 1970')
        return int(moment)
    if moment.tzinfo is None:
        raise CommandRefused(f'{moment!r} has no time zone: give it one')
    return int(moment.timestamp())


def samples(offset: int) -> str:
    """`offset`, a place in a sound file, as a word."""
    if whole(offset) < 0:
        raise CommandRefused(f'{offset} is not a place in a sound file: give 0 or more samples')
    return c_int(offset)


def c_int(number: int) -> str:
    """`number` as a word, if it fits into Asterisk's integers; it would say another number otherwise."""
    if not -_INT <= (found := whole(number)) < _INT:
        raise CommandRefused(f'{number} is too large for Asterisk, whose numbers end at {_INT - 1}')
    return str(found)


def whole(number: int) -> int:
    """`number`, if it is a whole one. Raises CommandRefused for anything else, texts included."""
    try:
        return operator.index(number)
    except TypeError:
        raise CommandRefused(f'{number!r} is not a whole number: give an int') from None


def a_text(value: str) -> str:
    """`value`, if it is a text. Raises CommandRefused otherwise."""
    if not isinstance(value, str):
        raise CommandRefused(f'{value!r} is not a text: give a str')
    return value


def word(value: str | float) -> str:
    """A text or a number as a text. Raises CommandRefused for others: Asterisk would get their repr."""
    if not isinstance(value, str | int | float | Decimal):
        raise CommandRefused(f'{value!r} is neither a text nor a number: give a str or an int')
    return str(value)


def keys(text: str) -> str:
    """`text`, if it consists of keys. Raises CommandRefused otherwise."""
    if not isinstance(text, str):
        raise CommandRefused(f'{text!r} is not a text of keys: give some of {KEYS}')
    for key in text:
        if key not in KEYS:
            raise CommandRefused(f'{key!r} is not a key of a telephone: give some of {KEYS}')
    return text


def join_arguments(arguments: Sequence[Argument]) -> str:
    r"""The `arguments` of an application as the one string that Asterisk splits into them again.

    >>> join_arguments(['PJSIP/100', 20, 'm'])
    'PJSIP/100,20,m'
    >>> join_arguments([['welcome', 'to-main'], 'say "a, b"'])
    'welcome&to-main,say \\"a\\, b\\"'

    Comma, quote and backslash are escaped, and brackets where they are not paired (`__ast_app_separate_args` in
    app.c). Raises CommandRefused for what cannot be escaped: `&` in a string, and `${` or `$[`, which
    Asterisk expands where AGIEXECFULL is set.
    """
    return ','.join(map(_escape, arguments))


def _escape(argument: Argument) -> str:
    if isinstance(argument, int | float | Decimal):
        return str(argument)
    if isinstance(argument, bytes | bytearray) or not isinstance(argument, Sequence):
        raise CommandRefused(f'{argument!r} is not an argument of an application: give a text, a number or a list')
    if not isinstance(argument, str):
        return '&'.join(map(_escape, argument))
    refuse_expansion(argument)
    if '&' in argument:
        raise CommandRefused(f'{argument[:80]!r} contains a &, which begins another part: give the parts as a list')
    return (_SPECIAL if _is_paired(argument) else _SPECIAL_OR_BRACKET)(r'\\\g<0>', argument)


def refuse_expansion(text: str) -> None:
    """Raise CommandRefused if Asterisk may take something in `text` for a variable or an expression."""
    if _EXPANDED(text):
        raise CommandRefused(f'{text[:80]!r} contains ${{ or $[, which Asterisk may expand: read the variable first')


def plain(text: str) -> str:
    """`text`, if Asterisk reads it as one piece where it does not know escapes. Raises CommandRefused otherwise."""
    refuse_expansion(text)
    if _SEPARATING(text):
        raise CommandRefused(
            f'{text[:80]!r} contains a comma, bracket, quote or backslash: set a variable to it, and pass its name'
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
