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
#: Asterisk passes bytes as they are; those that are no UTF-8 are kept as lone surrogates.
ERRORS: Final = 'surrogateescape'

_NOT_AVAILABLE: Final = 67
_serials: Final = itertools.count(1)


class HangUpTiming(Enum):
    """How a caller goes."""

    DURING = 'while the command runs: its reply is a failure, then comes the line HANGUP'
    CROSSING = 'just before the command arrives: HANGUP, then the reply that a dead channel gives'
    AFTER = 'after the reply, while no command runs: the bare line HANGUP'
    VANISHING = 'while the command runs, and Asterisk with the caller: the connection closes without a word'


@dataclass(frozen=True, slots=True)
class HangUp:
    """When and how the caller goes: at the nth command, counted from 1, or at the first of a name.

    `after` are the seconds that the command has run by then, of those that it would take; None: half of them.
    """

    at: int | str
    how: HangUpTiming = HangUpTiming.DURING
    after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One channel: the values of its environment block, the world around it, and the caller's plans.

    A `url` that is only a path, as in `AGI(/path)`, gives the block of a process that Asterisk starts. Values go out
    as they are, as from Asterisk: a newline in `caller_id` makes a further line of the block.

    `variables` may hold AGISIGHUP, AGIEXITONHANGUP and AGIEXECFULL, which Asterisk itself obeys, and what functions
    give, as in `{'DEVICE_STATE(PJSIP/100)': 'BUSY'}`. `database` is AstDB, `family/key` to value; `others` are the
    channels that commands may name. `applications` are further ones for EXEC, by name, or by name and options, as in
    `Dial(PJSIP/100,20)`. `subroutines` are what those at `context,extension,priority` return to GOSUB.

    Everything exists but what is named in `missing`: prompts, contexts, labels, and folders to record into. A prompt
    plays for one second unless `samples` tells its length, at 8000 to the second.

    The caller presses `digits` one by one, each as soon as a command listens for it, and `keys` during the
    nth command or the first of a name, whether it listens or not. Each key takes the caller `seconds_per_key`, and
    comes too late if the command is over by then; None: half of the prompt that plays. `texts` are sent one by one,
    each when a command would receive it. `dead` is the channel of a script that extension `h` runs.

    `line_limit` is 2047 for Asterisk 16.
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

    digits: str = ''
    keys: Mapping[int | str, str] = field(default_factory=dict)
    seconds_per_key: float | None = None
    texts: Sequence[str] = ()
    hang_up: HangUp | None = None

    @property
    def network_script(self) -> str:
        """All after the first slash that follows the host, as it stands in the URL."""
        return self.url.partition('://')[2].partition('/')[2]

    def environment_block(self) -> bytes:
        """The lines with which Asterisk opens an AGI call, up to and including the empty one.

        Values go out as they are, as from Asterisk: one with a newline makes further lines.
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
    """Name and number of a caller ID, either empty: `"Zoë" <+44123>`, `Zoë <+44123>`, `+44123` or `Zoë`."""
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
