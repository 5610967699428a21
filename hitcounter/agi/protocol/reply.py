"""Replies: what Asterisk sends after the environment, assembled from bytes."""

import re
from dataclasses import dataclass

from ...counts import count_of
from ...errors import ProtocolError

#: Bytes that one reply may have; the longest (a variable, a usage text) have about ten thousand.
REPLY_LIMIT = 65_536

_LINE = re.compile(
    rb'200 result=(?P<result>[^ \n]*)(?: \((?P<data>.*)\))?(?: endpos=(?P<endpos>-?\d{1,19}))?(?: (?P<text>[^\n]*))?',
    re.DOTALL,
).fullmatch
# Only SPEECH RECOGNIZE has more than a position after the bracket, and does not end with one.
_SPEECH = re.compile(
    rb'200 result=(?P<result>1) \((?P<data>speech|digit)\) '
    rb'(?P<text>(?:digit=[^\n] )?endpos=(?P<endpos>-?\d{1,19})(?: results=\d+ .*)?)',
    re.DOTALL,
).fullmatch
_CLOSED = re.compile(rb'\)(?: endpos=-?\d+)?\Z').search
_USAGE_END = re.compile(rb'520 End of proper usage\.\r?\n').search  # older versions put it right after the text
# All that Asterisk sends while no command is running, and the beginning of one more such line.
_UNASKED = re.compile(rb'((?:HANGUP)?\r?\n)*(?P<half>(?:HANGUP|HANGU|HANG|HAN|HA|H)?\r?)').fullmatch
# What GOSUB sends before its reply.
_ANNOUNCEMENT = b'100 result=0 Trying...'
_FIRST_WORD = re.compile(rb'agi_[a-z0-9_]{1,40}|[1-5]\d\d\b|[A-Za-z]{1,20}\b').match


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for a command."""

    #: 200, or 503 out of memory, 510 unknown command, 511 not on a dead channel, 520 wrong syntax.
    status: int
    #: What follows `result=`: usually a number, but for GET DATA digits and letters, or nothing.
    result: str = ''
    #: The text in brackets, or None: a variable's value, `timeout`, `dtmf`, `hangup`, `speech`.
    data: str | None = None
    #: Where playing or recording stopped: in samples, or in milliseconds for CONTROL STREAM FILE.
    endpos: int | None = None
    #: The rest of the reply: the usage of a 520, `Gosub complete`, what was spoken.
    text: str = ''


_ZERO = Reply(200, '0')
_ONE = Reply(200, '1')


class Replies:
    """Pairs the bytes that Asterisk sends with the one command that is running.

    There is never more than one, so everything received belongs to its reply or is the line HANGUP. That resolves what
    the protocol leaves open: a value may contain newlines, and then lines that look like replies. What arrives while
    no command is running is never taken for the reply to the next one: a caller may have written it.
    """

    def __init__(self) -> None:
        self._buffer = b''
        #: True from the line HANGUP on.
        self.hung_up = False

    def feed(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > REPLY_LIMIT:
            raise ProtocolError(f'Asterisk does not send a reply of more than {REPLY_LIMIT} bytes')

    def note(self, data: bytes) -> None:
        """As `feed`, but while no reply is due: HANGUP takes effect at once, the rest is kept and refused later."""
        self.feed(data)
        lines = self._buffer.split(b'\n')[:-1]
        self.hung_up = self.hung_up or any(line.rstrip(b'\r') == b'HANGUP' for line in lines)

    def take_unasked(self) -> None:
        """Take what arrived while no command was running, which may only be HANGUP.

        Raises ProtocolError for anything else, now and at each later call.
        """
        if not self._buffer:  # usually
            return
        unasked = _UNASKED(self._buffer)
        if unasked is None:
            raise ProtocolError(f'{_shown(self._buffer.lstrip())} came when no command was waiting for a reply')
        self.hung_up = self.hung_up or b'HANGUP' in self._buffer[: unasked.start('half')]
        self._buffer = unasked['half']

    @property
    def holds_value(self) -> bool:
        """Whether a value has begun; it may continue after what looks like its end."""
        return b' (' in self._buffer

    def take(self) -> Reply | None:
        """The reply; None until it is complete. Raises ProtocolError for more than one, or for anything else."""
        if self._buffer == b'200 result=0\n':  # by far the most frequent reply
            self._buffer = b''
            return _ZERO
        if self._buffer == b'200 result=1\n':
            self._buffer = b''
            return _ONE
        self._skip_to_reply()
        reply = self._first_reply() if b'\n' in self._buffer else None
        if reply is not None:
            self.take_unasked()
        return reply

    def _first_reply(self) -> Reply | None:
        status = self._buffer[:4]
        if status == b'200 ':
            return self._success()
        if status == b'520-':
            return self._usage()
        if status in (b'510 ', b'511 ', b'520 ', b'503 '):
            line = self._take_line()
            return Reply(int(line[:3]), text=_text(line[4:]))
        raise ProtocolError(f'{_shown(self._buffer)} is not a reply of Asterisk')

    def _skip_to_reply(self) -> None:
        """Take the lines that precede a reply off the buffer: HANGUP, empty ones, one that announces it."""
        while True:
            line, newline, rest = self._buffer.partition(b'\n')
            line = line.rstrip(b'\r')
            if not newline or line not in (b'', b'HANGUP', _ANNOUNCEMENT):
                return
            self.hung_up = self.hung_up or line == b'HANGUP'
            self._buffer = rest

    def _take_line(self) -> bytes:
        line, _, self._buffer = self._buffer.partition(b'\n')
        return line.rstrip(b'\r')

    def _success(self) -> Reply | None:
        first, _, more = self._buffer.partition(b'\n')
        hangups = b''
        if b' (' in first:
            if not self._buffer.endswith(b'\n'):
                return None
            value, hangups = _split_hangups(self._buffer)
            closed = _CLOSED(value)
            match = _LINE(value) if closed else _SPEECH(value)
            if not (closed or match):
                return None
        else:
            value, hangups = first.rstrip(b'\r'), more
            match = _LINE(value)
        if match is None:
            raise ProtocolError(f'{_shown(value)} is not a reply of Asterisk')
        self._buffer = hangups
        result, data, endpos, text = match.group('result', 'data', 'endpos', 'text')
        return Reply(
            200,
            _text(result),
            None if data is None else _text(data),
            None if endpos is None else int(endpos),
            _text(text or b''),
        )

    def _usage(self) -> Reply | None:
        end = _USAGE_END(self._buffer)
        if end is None:
            return None
        usage = self._buffer[: end.start()].partition(b'\n')[2]
        self._buffer = self._buffer[end.end() :]
        return Reply(520, text=_text(usage).strip())


def _split_hangups(buffer: bytes) -> tuple[bytes, bytes]:
    """`buffer` without its last newline, and the lines HANGUP or empty ones that end it."""
    end = len(buffer)
    while True:
        after = end
        end -= buffer.endswith(b'\n', 0, end)
        end -= buffer.endswith(b'\r', 0, end)
        if buffer.endswith(b'\nHANGUP', 0, end):
            end -= len(b'HANGUP')
        elif not buffer.endswith(b'\n', 0, end):
            return buffer[:end], buffer[after:]


def _shown(data: bytes) -> str:
    """A description of the first line of `data` for a message, without a caller's name or a PIN."""
    word = _FIRST_WORD(data)
    size = len(data.partition(b'\n')[0])
    if word is None:
        return f'a line of {count_of(size, "byte")}'
    cause = ' (a value before it contains a newline)' if word[0].startswith(b'agi_') else ''
    return f'a line of {count_of(size, "byte")} that begins with {_text(word[0])!r}{cause}'


def _text(data: bytes) -> str:
    return data.decode('utf-8', 'surrogateescape')
