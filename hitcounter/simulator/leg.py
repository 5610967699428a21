"""The call leg: the state of a channel that commands read and change, and the keys that are pressed."""

import re
from collections import deque
from collections.abc import Iterable
from math import inf
from pathlib import PurePosixPath
from typing import Final

from ..agi.protocol.results import ChannelState
from .channel import Channel, encode, parse_caller_id
from .events import Answered, CallEvent
from .expressions import expand

#: Samples in a second of audio.
RATE: Final = 8000

KEYPAD: Final = '0123456789*#ABCD'

_WITH_EXTENSION: Final = re.compile(r'.*\.(alaw|g722|gsm|mp3|sln\d*|ulaw|wav)', re.DOTALL)
_LENGTH: Final = re.compile(r'LEN\((.*)\)', re.DOTALL)


class CallLeg:
    """A channel as Asterisk handles it, from the environment block to the end."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.up = False
        self.dead = channel.dead
        #: Seconds until SET AUTOHANGUP hangs up.
        self.seconds_left = inf
        self.context = channel.context
        self.extension = channel.extension
        self.priority = str(channel.priority)
        self.caller_id, self.caller_name = channel.caller_id, channel.caller_name
        self.variables = dict(channel.variables)
        self.database = dict(channel.database)
        self.others = dict(channel.others)
        self._texts = deque(channel.texts)
        self._digits = deque(channel.digits)
        self._keys: deque[str] = deque()

    # The channel itself.

    def pick_up(self) -> tuple[CallEvent, ...]:
        """Answer the call unless it is answered; returns the events that the caller notices."""
        was_up, self.up = self.up, True
        return () if was_up else (Answered(),)

    def is_called(self, names: Iterable[str]) -> bool:
        """Whether a command refers to this channel: it names none, or this one."""
        return all(name == self.channel.name for name in names)

    def state(self, names: list[str]) -> ChannelState | None:
        """The state that CHANNEL STATUS reports for this channel, or for the named one."""
        if self.is_called(names):
            return ChannelState.UP if self.up else ChannelState.RING
        other = self.others.get(names[0])
        return None if other is None else other.state

    def pass_time(self, seconds: float) -> None:
        """Let time pass, until SET AUTOHANGUP hangs up."""
        self.seconds_left -= seconds

    # Keys and texts.

    def hold_keys(self, keys: str) -> None:
        """Let the caller press these during the command that now runs."""
        self._keys = deque(keys)

    def press(self, listened: str, playing: float, waiting: float = 0.0) -> tuple[str, float]:
        """The next digit that the caller presses among those listened for, and after how many seconds.

        The command plays for `playing` seconds, then waits for `waiting` more; if no digit is pressed, it takes both.
        """
        whole = playing + waiting
        for_each = self.channel.seconds_per_key
        passed = playing / 2 if for_each is None else 0.0
        while self._keys and passed + (for_each or 0.0) <= whole:
            passed += for_each or 0.0
            key = self._keys.popleft()
            if key in listened:
                return key, passed
        passed += for_each or 0.0
        if self._digits and self._digits[0] in listened and passed <= whole:
            return self._digits.popleft(), passed
        return '', whole

    def receive(self) -> str | None:
        """The next text that the caller sends."""
        return self._texts.popleft() if self._texts else None

    # Prompts.

    def has(self, name: str) -> bool:
        """Whether a prompt, context or label exists."""
        return bool(name) and name not in self.channel.missing

    def has_prompt(self, name: str) -> bool:
        """Whether a prompt exists. Asterisk adds the file's extension, so a name that has one does not exist."""
        return self.has(name) and not _WITH_EXTENSION.fullmatch(name)

    def samples(self, name: str) -> int:
        """The length of a prompt."""
        return self.channel.samples.get(name, RATE)

    def can_record(self, name: str) -> bool:
        """Whether the folder of a recording exists."""
        return not any(str(folder) in self.channel.missing for folder in PurePosixPath(name).parents)

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
        """Set as SET VARIABLE does: leading underscores only mark inheritance, unknown functions are ignored."""
        if name == 'CALLERID(num)':
            self.caller_id = value
        elif name == 'CALLERID(name)':
            self.caller_name = value
        elif name == 'CALLERID(all)':
            self.set_caller(value)
        elif not name.endswith(')') or name in self.variables:
            self.variables[name.removeprefix('_').removeprefix('_')] = value

    def set_caller(self, text: str) -> None:
        """Take a whole caller ID, in any of its forms."""
        self.caller_name, self.caller_id = parse_caller_id(text)

    def expand(self, text: str) -> str:
        """A text as the dialplan would expand it."""
        return expand(text, self.get)

    def expand_on(self, names: list[str], text: str) -> str | None:
        """A text as expanded on this channel or on the named one; None if there is no such channel."""
        if self.is_called(names):
            return self.expand(text)
        other = self.others.get(names[0])
        return None if other is None else expand(text, {'CHANNEL': names[0], **other.variables}.get)

    def is_on(self, name: str) -> bool:
        """Whether Asterisk regards a variable as true."""
        return (self.get(name) or '').lower() in ('yes', 'true', 'y', 't', '1', 'on')

    def is_off(self, name: str) -> bool:
        """Whether Asterisk regards a variable as false; one that is not set is neither."""
        return (self.get(name) or '').lower() in ('no', 'false', 'n', 'f', '0', 'off')
