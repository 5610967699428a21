"""The environment: the `agi_*` block with which Asterisk opens a session, as text. Nothing is read here."""

from collections.abc import Iterator, Mapping
from enum import Enum

from ..errors import ProtocolError

_UNKNOWN = 'unknown'  # Asterisk's word for a caller ID, a name, a dnid or an rdnis that it does not have

#: The bits of `agi_callingpres` that say who may see the caller (AST_PRES_RESTRICTION in callerid.h).
_RESTRICTION, _ALLOWED, _PROHIBITED = 0x60, 0x00, 0x20

#: Lines that cannot hold who called. Those left out can: a channel is `PJSIP/1001-0000`, an account one caller's, and
#: the dialplan puts what it likes into the address and the arguments.
_SHOWN = frozenset(
    f'agi_{name}'
    for name in (
        *('network', 'language', 'type', 'uniqueid', 'version', 'callingpres', 'callingani2', 'callington'),
        *('callingtns', 'dnid', 'context', 'extension', 'priority', 'enhanced', 'threadid'),
    )
)


class Presentation(Enum):
    """Who may see the caller's number and name."""

    ALLOWED = 'allowed'
    #: The caller withholds them. Asterisk passes them on all the same.
    PROHIBITED = 'prohibited'
    #: Asterisk does not have them, but for what the dialplan may have set.
    UNAVAILABLE = 'unavailable'


class Environment(Mapping[str, str]):
    """What Asterisk says of a call before the first command; it cannot be changed.

    A mapping of each name as Asterisk sends it to its value; the usual ones are attributes too. Bytes that are
    no UTF-8 are kept as surrogate escapes, so that they can be sent back as they came.
    """

    __slots__ = ('_values',)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    @classmethod
    def parse(cls, block: bytes) -> 'Environment':
        """The environment that `block`, up to and including its empty line, holds.

        Raises ProtocolError for what Asterisk does not send (`setup_env` in res_agi.c).
        """
        text = block.decode('utf-8', 'surrogateescape').removesuffix('\n\n')
        lines = text.split('\n')
        try:
            values = dict([line.split(': ', 1) for line in lines])  # a list: half as slow as a generator
        except ValueError:
            wrong = next(line for line in lines if ': ' not in line)
            raise ProtocolError(f'{wrong[:80]!r} is no "name: value" line of an AGI environment') from None
        if not len(values) == len(lines) == text.count('\nagi_') + text.startswith('agi_'):
            raise ProtocolError('an AGI environment has only names that begin with agi_, each of them once')
        environment = cls.__new__(cls)
        environment._values = values
        if not environment.unique_id.isprintable():  # it stands in the log
            raise ProtocolError(f'{environment.unique_id[:80]!r} is no unique id of Asterisk')
        return environment

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        """All of it, but for what may say who called if the caller withholds that."""
        if self.presentation is not Presentation.PROHIBITED:
            return f'Environment({self._values!r})'
        shown = {name: value if name in _SHOWN else 'withheld' for name, value in self._values.items()}
        return f'Environment({shown!r})'

    @property
    def script(self) -> str:
        """The network script: all that follows the host's slash in `agi://host/...`, query string included."""
        return self._values.get('agi_network_script', '')

    @property
    def channel(self) -> str:
        return self._values.get('agi_channel', '')

    @property
    def language(self) -> str:
        return self._values.get('agi_language', '')

    @property
    def unique_id(self) -> str:
        """Asterisk's name for the channel, `1795384173.311`: the same for two sessions of one call."""
        return self._values.get('agi_uniqueid', '')

    @property
    def caller_id(self) -> str | None:
        """The caller's number, or None if Asterisk does not know it."""
        return self._known('agi_callerid')

    @property
    def caller_name(self) -> str | None:
        """The caller's name, or None if Asterisk does not know it. Whoever calls chose it freely."""
        return self._known('agi_calleridname')

    @property
    def presentation(self) -> Presentation:
        """Who may see the number and the name, from the bits 0x60 of `agi_callingpres`.

        Asterisk joins what holds for each of the two, and the stricter one wins (`ast_party_id_presentation` in
        channel.c). A value that is not a number is taken for prohibited; without the line nothing is available.
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
