"""The environment: the `agi_*` block with which Asterisk opens a call, as text.

A caller can put a newline into a value: Asterisk decodes `%0A` in a SIP address. Therefore a block is accepted only
exactly as Asterisk writes it, so that no part of a value is ever taken for a line of Asterisk's own.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from enum import Enum

from ...errors import ProtocolError

#: Bytes that an environment may have; Asterisk's have about a thousand, more with long arguments.
ENVIRONMENT_LIMIT = 65_536

#: The beginning of the environment that a server receives, and of the one that a process receives.
OF_SERVER = b'agi_network: yes\n'
OF_PROCESS = b'agi_request: '

#: What is wrong with one that ends too early.
INCOMPLETE = 'connection closed before the AGI environment was complete'

_END = b'\n\n'
_ENVIRONMENT_LINE = re.compile(rb'^(agi_[a-z0-9_]{1,40}): ', re.MULTILINE).search
_UNKNOWN = 'unknown'  # Asterisk's word for an unknown caller ID, name, dnid or rdnis

#: The bits of `agi_callingpres` that say who may see the caller (AST_PRES_RESTRICTION in callerid.h).
_RESTRICTION, _ALLOWED, _PROHIBITED = 0x60, 0x00, 0x20

#: Names whose values cannot identify the caller. All others can: a channel is `PJSIP/1001-0000`, an account code may
#: belong to one caller, and the dialplan may put anything into the address and the arguments.
_SHOWN = frozenset(
    f'agi_{name}'
    for name in (
        *('network', 'language', 'type', 'uniqueid', 'version', 'callingpres', 'callingani2', 'callington'),
        *('callingtns', 'dnid', 'context', 'extension', 'priority', 'enhanced', 'threadid'),
    )
)

_TEXT = '.*'
_NUMBER = '-?[0-9]+'
# Each name in Asterisk's order, and what its value may be: `launch_netscript` and `setup_env` in res_agi.c.
_VALUES = {
    'agi_network': 'yes',
    'agi_network_script': _TEXT,
    'agi_request': _TEXT,
    'agi_channel': _TEXT,
    'agi_language': _TEXT,
    'agi_type': _TEXT,
    'agi_uniqueid': _TEXT,
    'agi_version': _TEXT,
    'agi_callerid': _TEXT,
    'agi_calleridname': _TEXT,
    'agi_callingpres': _NUMBER,
    'agi_callingani2': _NUMBER,
    'agi_callington': _NUMBER,
    'agi_callingtns': _NUMBER,
    'agi_dnid': _TEXT,
    'agi_rdnis': _TEXT,
    'agi_context': _TEXT,
    'agi_extension': _TEXT,
    'agi_priority': _NUMBER,
    'agi_enhanced': r'[01]\.0',
    'agi_accountcode': _TEXT,
    'agi_threadid': _NUMBER,
}
_NAMES = tuple(_VALUES)
_NETWORK, _SCRIPT, *_ALWAYS = (f'{name}: ({value})\n' for name, value in _VALUES.items())
_match = re.compile(rf'(?:{_NETWORK}(?:{_SCRIPT})?)?{"".join(_ALWAYS)}((?:agi_arg_[0-9]+: .*\n)*)\n').fullmatch

# A name that only a later Asterisk sends is skipped, but only after a value that neither a caller nor the dialplan can
# choose: after any other it may be part of that value.
_FIXED = {'agi_type', 'agi_version', *(name for name, value in _VALUES.items() if value != _TEXT)}
_KNOWN_LINE = rf'(?:{"|".join(_NAMES)}|agi_arg_.*): '
_LATER_LINE = rf'(?!{_KNOWN_LINE})agi_[a-z0-9_]+: .*\n'
_later_names = re.compile(rf'^((?:{"|".join(_FIXED)}): .*\n)(?:{_LATER_LINE})+', re.MULTILINE)


class Presentation(Enum):
    """Who may see the caller's number and name."""

    ALLOWED = 'allowed'
    #: The caller withholds them. Asterisk sends them nevertheless.
    PROHIBITED = 'prohibited'
    #: Asterisk does not have them; the dialplan may have set some.
    UNAVAILABLE = 'unavailable'


