"""A call: typed commands over a stream, each reply paired with its command."""

import logging
import math
import time
from contextlib import suppress
from dataclasses import dataclass

from ..errors import CommandFailed, ConnectionLost, Hangup, ProtocolError
from .command import compose
from .environment import Environment
from .reply import Replies, Reply
from .stream import Stream

logger = logging.getLogger(__name__)

#: Seconds that Asterisk may take for a command that it carries out at once.
COMMAND_TIMEOUT = 30.0

#: The commands that Asterisk carries out on a dead channel too (its help says "Runs Dead: Yes").
RUN_DEAD = frozenset(
    (
        'ASYNCAGI BREAK',
        'DATABASE DEL',
        'DATABASE DELTREE',
        'DATABASE GET',
        'DATABASE PUT',
        'EXEC',
        'GET FULL VARIABLE',
        'GET VARIABLE',
        'NOOP',
        'SET VARIABLE',
        'SPEECH DESTROY',
        'SPEECH UNLOAD GRAMMAR',
        'VERBOSE',
    )
)


@dataclass(frozen=True, slots=True)
class Playback:
    """How a sound file's playing ended."""

    #: The escape digit that ended it, or None.
    digit: str | None
    #: Samples played, 8000 a second.
    endpos: int
    #: False if Asterisk could not play it: mostly, the sound file is not there.
    played: bool


class Call:
    """One AGI session, from the environment to the close; one thread uses it at a time.

    Every command waits for its reply. Once the caller is gone it raises Hangup, one time, with the reply already
    paired; from then on the commands in RUN_DEAD work and the others raise Hangup without asking Asterisk. All of
    them raise ConnectionLost when Asterisk is gone or does not answer in time, ProtocolError when it talks
    nonsense, CommandRefused for what may not be sent, and CommandFailed for what Asterisk refused.
    """

    def __init__(
        self, environment: Environment, stream: Stream, received: bytes = b'', *, deadline: float = math.inf
    ) -> None:
        self.environment = environment
        self._stream = stream
        self._deadline = deadline  # of the whole call, on the clock of time.monotonic()
        self._replies = Replies()
        self._replies.feed(received)  # what came right behind the environment
        self._hangup_told = False
        self._value_came = False

    @property
    def hung_up(self) -> bool:
        """True from the moment on at which this side has read that the caller is gone."""
        return self._replies.hung_up

    def command(self, name: str, *arguments: str, timeout: float | None = None) -> Reply:
        """Send the command `name` and return its reply; `timeout` in seconds, None: only the call's deadline."""
        line = compose(name, *arguments)
        if self._hangup_told and name.upper() not in RUN_DEAD:
            raise Hangup(f'the caller has hung up, and {name} needs a live channel')
        self._forget_last_reply()
        self._stream.send(line)
        deadline = self._deadline if timeout is None else min(self._deadline, time.monotonic() + timeout)
        reply = self._receive(name, deadline)
        logger.debug('%s: %s answered %d', self.environment.unique_id, name, reply.status)
        self._tell_hangup(name, reply)
        if reply.status != 200:
            raise CommandFailed(f'Asterisk answered {reply.status} to {name}: {reply.text!r}')
        return reply

    def _forget_last_reply(self) -> None:
        """A value with newlines may come in pieces: what is left of one is no part of the next reply."""
        if self._value_came:
            self._replies.feed(self._stream.pending())
        self._replies.clear()

    def _receive(self, name: str, deadline: float) -> Reply:
        try:
            while True:
                self._replies.feed(self._stream.receive(deadline))
                reply = self._replies.take()
                if reply is not None:
                    self._value_came = reply.data is not None
                    return reply
                if time.monotonic() >= deadline:  # a trickle of bytes is no answer
                    raise TimeoutError
        except TimeoutError:
            raise ConnectionLost(f'Asterisk did not answer {name} in time') from None

    def _tell_hangup(self, name: str, reply: Reply) -> None:
        if reply.status == 511:
            self._replies.hung_up = True
        if self._replies.hung_up and not (self._hangup_told and reply.status != 511):
            self._hangup_told = True
            raise Hangup(f'the caller hung up before {name} was over')

    # The commands, by Asterisk's names.

    def answer(self) -> None:
        """Answer the channel if it is not up yet."""
        self.command('ANSWER', timeout=COMMAND_TIMEOUT)

    def hangup(self) -> None:
        """Hang up the channel. The next command that needs it raises Hangup."""
        with suppress(Hangup):  # that is what was asked for
            self.command('HANGUP', timeout=COMMAND_TIMEOUT)

    def stream_file(self, name: str, *, escape_digits: str = '', offset: int = 0) -> Playback:
        """Play the sound file `name`, given without its extension, from sample `offset` on.

        A key among `escape_digits` ends it. A file that Asterisk does not have is no error here: `played` is False.
        """
        arguments = (name, escape_digits, str(offset)) if offset else (name, escape_digits)
        reply = self.command('STREAM FILE', *arguments)
        return Playback(_digit(reply.result), reply.endpos or 0, reply.result != '-1')

    def say_number(self, number: int, *, escape_digits: str = '', gender: str | None = None) -> str | None:
        """Say `number` in the channel's language; returns the escape digit that ended it, or None."""
        arguments = (str(number), escape_digits) if gender is None else (str(number), escape_digits, gender)
        return _digit(self.command('SAY NUMBER', *arguments).result)

    def set_variable(self, name: str, value: str | int) -> None:
        """Set the channel variable `name` for the dialplan. Runs on a dead channel too."""
        self.command('SET VARIABLE', name, str(value), timeout=COMMAND_TIMEOUT)

    def get_variable(self, name: str) -> str | None:
        """The value of the channel variable or function `name`; None if it is not set. Runs on a dead channel."""
        return self.command('GET VARIABLE', name, timeout=COMMAND_TIMEOUT).data

    def verbose(self, message: str, *, level: int = 1) -> None:
        """Write `message` to Asterisk's own log, at its verbosity `level`. Runs on a dead channel too."""
        self.command('VERBOSE', message, str(level), timeout=COMMAND_TIMEOUT)


def _digit(result: str) -> str | None:
    """The key whose ASCII code a reply gives; None for 0, no key, and for -1, a failure."""
    if result in ('0', '-1', ''):
        return None
    try:
        return chr(int(result))
    except (ValueError, OverflowError):
        raise ProtocolError(f'{result!r} is not the code of a key') from None
