"""Bounds: what a new line may be called, and how long the texts of a call are, so that none slows down those of others.

The lengths are Asterisk's own limits (channel.h): AST_MAX_EXTENSION, AST_CHANNEL_NAME and AST_MAX_UNIQUEID.
"""

import re
from typing import TypeVar

from ..errors import LineRefused

Text = TypeVar('Text', str, str | None)

#: Bytes that a line may have. A longer one is refused, because a part of it would be another line.
LINE = 80

#: Bytes that a caller's number and name may have.
CALLER = 80

#: Bytes that a channel's unique id may have.
UNIQUE_ID = 151

#: What a text ends with that was cut.
MARK = '…'

#: What would be another line in a log or a terminal, or do worse there.
_CONTROL = re.compile('[\0-\x1f\x7f-\x9f\u2028\u2029]').search

#: Bytes that are not UTF-8 are kept as surrogates.
_NOT_UTF_8 = re.compile('[\ud800-\udfff]').search


def check_line(line: str) -> None:
    """Raise LineRefused if no new line can be called `line`."""
    if not isinstance(line, str):
        raise TypeError(f'the line {line!r} is not a text: give the extension that was dialled')
    if not line:
        raise LineRefused('the line is empty: dial or name one of at least one character')
    shown = f'{line[:LINE]!r}...' if len(line) > LINE else repr(line)
    if found := _NOT_UTF_8(line):
        raise LineRefused(f'line {shown} is not UTF-8, because of {found[0]!r}: dial or name one that is')
    if found := _CONTROL(line):
        raise LineRefused(f'line {shown} contains the control character {found[0]!r}: dial or name one without it')
    if (size := _size(line)) > LINE:
        raise LineRefused(f'line {shown} has {size:,} bytes: dial or name one of at most {LINE}')


def is_usual(line: str) -> bool:
    """Whether `check_line` accepts `line`, found out fast; false for a few lines that it accepts, too."""
    return 0 < len(line) <= LINE // 4 and line.isprintable()


def cut(text: Text, most: int) -> Text:
    """`text` if it has at most `most` bytes, or else its beginning with MARK, within as many bytes."""
    if text is None or (len(text) <= most and text.isascii()) or _size(text) <= most:
        return text
    kept = text[:most]
    while _size(kept + MARK) > most:
        kept = kept[:-1]
    return kept + MARK


def _size(text: str) -> int:
    return len(text.encode('utf-8', 'surrogateescape'))
