"""How Asterisk 22 splits bytes into lines, and a line into words (`res_agi.c`: `run_agi`, `parse_args`)."""

from typing import Final

#: Bytes of one command line, newline included; a longer one runs as several commands.
MAX_LINE: Final = 8191

#: Words that fit into the table of one command.
MAX_WORDS: Final = 127

_BLANKS: Final = b' \t'
_QUOTE: Final = ord('"')
_BACKSLASH: Final = ord('\\')
_ONE_READ: Final = 4096

# Brackets, closing to opening.
_CLOSED: Final = {')': '(', ']': '['}


class LineReader:
    """The server's bytes, line by line as Asterisk reads them.

    Asterisk waits on the socket, then reads one line through the buffer of C's stdio. Lines that came in
    the same piece stay in that buffer, unread, until more bytes come: `next_line` returns None meanwhile.

    To Asterisk, which is written in C, a NUL ends a line: the rest is lost, its newline too, so that the next line
    continues it.
    """

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._socket = bytearray()
        self._buffer = bytearray()
        self._cut = b''  # what came before a NUL
        self._at_end = False

    def feed(self, piece: bytes) -> None:
        """Let bytes arrive at the socket."""
        self._socket += piece

    def feed_end(self) -> None:
        """Let the end of the connection arrive; Asterisk then reads whatever is left."""
        self._at_end = True

    @property
    def readable(self) -> bool:
        """Whether the socket is readable: a running command that watches it takes that for another command."""
        return bool(self._socket) or self._at_end

    def next_line(self) -> bytes | None:
        """The next line without its newline, or None if Asterisk does not read further yet."""
        if not self.readable:
            return None
        while (piece := self._next_piece()) is not None:
            before, nul, _ = piece.partition(b'\0')
            self._cut += before
            if not nul or len(self._cut) == self._limit:
                return self._take_cut()
        return self._take_cut() if self._at_end and self._cut else None

    def _take_cut(self) -> bytes:
        line, self._cut = self._cut, b''
        return line.removesuffix(b'\n')

    def _next_piece(self) -> bytes | None:
        """What C's fgets() returns: a line with its newline, or as much as fits."""
        while self._piece_length() is None and self._socket:
            self._buffer += self._socket[:_ONE_READ]
            del self._socket[:_ONE_READ]
        length = self._piece_length()
        if length is None and self._at_end:
            length = len(self._buffer) or None
        if length is None:
            return None
        piece = bytes(self._buffer[:length])
        del self._buffer[:length]
        return piece

    def _piece_length(self) -> int | None:
        room = self._limit - len(self._cut)
        newline = self._buffer.find(b'\n', 0, room)
        if newline >= 0:
            return newline + 1
        return room if len(self._buffer) >= room else None


def parse_args(line: bytes) -> list[bytes]:
    r"""The words of a command line without its newline.

    Space and tab separate words, double quotes group, a backslash makes the next byte literal:

    >>> parse_args(rb'SET VARIABLE a "two \"words\""')
    [b'SET', b'VARIABLE', b'a', b'two "words"']

    Plain words past `MAX_WORDS` are lost. Quoted ones are not, and overrun the table: all of them
    are returned, so that more than `MAX_WORDS` words mean a crash.
    """
    words: list[bytearray] = []
    between, quoted, escaped = True, False, False
    for byte in line:
        if byte == _BACKSLASH and not escaped:
            escaped = True
        elif byte in _BLANKS and not quoted and not escaped:
            between = True
        elif byte == _QUOTE and not escaped:
            quoted = not quoted
            if quoted and between:
                words.append(bytearray())
                between = False
        elif between and len(words) >= MAX_WORDS:
            continue
        else:
            if between:
                words.append(bytearray())
            words[-1].append(byte)
            between, escaped = False, False
    return [bytes(word) for word in words]


def separate_args(text: str, delimiter: str, most: int) -> list[str]:
    r"""The arguments of an application (`__ast_app_separate_args` in app.c).

    Quotes and brackets group, a backslash makes the next character literal; the last of `most` is all that is left:

    >>> separate_args(r'A=1,B="2,3",C=\(,D=(4,5)', ',', 99)
    ['A=1', 'B=2,3', 'C=(', 'D=(4,5)']
    >>> separate_args('A=b=c', '=', 2)
    ['A', 'b=c']
    """
    if not text:
        return []
    found, depths = [''], dict.fromkeys('([', 0)
    quoted = False
    rest = iter(enumerate(text, 1))
    for end, character in rest:
        if character in depths:
            depths[character] += 1
        elif (opening := _CLOSED.get(character)) is not None:
            depths[opening] = max(depths[opening] - 1, 0)
        elif character == '"':
            quoted = not quoted
            continue
        elif character == '\\':
            found[-1] += next(rest, (0, ''))[1]
            continue
        elif character == delimiter and not quoted and not any(depths.values()):
            if len(found) == most - 1:
                return [*found, text[end:]]
            found.append('')
            continue
        found[-1] += character
    return found