class Environment(Mapping[str, str]):
    """What Asterisk says about a call before the first command; it is immutable.

    A mapping from names, as Asterisk sends them, to values; the usual ones are attributes too. Bytes that are not
    UTF-8 are kept as surrogate escapes, so that they can be sent back unchanged.
    """

    __slots__ = ('_values',)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    @classmethod
    def opening(cls, received: bytes) -> tuple['Environment', bytes]:
        """The environment that `received` begins with, which must be all there, and the bytes after it.

        Raises ProtocolError as `parse` does, and if more lines of an environment are among those bytes.
        """
        block, end, rest = received.partition(_END)
        environment = cls.parse(block + end)
        if (line := _ENVIRONMENT_LINE(rest)) is not None:
            name = line[1].decode()
            raise ProtocolError(
                f'{name} comes after the end of the environment: {_reason([*environment], name)}'
                f' (unique id {environment.unique_id[:80]})'
            )
        return environment, rest

    @classmethod
    def parse(cls, block: bytes) -> 'Environment':
        """The environment that `block`, up to and including its empty line, holds.

        Raises ProtocolError, which names the offending value, unless each name is there once and in Asterisk's order.
        A name that only a later Asterisk sends is left out where it cannot be part of a value.
        """
        if b'\0' in block:
            raise ProtocolError('its environment contains a NUL, which Asterisk cannot send')
        text = block.decode('utf-8', 'surrogateescape')
        values = _values(text) or _values(text := _later_names.sub(r'\1', text))
        if values is None:
            raise ProtocolError(_fault(text) + _call_of(text))
        environment = cls.__new__(cls)
        environment._values = values
        if not environment.unique_id.isprintable():  # the log shows it
            raise ProtocolError(f'{environment.unique_id[:80]!r} is not a unique id that Asterisk sends')
        return environment

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        """All values, except those that may identify a caller who withholds the number."""
        if self.presentation is not Presentation.PROHIBITED:
            return f'Environment({self._values!r})'
        shown = {name: value if name in _SHOWN else 'withheld' for name, value in self._values.items()}
        return f'Environment({shown!r})'

    @property
    def script(self) -> str:
        """The network script: everything after the host's slash in `agi://host/...`, query string included."""
        return self._values.get('agi_network_script', '')

    @property
    def channel(self) -> str:
        return self._values.get('agi_channel', '')

    @property
    def language(self) -> str:
        return self._values.get('agi_language', '')

    @property
    def unique_id(self) -> str:
        """Asterisk's name for the channel, `1795384173.311`; two AGI runs in one channel share it."""
        return self._values.get('agi_uniqueid', '')

    @property
    def caller_id(self) -> str | None:
        """The caller's number, or None if Asterisk does not know it."""
        return self._known('agi_callerid')

    @property
    def caller_name(self) -> str | None:
        """The caller's name, or None if Asterisk does not know it. The caller chose it freely."""
        return self._known('agi_calleridname')

    @property
    def presentation(self) -> Presentation:
        """Who may see the number and the name: the bits 0x60 of `agi_callingpres`.

        Asterisk combines those of the number and of the name: the stricter one wins (`ast_party_id_presentation` in
        channel.c). A value that is not a number counts as prohibited; without one, nothing is available.
        """
        value = self._values.get('agi_callingpres')
        if value is None:
            return Presentation.UNAVAILABLE
        restriction = int(value) & _RESTRICTION if value.isdecimal() and len(value) < 10 else _PROHIBITED
        if restriction == _ALLOWED:
            return Presentation.ALLOWED
        return Presentation.PROHIBITED if restriction == _PROHIBITED else Presentation.UNAVAILABLE

    @property
    def context(self) -> str:
        return self._values.get('agi_context', '')

    @property
    def extension(self) -> str:
        return self._values.get('agi_extension', '')

    @property
    def priority(self) -> str:
        return self._values.get('agi_priority', '')

    @property
    def arguments(self) -> tuple[str, ...]:
        """The dialplan's arguments, `agi_arg_1` and on, empty ones included."""
        return tuple(value for name, value in self._values.items() if name.startswith('agi_arg_'))

    def _known(self, name: str) -> str | None:
        value = self._values.get(name, _UNKNOWN)
        return None if value in ('', _UNKNOWN) else value


