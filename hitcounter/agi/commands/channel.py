"""Commands about the channel itself: up and down, its caller ID, texts and images over it."""

import re
from contextlib import suppress
from typing import Literal

from ...errors import CommandRefused, Hangup, ProtocolError
from ..exchange import COMMAND_TIMEOUT, Exchange
from ..protocol.arguments import Seconds, a_text, c_int, milliseconds
from ..protocol.command import encoded
from ..protocol.results import ChannelState, digit_of, number_of

_NUMBER = re.compile('[0-9*#+]*').fullmatch
_NO_CALLER_ID = re.compile(r'["<>\\]').search

#: Bytes of a caller ID, name and number (`handle_setcallerid` in res_agi.c).
_CALLER_ID_LIMIT = 255


class ChannelCommands(Exchange):
    """The channel's part of a call."""

    def answer(self) -> None:
        """Answer the channel if it is not up yet."""
        self.command('ANSWER', timeout=COMMAND_TIMEOUT)

    def hangup(self, channel: str | None = None) -> bool:
        """Hang up the channel, or the one named `channel`; False if there is no channel of that name.

        After this call's own channel is hung up, the next command that needs it raises Hangup.
        """
        if channel is not None:
            return self.command('HANGUP', channel, timeout=COMMAND_TIMEOUT).result == '1'
        with suppress(Hangup):  # as requested
            self.command('HANGUP', timeout=COMMAND_TIMEOUT)
        return True

    def channel_status(self, channel: str | None = None) -> ChannelState | None:
        """The state of the channel, or of the one named `channel`; None if there is no channel of that name."""
        names = () if channel is None else (channel,)
        result = self.command('CHANNEL STATUS', *names, timeout=COMMAND_TIMEOUT).result
        if result == '-1':
            return None
        try:
            return ChannelState(number_of(result))
        except ValueError:
            raise ProtocolError(f'{result!r} is not the state of a channel') from None

    def noop(self) -> None:
        """Do nothing: this checks that Asterisk is there. Runs on a dead channel too."""
        self.command('NOOP', timeout=COMMAND_TIMEOUT)

    def verbose(self, message: str, *, level: int = 1) -> None:
        """Write `message` to Asterisk's own log, at its verbosity `level`. Runs on a dead channel too."""
        self.command('VERBOSE', message, c_int(level), timeout=COMMAND_TIMEOUT)

    def asyncagi_break(self) -> None:
        """End a session of AsyncAGI; over FastAGI, Asterisk does nothing. Runs on a dead channel too."""
        self.command('ASYNCAGI BREAK', timeout=COMMAND_TIMEOUT)

    def set_autohangup(self, time: Seconds) -> None:
        """Have Asterisk hang up in `time` from now; 0 cancels that."""
        self.command('SET AUTOHANGUP', f'{milliseconds(time) / 1000:.10g}', timeout=COMMAND_TIMEOUT)

    def set_callerid(self, number: str, *, name: str = '') -> None:
        """Set the caller's number and name; an empty one is removed.

        Asterisk takes both in one argument, `"name" <number>`, of at most 255 bytes and without escapes: longer
        ones, and the characters `"`, `<`, `>` and backslash, are refused.
        """
        for part in (name, number):
            if _NO_CALLER_ID(a_text(part)):
                raise CommandRefused(f'{part[:80]!r} contains a quote, a backslash, < or >, which a caller ID cannot')
        caller_id = number if not name and _NUMBER(number) else f'"{name}" <{number}>'
        if len(encoded(caller_id)) > _CALLER_ID_LIMIT:
            raise CommandRefused(f'{caller_id[:80]!r} is longer than Asterisk takes, {_CALLER_ID_LIMIT} bytes')
        self.command('SET CALLERID', caller_id, timeout=COMMAND_TIMEOUT)

    def set_music(self, on: bool = True, *, music_class: str | None = None) -> None:
        """Play music on hold, or stop it. Asterisk reports success even if it does not have the class."""
        classes = () if music_class is None or not on else (music_class,)
        self.command('SET MUSIC', 'ON' if on else 'OFF', *classes, timeout=COMMAND_TIMEOUT)

    def tdd_mode(self, mode: Literal['on', 'off', 'mate']) -> bool:
        """Set the channel to a telephone for the deaf (TDD), or back; False if the channel cannot."""
        if mode not in ('on', 'off', 'mate'):
            raise CommandRefused(f"{mode!r} is not a mode of TDD: give 'on', 'off' or 'mate'")
        return self.command('TDD MODE', mode.upper(), timeout=COMMAND_TIMEOUT).result == '1'

    # Texts and images. Most channels carry none.

    def send_text(self, text: str) -> bool:
        """Send `text` to the caller; False if that failed. True also on a channel that carries no text."""
        return self.command('SEND TEXT', text, timeout=COMMAND_TIMEOUT).result == '0'

    def send_image(self, name: str) -> bool:
        """Send the image `name`, given without its extension; False if that failed.

        True also if there is no such image, or the channel carries none.
        """
        return self.command('SEND IMAGE', name, timeout=COMMAND_TIMEOUT).result == '0'

    def receive_char(self, timeout: Seconds | None = None) -> str | None:
        """The next ASCII character that the caller sends as text; None if none comes in time.

        Without a `timeout` it waits for ever. On a time-out Asterisk answers `-1 (hangup)` even if the caller is
        still there: that alone does not raise Hangup.
        """
        words, limit = _patience(timeout)
        result = self.command('RECEIVE CHAR', words, timeout=limit).result
        return None if result.startswith('-') else digit_of(result)

    def receive_text(self, timeout: Seconds | None = None) -> str | None:
        """The next text that the caller sends; None if none comes in time. Without a `timeout` it waits for ever."""
        words, limit = _patience(timeout)
        reply = self.command('RECEIVE TEXT', words, timeout=limit)
        return reply.data if reply.result == '1' else None


def _patience(timeout: Seconds | None) -> tuple[str, float | None]:
    """A time-out as these commands take it, 0 for none, and the seconds within which the reply must come."""
    if timeout is None:
        return '0', None
    wait = max(milliseconds(timeout), 1)
    return str(wait), wait / 1000 + COMMAND_TIMEOUT
