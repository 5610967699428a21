"""The 47 AGI commands of Asterisk 22, each a small function from a call leg and arguments to an outcome."""

from typing import Final

from . import channel, dialplan, saying, sound, speech  # noqa: F401 they register their commands
from .command import COMMANDS, Command, Outcome

__all__ = ['COMMANDS', 'Command', 'Outcome', 'find_command']

_BY_WORDS: Final = {tuple(name.encode().split()): command for name, command in COMMANDS.items()}


def find_command(words: list[bytes]) -> Command | None:
    """The command that a line begins with, compared by whole words, in any case."""
    for count in (1, 2, 3):
        command = _BY_WORDS.get(tuple(word.upper() for word in words[:count]))
        if command is not None:
            return command
    return None
