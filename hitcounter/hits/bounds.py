"""Bounds: how long the texts of a new call may be, so that what one caller sends does not slow down other calls.

They are Asterisk's own limits (channel.h): AST_MAX_EXTENSION, AST_CHANNEL_NAME and AST_MAX_UNIQUEID.
"""

from typing import TypeVar

from ..errors import LineRefused

Text = TypeVar('Text', str, str | None)

#: Bytes that a line may have. A longer one is refused: if it were cut, it would be another line.
LINE = 80

#: Bytes that a caller's number and name may have.
CALLER = 80

#: Bytes that a channel's unique id may have.
UNIQUE_ID = 151

#: The end of a text that was cut.
MARK = '…'


def check_line(line: str) -> None:
    """Raise LineRefused if `line` is too long."""
    if not isinstance(line, str):
        raise TypeError(f'the line {line!r} is not a text: give the extension that was dialled')
    if (size := _size(line)) > LINE:
        raise LineRefused(
            f'line {line[:LINE]!r}... has {size:,} bytes, more than the {LINE} allowed: the call is not counted'
        )


def cut(text: Text, most: int) -> Text:
    """`text`, or, if it has more than `most` bytes, as much of it as fits with MARK at its end."""
    if text is None or (len(text) <= most and text.isascii()) or _size(text) <= most:
        return text
    kept = text[:most]
    while _size(kept + MARK) > most:
        kept = kept[:-1]
    return kept + MARK


def _size(text: str) -> int:
    return len(text.encode('utf-8', 'surrogateescape'))
