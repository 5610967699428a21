"""The channel while it lives: what commands read and change of it, and the keys that are pressed."""

import re
from collections import deque
from collections.abc import Iterable
from typing import Final

from .channel import Channel, encode, parse_caller_id
from .heard import Answered, Heard

#: Samples in a second of audio.
RATE: Final = 8000

KEYPAD: Final = '0123456789*#ABCD'

_RINGING, _UP = 4, 6
_WITH_EXTENSION: Final = re.compile(r'.*\.(alaw|g722|gsm|mp3|sln\d*|ulaw|wav)', re.DOTALL)
_EXPRESSION: Final = re.compile(r'\$\{((?:[^{}]|\$\{[^{}]*\})*)\}')
_LENGTH: Final = re.compile(r'LEN\((.*)\)', re.DOTALL)


class Leg:
    """A channel in Asterisk's hands, from the environment block to the end."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.up = False
        self.dead = False
        self.context = channel.context
        self.extension = channel.extension
        self.priority = str(channel.priority)
        self.caller_id, self.caller_name = channel.caller_id, channel.caller_name
        self.variables = dict(channel.variables)
        self.database: dict[str, str] = {}
        self._digits = deque(channel.digits)
        self._keys: deque[str] = deque()

    # The channel itself.

    @property
    def status(self) -> int:
        """What CHANNEL STATUS tells of this channel."""
        return _UP if self.up else _RINGING

    def pick_up(self) -> tuple[Heard, ...]:
        """Answer if that is still to be done; tell what the caller notices."""
        was_up, self.up = self.up, True
        return () if was_up else (Answered(),)

    def is_called(self, names: Iterable[str]) -> bool:
        """Whether a command means this channel: it names none, or just this one."""
        return all(name == self.channel.name for name in names)

    # Keys.

    def hold_keys(self, keys: str) -> None:
        """Have the caller press these during the command that now runs."""
        self._keys = deque(keys)

    def press(self, listened: str) -> str:
        """The next digit that the caller presses out of those listened for, or nothing."""
        while self._keys:
            key = self._keys.popleft()
            if key in listened:
                return key
        if self._digits and self._digits[0] in listened:
            return self._digits.popleft()
        return ''

    # Prompts.

    def has(self, name: str) -> bool:
        """Whether a prompt, context or label exists."""
        return bool(name) and name not in self.channel.missing

    def has_prompt(self, name: str) -> bool:
        """Whether a prompt exists: Asterisk adds the file's extension, so a name with one does not."""
        return self.has(name) and not _WITH_EXTENSION.fullmatch(name)

    def samples(self, name: str) -> int:
        """The length of a prompt."""
        return self.channel.samples.get(name, RATE)

    # Variables.

    def get(self, name: str) -> str | None:
        """A variable, or one of the few functions known here, as GET VARIABLE finds it."""
        known = {
            'CHANNEL': self.channel.name,
            'UNIQUEID': self.channel.unique_id,
            'CONTEXT': self.context,
            'EXTEN': self.extension,
            'PRIORITY': self.priority,
            'CALLERID(num)': self.caller_id,
            'CALLERID(name)': self.caller_name,
            'CALLERID(all)': f'"{self.caller_name}" <{self.caller_id}>',
        }
        if measured := _LENGTH.fullmatch(name):
            return str(len(encode(measured[1])))
        return known.get(name, self.variables.get(name))

    def set(self, name: str, value: str) -> None:
        """Set as SET VARIABLE does: leading underscores only mark inheritance, unknown functions are lost."""
        if name == 'CALLERID(num)':
            self.caller_id = value
        elif name == 'CALLERID(name)':
            self.caller_name = value
        elif name == 'CALLERID(all)':
            self.set_caller(value)
        elif not name.endswith(')'):
            self.variables[name.removeprefix('_').removeprefix('_')] = value

    def set_caller(self, text: str) -> None:
        """Take a whole caller ID, in any of its forms."""
        self.caller_name, self.caller_id = parse_caller_id(text)

    def expand(self, text: str) -> str:
        """Put in each `${NAME}`, and one within another; of the dialplan's expressions no more is known here."""
        return _EXPRESSION.sub(lambda found: self.get(self.expand(found[1])) or '', text)
