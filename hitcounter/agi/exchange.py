"""A session: commands over a stream, each reply paired with its command. It knows no command's arguments."""

import functools
import logging
import math
import time
from collections.abc import Mapping
from types import MappingProxyType

from ..errors import CommandFailed, ConnectionLost, Hangup, ProtocolError
from .audio import Audio
from .protocol.arguments import Seconds, seconds
from .protocol.command import LINE_LIMIT, compose, runs_dead
from .protocol.environment import Environment, Presentation
from .protocol.reply import Replies, Reply
from .protocol.request import query_of
from .stream import Stream

logger = logging.getLogger(__name__)

#: Seconds after which a wait for a hangup checks whether a signal has announced one.
_PULSE = 0.1

#: Seconds that Asterisk may take for a command that it carries out at once.
COMMAND_TIMEOUT = 30.0


class Exchange:
    """The part of a call that knows how commands go out and replies come in; `Call` tells what it keeps to."""

    def __init__(
        self,
        environment: Environment,
        stream: Stream,
        received: bytes = b'',
        *,
        parameters: Mapping[str, str] = MappingProxyType({}),
        deadline: float = math.inf,
        line_limit: int = LINE_LIMIT,
        audio: Audio | None = None,
        keep_withheld: bool = False,
    ) -> None:
        #: What Asterisk sent at the beginning. Nothing is masked, not even for callers who withhold who they are.
        self.environment = environment
        #: True if the caller withholds number and name: then log, store and show neither.
        self.caller_withheld = not keep_withheld and environment.presentation is Presentation.PROHIBITED
        #: What the caller says, for a script that Asterisk's EAGI runs; else None.
        self.audio = audio
        #: What the parameters of the script's path stand for, decoded: `call.parameters['line']`.
        self.parameters = parameters
        #: What the call came to, for its line in the log: a script may set it to a number or a short text. It is
        #: logged for callers who withhold who they are, too: it must not say who called, nor be a PIN.
        self.result: str | int | None = None
        self._stream = stream
        self._deadline = deadline  # of the whole call, on the clock of time.monotonic()
        self._line_limit = line_limit
        self._replies = Replies()
        self._replies.feed(received)  # what came right after the environment
        self._refuse_forged_line()
        self._hangup_told = False
        self._unanswered = ''  # the command that is under way, or whose reply will not come in step any more
        self._lost = ''  # why nothing more can be sent
        # Whether a caller may have written what comes before the next command, in a value of the environment or in one
        # that a command returned.
        self._is_wary = True
        self._value_came = False

    def __repr__(self) -> str:
        environment = self.environment
        return f'<{type(self).__name__} {environment.unique_id} to {environment.extension!r:.82}>'

    def _refuse_forged_line(self) -> None:
        """Raise ProtocolError if more than a HANGUP came with the environment."""
        try:
            self._replies.take_unasked()
        except ProtocolError:
            if not self.caller_withheld:
                raise
            raise ProtocolError(
                'a line came with the environment that is not shown, since it may say who called'
            ) from None

    @functools.cached_property
    def url_query(self) -> Mapping[str, tuple[str, ...]]:
        """The query of `agi://host/path?query`, decoded: each name and its values, of which there is one at least."""
        return query_of(self.environment.script)

    @property
    def hung_up(self) -> bool:
        """True once the caller is gone or Asterisk has closed the connection; each access checks for that.

        A script that does other things than commands for long can so end in time. To AGI, a channel that is sent
        elsewhere in the dialplan, as by a redirect, looks the same.
        """
        return self._replies.hung_up or self._has_come_to_hangup()

    def wait_for_hangup(self, timeout: Seconds) -> bool:
        """Wait for a hangup, for `timeout` at most, while no command is under way; returns `hung_up`.

        Raises ConnectionLost once the call has lasted as long as it may.
        """
        left = seconds(timeout)
        end = time.monotonic() + left
        while not self.hung_up and left > 0:
            if time.monotonic() >= self._deadline:
                self._lost = 'the call has lasted as long as it may'
                raise ConnectionLost(self._lost)
            pulse = min(left, _PULSE)
            if not self._stream.wait(pulse):
                left = min(left - pulse, end - time.monotonic())  # the test kit's time goes faster
        return self._replies.hung_up

    @property
    def noticed_hangup(self) -> bool:
        """Whether a hangup was noticed so far; unlike `hung_up`, it does not check for one."""
        return self._replies.hung_up

    @property
    def lost(self) -> str:
        """Why nothing more can be sent; empty if all is well."""
        return self._lost or (f'{self._unanswered} has no reply' if self._unanswered else '')

    def note_hangup(self) -> None:
        """Take note of a hangup told by other means than the line HANGUP; a signal handler may do so."""
        self._replies.hung_up = True

    def _has_come_to_hangup(self) -> bool:
        if self._stream.wait(0):
            try:
                received = self._stream.pending()
            except ConnectionLost:
                received = b''
            if received:
                self._replies.note(received)
            else:
                self.note_hangup()
        return self._replies.hung_up

    def expect_silence(self) -> None:
        """Raise ProtocolError if anything but HANGUP has come since the last reply, unless a reply is still due."""
        if self._unanswered:
            return
        if self._is_wary:
            self._replies.feed(self._stream.pending())
        self._replies.take_unasked()

    def command(self, name: str, *arguments: str, timeout: Seconds | None = None) -> Reply:
        """Send any command and return its reply: `call.command('GET VARIABLE', 'EXTEN')`.

        `name` is the command's, of one word or more, in any case, and goes out as it is; each of the `arguments`
        reaches Asterisk as one word. The name is logged, the arguments are not. `timeout` is how long the reply may
        take; None: until the call's deadline.
        """
        reply = self._exchange(name, arguments, timeout)
        if reply.status == 200 and not self._replies.hung_up:  # mostly, and the quicker for it
            return reply
        return self._settled(name, reply)

    def _exchange(self, name: str, arguments: tuple[str, ...], timeout: Seconds | None) -> Reply:
        """Send a command and take its reply, whatever it is."""
        if timeout is not None:
            timeout = seconds(timeout)
        line = compose(name, *arguments, limit=self._line_limit)
        if self._hangup_told and not runs_dead(name):
            raise Hangup(f'the caller has hung up, and {name} needs a live channel')
        if self._unanswered:
            raise ConnectionLost(f'{name} was not sent, because {self._unanswered} has no reply yet: let the call end')
        self.expect_silence()
        self._unanswered = name
        deadline = self._deadline if timeout is None else min(self._deadline, time.monotonic() + timeout)
        try:
            self._stream.send(line)
            reply = self._receive(name, deadline)
        except ProtocolError as error:
            self._lost = str(error)
            raise
        except ConnectionLost as error:
            if self._replies.hung_up and not self._hangup_told:  # as AGIEXITONHANGUP has it
                raise self._told_of_hangup(name) from error
            self._lost = str(error)
            raise
        self._unanswered = ''
        logger.debug('%s: %s answered %d', self.environment.unique_id, name, reply.status)
        return reply

    def _receive(self, name: str, deadline: float) -> Reply:
        try:
            while True:
                self._replies.feed(self._stream.receive(deadline))
                if self._replies.holds_value:
                    self._feed_all_pending()
                reply = self._replies.take()
                if reply is not None:
                    self._is_wary = self._value_came = self._value_came or reply.data is not None
                    return reply
                if time.monotonic() >= deadline:  # a trickle of bytes is no answer
                    raise TimeoutError
        except TimeoutError:
            raise ConnectionLost(f'Asterisk did not answer {name} in time') from None

    def _feed_all_pending(self) -> None:
        """Feed all that has come so far: a value may hold what looks like its end, and may come in pieces."""
        while data := self._stream.pending():
            self._replies.feed(data)

    def _settled(self, name: str, reply: Reply) -> Reply:
        """`reply`, unless it tells of a hangup or a refusal. Neither shows the arguments: they may be a PIN."""
        if reply.status == 511:
            self._replies.hung_up = True
        if self._replies.hung_up and not (self._hangup_told and reply.status != 511):
            raise self._told_of_hangup(name)
        if reply.status != 200:
            raise CommandFailed(f'Asterisk answered {reply.status} to {name}: {reply.text!r}')
        return reply

    def _told_of_hangup(self, name: str) -> Hangup:
        self._hangup_told = True
        return Hangup(f'the caller hung up before {name} was over')