class EnvironmentBuffer:
    """Collects the bytes of a new call until they contain a whole environment."""

    __slots__ = ('_begin', '_received')

    def __init__(self, begin: bytes) -> None:
        """`begin` is what the environment begins with: OF_SERVER or OF_PROCESS."""
        self._begin = begin
        self._received = b''

    def __len__(self) -> int:
        return len(self._received)

    @property
    def room(self) -> int:
        """How many more bytes an environment may have."""
        return ENVIRONMENT_LIMIT - len(self._received)

    def feed(self, data: bytes) -> bool:
        """Add `data`; returns whether the environment is complete. Raises ProtocolError for what cannot become one."""
        searched = len(self._received)  # and may end with the first half of the end
        self._received = received = self._received + data
        begin = self._begin
        if received[: len(begin)] != begin[: len(received)]:
            raise ProtocolError(f'it sent {received[:40]!r}, but an AGI environment begins with {begin!r}')
        end = received.find(_END, max(0, searched - 1), ENVIRONMENT_LIMIT)
        if end < 0 and self.room <= 0:
            raise ProtocolError(f'its environment has more than {ENVIRONMENT_LIMIT} bytes')
        return end >= 0

    def take(self) -> tuple[Environment, bytes]:
        """The environment, and the bytes after it; the buffer is empty then. Raises ProtocolError as `opening` does."""
        received, self._received = self._received, b''
        return Environment.opening(received)


def _values(text: str) -> dict[str, str] | None:
    """The values of the block `text`; None if it is not as Asterisk writes it."""
    match = _match(text)
    if match is None:
        return None
    values = dict(zip(_NAMES, match.groups(), strict=False))  # the last group is that of the arguments
    for name in ('agi_network', 'agi_network_script'):  # the others are always there
        if values[name] is None:
            del values[name]
    if arguments := match[len(_NAMES) + 1]:
        parts = [line.partition(': ') for line in arguments.split('\n')[:-1]]
        if [name for name, _, _ in parts] != [f'agi_arg_{number}' for number in range(1, len(parts) + 1)]:
            return None
        values.update({name: value for name, _, value in parts})
    return values


def _fault(text: str) -> str:
    """Why the block `text` is refused. Its values are not shown, since a caller may have withheld them."""
    lines = [*text.removesuffix('\n\n').split('\n'), '']
    seen: list[str] = []
    for line, due in zip(lines, _names_due(lines), strict=False):
        name, _, value = line.partition(': ')
        if name != due or name == line:
            break
        if not re.fullmatch(_VALUES.get(name, _TEXT), value):
            return f'the value of {name} is not one that Asterisk sends'
        seen.append(name)
    if not seen:
        return f'{lines[0][:40]!r} is not the start of an AGI environment'
    return f'the line after {seen[-1]} is not {due}: {_reason(seen, name)}'


def _reason(seen: list[str], name: str) -> str:
    suspects = ' or '.join(_suspects(seen, name))
    return f'the value of {suspects} contains a newline' if suspects else 'Asterisk does not send such a line there'


def _suspects(seen: list[str], name: str) -> dict[str, None]:
    """The names, among those `seen` before the wrong line `name`, whose values may hold the newline.

    The last one, if the line is part of its value; otherwise the one that Asterisk's own line follows.
    """
    suspects = [seen[-1]]
    if name in seen[1:]:
        suspects.insert(0, seen[seen.index(name) - 1])
    return dict.fromkeys(suspect for suspect in suspects if suspect not in _FIXED)


def _call_of(text: str) -> str:
    """The unique id by which Asterisk's log names the call of the block `text`, to end a sentence with."""
    found = re.search(r'^agi_uniqueid: ([!-~]{1,80})$', text, re.MULTILINE)
    return f' (unique id {found[1]})' if found else ''


def _names_due(lines: list[str]) -> Iterator[str]:
    """The names in the right order for `lines`, which show whether a process or a server received them."""
    names = list(_NAMES)
    if not lines[0].startswith('agi_network: '):
        names.remove('agi_network')
    if not lines[1].startswith('agi_network_script: '):
        names.remove('agi_network_script')
    yield from names
    for number in itertools.count(1):
        yield f'agi_arg_{number}'
