"""Bounds: how long the texts of a new call may be, so that no caller slows down the calls of others.

They are Asterisk's own limits (channel.h): AST_MAX_EXTENSION, AST_CHANNEL_NAME and AST_MAX_UNIQUEID.
"""

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


def check_line(line: str) -> None:
    """Raise LineRefused if `line` is too long."""
    if not isinstance(line, str):
        raise TypeError(f'the line {line!r} is not a text: give the extension that was dialled')
    if (size := _size(line)) > LINE:
        raise LineRefused(
            f'line {line[:LINE]!r}... has {size:,} bytes, and {LINE} are allowed: the call is not counted'
        )


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
