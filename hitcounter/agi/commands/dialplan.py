"""Commands for the dialplan: variables, Asterisk's database, applications, and where the dialplan continues."""

import re
from collections.abc import Iterator, Mapping, Sequence

from ...errors import CommandFailed, CommandRefused
from ..exchange import COMMAND_TIMEOUT, Exchange
from ..protocol.arguments import Argument, Seconds, a_text, join_arguments, plain, word
from ..protocol.command import compose, encoded
from ..protocol.results import number_of

#: Bytes at which GET VARIABLE cuts a value (`handle_getvariable` in res_agi.c).
_VALUE_LIMIT = 1023

#: What MSet does not take as it is in a value (`__ast_app_separate_args` in app.c), or Asterisk expands before where
#: AGIEXECFULL is set, and what no command may contain.
_READ_BY_MSET = re.compile(r'[,"\\()\[\]$\n\r\0]').search

#: Variables that MSet sets at once (`pbx_builtin_setvar_multiple` in pbx_variables.c; newer versions set 99).
_PAIRS = 24

#: Bytes of the command's line beside those that are set.
_AROUND_PAIRS = len('EXEC MSet ""\n')


class DialplanCommands(Exchange):
    """Variables, functions, applications and places of the dialplan.

    Commands that may take long have a `timeout`; None is the rest of the call. When it expires, the call is lost and
    ConnectionLost is raised, while Asterisk carries out the command to its end.
    """

    def set_variable(self, name: str, value: str | int, *, timeout: Seconds | None = COMMAND_TIMEOUT) -> None:
        """Set the channel variable or function `name` for the dialplan. Runs on a dead channel too."""
        self.command('SET VARIABLE', name, word(value), timeout=timeout)

    def set_variables(self, values: Mapping[str, str | int], *, timeout: Seconds | None = COMMAND_TIMEOUT) -> None:
        """Set each of these channel variables or functions, as `set_variable` does. Runs on a dead channel too.

        One command sets up to 24 of them: `EXEC MSet`. Functions, and values that MSet would take apart, follow in
        commands of their own. If one of them must not be sent, CommandRefused is raised and none is set.
        """
        pairs, others = [], {}
        for name, value in values.items():
            text = word(value)
            if a_text(name).isidentifier() and not _READ_BY_MSET(text):
                pairs.append(f'{name}={text}')
            else:
                others[name] = text
        commands = [('EXEC', 'MSet', batch) for batch in _batches(pairs, self._line_limit - _AROUND_PAIRS)]
        commands += [('SET VARIABLE', name, text) for name, text in others.items()]
        if len(commands) > 1:
            for command in commands:
                compose(*command, limit=self._line_limit)
        for command in commands:
            self.command(*command, timeout=timeout)

    def get_variable(self, name: str, *, timeout: Seconds | None = COMMAND_TIMEOUT) -> str | None:
        """The value of the channel variable or function `name`; None if it is not set. Runs on a dead channel too.

        GET VARIABLE cuts values at 1023 bytes: a variable is then read again by GET FULL VARIABLE. A function is
        not, because reading it may have effects: use `get_full_variable` for a long value.
        """
        value = self.command('GET VARIABLE', name, timeout=timeout).data
        if value is None or len(value) * 4 < _VALUE_LIMIT or name.endswith(')'):
            return value
        if len(value.encode('utf-8', 'surrogateescape')) < _VALUE_LIMIT:
            return value
        return self.get_full_variable(name, timeout=timeout)

    def get_full_variable(
        self, name: str, *, channel: str | None = None, timeout: Seconds | None = COMMAND_TIMEOUT
    ) -> str | None:
        """The value of the variable or function `name`, of any length, on this channel or the one named `channel`.

        None if there is no such channel. Asterisk does not distinguish unset from empty: both are ''.
        The name is sent as the expression `${name}`, and must not contain an expression itself. Runs on a dead
        channel too.
        """
        if '${' in a_text(name) or '$[' in name:
            raise CommandRefused(f'{name!r} is an expression: give the bare name, or use evaluate')
        return self.evaluate(f'${{{name}}}', channel=channel, timeout=timeout)

    def evaluate(
        self, expression: str, *, channel: str | None = None, timeout: Seconds | None = COMMAND_TIMEOUT
    ) -> str | None:
        """What the dialplan would make of `expression`: `'${CALLERID(num)} at ${EPOCH}'`.

        None if there is no channel of that name. It is GET FULL VARIABLE, which runs on a dead channel too. Never
        put anything that a caller can choose into an expression.
        """
        channels = () if channel is None else (channel,)
        return self.command('GET FULL VARIABLE', expression, *channels, timeout=timeout).data

    # Asterisk's database. All of these run on a dead channel too.

    def database_get(self, family: str, key: str) -> str | None:
        """The value under `key`, or None if there is none."""
        return self.command('DATABASE GET', family, key, timeout=COMMAND_TIMEOUT).data

    def database_put(self, family: str, key: str, value: str | int) -> None:
        """Store `value` under `key`. Raises CommandFailed if Asterisk could not."""
        if self.command('DATABASE PUT', family, key, word(value), timeout=COMMAND_TIMEOUT).result != '1':
            raise CommandFailed(f'Asterisk did not store the value of {family}/{key}: its log says why')

    def database_del(self, family: str, key: str) -> bool:
        """Remove `key`; False if Asterisk could not. It reports success even if there was no such key."""
        return self.command('DATABASE DEL', family, key, timeout=COMMAND_TIMEOUT).result == '1'

    def database_deltree(self, family: str, keytree: str | None = None) -> bool:
        """Remove all of `family`, or what is below `keytree` in it; True if there was something to remove.

        Asterisk's own answer is the opposite of its help: 0 if there was something, 1 if not. To Asterisk an empty
        name means the whole database or family, and `%` any text: both are refused. `_` means any character, and
        case does not matter: `a_b` also removes `axb` and `A_B`.
        """
        for name in (family,) if keytree is None else (family, keytree):
            if not a_text(name) or '%' in name:
                raise CommandRefused(
                    f'{name!r} would remove more than it names: give a name without %, or leave out keytree'
                )
        keytrees = () if keytree is None else (keytree,)
        return self.command('DATABASE DELTREE', family, *keytrees, timeout=COMMAND_TIMEOUT).result == '0'

    # Applications and subroutines.

    def exec(self, application: str, *arguments: Argument, timeout: Seconds | None = None) -> int:
        """Run an application of the dialplan and return its result: usually 0, -1 if it failed or the caller left,
        for some the code of a key. Runs on a dead channel too. Raises CommandFailed if there is no such application.

        `call.exec('Dial', ['PJSIP/100', 'PJSIP/200'], 20)` runs `Dial(PJSIP/100&PJSIP/200,20)`. Asterisk takes all
        arguments in one string and splits it. So that no argument becomes two, commas, quotes, backslashes and single
        brackets are escaped. `&` is refused except between the parts of a list, and so are `${` and `$[`, which
        Asterisk expands where AGIEXECFULL is set. An application may interpret its argument further: never give System
        a caller's text. An application that does not split (Set, NoOp, System, and any in its last argument) sees the
        escapes: use `command('EXEC', ...)` there.
        """
        options = (join_arguments(arguments),) if arguments else ()
        result = number_of(self.command('EXEC', application, *options, timeout=timeout).result)
        if result == -2:
            raise CommandFailed(f'Asterisk has no application {application!r}: load its module')
        return result

    def gosub(
        self,
        context: str,
        extension: str,
        priority: str | int,
        *arguments: str | int,
        timeout: Seconds | None = None,
    ) -> None:
        """Run the dialplan's subroutine at `priority`, a number or a label, until it returns.

        Its ARG1, ARG2 and so on are the `arguments`, in which Asterisk knows no escape: commas and the like are
        refused. What it returns is in the variable GOSUB_RETVAL. Raises CommandFailed if it does not exist.
        """
        words = [plain(word(part)) for part in (context, extension, priority)]
        if arguments:
            words.append(','.join(plain(word(argument)) for argument in arguments))
        reply = self.command('GOSUB', *words, timeout=timeout)
        if reply.result != '0':
            raise CommandFailed(f'Asterisk did not run the subroutine {",".join(words[:3])}: {reply.text!r}')

    # Where the dialplan continues after this call.

    def set_context(self, context: str) -> None:
        """Have the dialplan continue in `context`, at the priority after this AGI's unless one is set."""
        self.command('SET CONTEXT', context, timeout=COMMAND_TIMEOUT)

    def set_extension(self, extension: str) -> None:
        """Have the dialplan continue at `extension`, at the priority after this AGI's unless one is set."""
        self.command('SET EXTENSION', extension, timeout=COMMAND_TIMEOUT)

    def set_priority(self, priority: str | int) -> None:
        """Have the dialplan continue at exactly this `priority`, a number or a label of the extension set before.

        A missing label raises CommandFailed (520); Asterisk does not report a missing number.
        """
        self.command('SET PRIORITY', word(priority), timeout=COMMAND_TIMEOUT)

    def continue_at(self, context: str, extension: str, priority: str | int = 1) -> None:
        """Have the dialplan continue at exactly this place, by the three commands above in the order that works."""
        compose('SET', context, extension, word(priority), limit=self._line_limit)  # refused before any of them is set
        self.set_context(context)
        self.set_extension(extension)
        self.set_priority(priority)


def _batches(pairs: Sequence[str], room: int) -> Iterator[str]:
    """The pairs `A=1`, joined by commas into few texts of at most `room` bytes, unless a single pair has more."""
    if len(pairs) <= _PAIRS and 4 * len(text := ','.join(pairs)) <= room:  # as usual: a character has at most 4 bytes
        yield from [text] if text else []
        return
    batch: list[str] = []
    left = room
    for pair in pairs:
        size = len(encoded(pair)) + 1
        if batch and (len(batch) == _PAIRS or size > left):
            yield ','.join(batch)
            batch, left = [], room
        batch.append(pair)
        left -= size
    if batch:
        yield ','.join(batch)
