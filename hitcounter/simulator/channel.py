"""The channel that a simulated call starts from: its environment block, and what its caller will do."""

import itertools
import re
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from .lines import MAX_LINE
from .surroundings import Application, OtherChannel

ENCODING: Final = 'utf-8'
#: Asterisk passes bytes as they are; bytes that are not UTF-8 are kept as lone surrogates.
ERRORS: Final = 'surrogateescape'

_NOT_AVAILABLE: Final = 67
_serials: Final = itertools.count(1)


class HangUpTiming(Enum):
    """How a caller hangs up."""

    DURING = 'while the command runs: its reply is a failure, then comes the line HANGUP'
    CROSSING = 'just before the command arrives: HANGUP, then the reply that a dead channel gives'
    AFTER = 'after the reply, while no command runs: the bare line HANGUP'
    VANISHING = 'while the command runs, and Asterisk with the caller: the connection closes without notice'


@dataclass(frozen=True, slots=True)
class HangUp:
    """When and how the caller hangs up: at the nth command, counted from 1, or at the first one of that name.

    `after` is how many seconds the command has run by then; None: half of the time that it would take.
    """

    at: int | str
    how: HangUpTiming = HangUpTiming.DURING
    after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One channel: the values of its environment block, its surroundings, and the caller's plans.

    A `url` that is only a path, as in `AGI(/path)`, gives the block of a process that Asterisk starts. Values are sent
    unchanged, as by Asterisk: a newline in `caller_id` makes another line of the block.

    `variables` may contain AGISIGHUP, AGIEXITONHANGUP and AGIEXECFULL, which Asterisk itself obeys, and the values of
    functions, as in `{'DEVICE_STATE(PJSIP/100)': 'BUSY'}`. `database` is AstDB, `family/key` to value; `others` are the
    channels that commands may name. `applications` are more applications for EXEC, by name, or by name and options, as
    in `Dial(PJSIP/100,20)`. `subroutines` are the values that subroutines at `context,extension,priority` return.

    All prompts, contexts, labels and folders for recordings exist, except those named in `missing`. A prompt plays for
    one second unless `samples` has its length, at 8000 per second.

    The caller presses `digits` one by one, each as soon as a command listens for it, and `keys` during the nth command
    or the first one of a name, whether it listens or not. Each key takes `seconds_per_key`, and comes too late if the
    command has ended by then; None: half of the prompt that plays. `texts` are sent one by one, each when a command
    receives texts. `dead` makes it the channel of a script that extension `h` runs.

    `line_limit` is 2047 for Asterisk 16. `arrived` is when the call arrives, in seconds since 1970, UTC, for calls in
    memory; None: now.
    """

    url: str = 'agi://127.0.0.1/hits'
    name: str = field(default_factory=lambda: f'PJSIP/simulated-{next(_serials):08x}')
    language: str = 'en'
    unique_id: str = field(default_factory=lambda: f'{int(time.time())}.{next(_serials)}')
    version: str = '22.10.1'
    caller_id: str = ''
    caller_name: str = ''
    presentation: int | None = None
    dnid: str = ''
    rdnis: str = ''
    context: str = 'default'
    extension: str = '31415'
    priority: int = 1
    account_code: str = ''
    thread_id: int = 140712503998144
    arguments: Sequence[str] = ()

    variables: Mapping[str, str] = field(default_factory=dict)
    database: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, OtherChannel] = field(default_factory=dict)
    applications: Mapping[str, Application] = field(default_factory=dict)
    subroutines: Mapping[str, str] = field(default_factory=dict)
    missing: Set[str] = frozenset()
    samples: Mapping[str, int] = field(default_factory=dict)
    dead: bool = False
    line_limit: int = MAX_LINE
    arrived: float | None = None

    digits: str = ''
    keys: Mapping[int | str, str] = field(default_factory=dict)
    seconds_per_key: float | None = None
    texts: Sequence[str] = ()
    hang_up: HangUp | None = None

    @property
    def network_script(self) -> str:
        """Everything after the host's slash, as it is in the URL."""
        return self.url.partition('://')[2].partition('/')[2]

    def environment_block(self) -> bytes:
        """The lines with which Asterisk opens an AGI call, including the empty one at the end.

        Values are sent unchanged, as by Asterisk: one with a newline makes more lines.
        """
        lines = [f'{name}: {value}\n' for name, value in self._environment()]
        return encode(''.join(lines) + '\n')

    def _environment(self) -> Iterator[tuple[str, object]]:
        if '://' in self.url:
            yield 'agi_network', 'yes'
        if self.network_script:
            yield 'agi_network_script', self.network_script
        yield 'agi_request', self.url
        yield 'agi_channel', self.name
        yield 'agi_language', self.language
        yield 'agi_type', self.name.partition('/')[0]
        yield 'agi_uniqueid', self.unique_id
        yield 'agi_version', self.version
        yield 'agi_callerid', self.caller_id or 'unknown'
        yield 'agi_calleridname', self.caller_name or 'unknown'
        yield 'agi_callingpres', self._calling_presentation()
        yield 'agi_callingani2', 0
        yield 'agi_callington', 0
        yield 'agi_callingtns', 0
        yield 'agi_dnid', self.dnid or 'unknown'
        yield 'agi_rdnis', self.rdnis or 'unknown'
        yield 'agi_context', self.context
        yield 'agi_extension', self.extension
        yield 'agi_priority', self.priority
        yield 'agi_enhanced', '0.0'
        yield 'agi_accountcode', self.account_code
        yield 'agi_threadid', self.thread_id
        for position, argument in enumerate(self.arguments, 1):
            yield f'agi_arg_{position}', argument

    def _calling_presentation(self) -> int:
        if self.presentation is not None:
            return self.presentation
        return 0 if self.caller_id or self.caller_name else _NOT_AVAILABLE


def parse_caller_id(text: str) -> tuple[str, str]:
    """Name and number, either may be empty, of a caller ID `"Zoë" <+44123>`, `Zoë <+44123>`, `+44123` or `Zoë`."""
    if named := re.fullmatch(r'\s*(.*?)\s*<([^<>]*)>\s*', text, re.DOTALL):
        return _unquote(named[1]), named[2]
    if re.fullmatch(r'[-+0-9*#() .]*', text):
        return '', text
    return _unquote(text), ''


def encode(text: str) -> bytes:
    return text.encode(ENCODING, ERRORS)


def decode(raw: bytes) -> str:
    return raw.decode(ENCODING, ERRORS)


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
