"""An exchange: commands go out over a stream, and each reply is paired with its command, whatever its arguments."""

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
    """The part of a call that sends commands and receives replies; `Call` documents its rules."""

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
        arrived: float | None = None,
    ) -> None:
        #: What Asterisk sent at the beginning. Nothing is masked, not even if the caller withholds the number.
        self.environment = environment
        #: True if the caller withholds number and name: then log, store and show neither.
        self.caller_withheld = not keep_withheld and environment.presentation is Presentation.PROHIBITED
        #: When the server accepted its connection, or Asterisk started its process, in seconds since 1970, UTC. Compare
        #: it with a deadline: a call that was in time loses nothing by waiting.
        self.arrived = time.time() if arrived is None else arrived
        #: The caller's voice if Asterisk's EAGI runs the script; otherwise None.
        self.audio = audio
        #: The parameters of the script's path, decoded: `call.parameters['line']`.
        self.parameters = parameters
        #: The result of the call, for its line in the log: a script may set it to a number or a short text. It is
        #: logged even if the caller withholds the number: it must not identify the caller, and never be a PIN.
        self.result: str | int | None = None
        self._stream = stream
        self._deadline = deadline  # of the whole call, on the clock of time.monotonic()
        self._line_limit = line_limit
        self._replies = Replies()
        self._replies.feed(received)  # what came right after the environment
        self._refuse_forged_line()
        self._hangup_raised = False
        self._unanswered = ''  # the running command, or one whose reply can no longer be paired with it
        self._lost = ''  # why nothing more can be sent
        # Whether a caller may have written what comes before the next command, in a value of the environment or of a
        # reply.
        self._is_wary = True
        self._value_came = False

    def __repr__(self) -> str:
        environment = self.environment
        return f'<{type(self).__name__} {environment.unique_id} to {environment.extension!r:.82}>'

    def _refuse_forged_line(self) -> None:
        """Raise ProtocolError if anything but HANGUP came with the environment."""
        try:
            self._replies.take_unasked()
        except ProtocolError:
            if not self.caller_withheld:
                raise
            raise ProtocolError(
                'a line came with the environment; it is not shown because it may identify the caller'
            ) from None

    @functools.cached_property
    def url_query(self) -> Mapping[str, tuple[str, ...]]:
        """The query of `agi://host/path?query`, decoded: each name and its values, at least one."""
        return query_of(self.environment.script)

    @property
    def hung_up(self) -> bool:
        """True once the caller is gone or Asterisk has closed the connection; each access checks for that.

        A script that works for long without commands can check it, to end in time. A channel that is redirected to
        another place in the dialplan looks the same to AGI.
        """
        return self._replies.hung_up or self._has_come_to_hangup()

    def wait_for_hangup(self, timeout: Seconds) -> bool:
        """Wait up to `timeout` for a hangup, while no command is running; returns `hung_up`.

        Raises ConnectionLost once the call has reached its time limit.
        """
        left = seconds(timeout)
        end = time.monotonic() + left
        while not self.hung_up and left > 0:
            if time.monotonic() >= self._deadline:
                self._lost = 'the call has reached its time limit'
                raise ConnectionLost(self._lost)
            pulse = min(left, _PULSE)
            if not self._stream.wait(pulse):
                left = min(left - pulse, end - time.monotonic())  # time passes faster in the test kit
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
        """Record a hangup announced otherwise than by the line HANGUP; a signal handler may call it."""
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
        """Raise ProtocolError if anything but HANGUP has come since the last reply, unless one is still expected."""
        if self._unanswered:
            return
        if self._is_wary:
            self._replies.feed(self._stream.pending())
        self._replies.take_unasked()

    def command(self, name: str, *arguments: str, timeout: Seconds | None = None) -> Reply:
        """Send any command and return its reply: `call.command('GET VARIABLE', 'EXTEN')`.

        `name` is one or more words, in any case, and is sent as it is; each of the `arguments` reaches Asterisk as
        one word. The name is logged, the arguments are not. `timeout` limits the wait for the reply; None: until the
        call's deadline.
        """
        reply = self._exchange(name, arguments, timeout)
        if reply.status == 200 and not self._replies.hung_up:  # most replies, and this is the fast path
            return reply
        return self._checked(name, reply)

    def _exchange(self, name: str, arguments: tuple[str, ...], timeout: Seconds | None) -> Reply:
        """Send a command and return its reply, whatever its status."""
        if timeout is not None:
            timeout = seconds(timeout)
        line = compose(name, *arguments, limit=self._line_limit)
        if self._hangup_raised and not runs_dead(name):
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
            if self._replies.hung_up and not self._hangup_raised:  # as AGIEXITONHANGUP makes it
                raise self._hangup_error(name) from error
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
                if time.monotonic() >= deadline:  # a trickle of bytes is not an answer
                    raise TimeoutError
        except TimeoutError:
            raise ConnectionLost(f'Asterisk did not answer {name} in time') from None

    def _feed_all_pending(self) -> None:
        """Feed everything received so far: a value may contain what looks like its end, and may come in pieces."""
        while data := self._stream.pending():
            self._replies.feed(data)

    def _checked(self, name: str, reply: Reply) -> Reply:
        """Return `reply`, or raise for a hangup or a refusal, without the arguments: they may be a PIN."""
        if reply.status == 511:
            self._replies.hung_up = True
        if self._replies.hung_up and not (self._hangup_raised and reply.status != 511):
            raise self._hangup_error(name)
        if reply.status != 200:
            raise CommandFailed(f'Asterisk answered {reply.status} to {name}: {reply.text!r}')
        return reply

    def _hangup_error(self, name: str) -> Hangup:
        self._hangup_raised = True
        return Hangup(f'the caller hung up before {name} was over')
