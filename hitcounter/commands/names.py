"""The names of lines, as a terminal shows them and a shell takes them."""

import shlex
import sys
import unicodedata


def name_of(line: str) -> str:
    """The name of a line as a terminal may show it, in quotation marks if it is more than one plain word."""
    return line if line and line.isprintable() and ' ' not in line and _is_writable(line) else ascii(line)


def argument_of(line: str) -> str:
    """The name of a line as an argument of a command that is shown."""
    quoted = shlex.quote(line) if line.isprintable() and _is_writable(line) else name_of(line)
    return f'-- {quoted}' if line.startswith('-') else quoted


def width_of(text: str) -> int:
    """The columns that a terminal takes for the text: two for a wide character, none for one that joins another."""
    wide = sum(unicodedata.east_asian_width(character) in 'WF' for character in text)
    return len(text) + wide - sum(unicodedata.category(character) in ('Mn', 'Me') for character in text)


def _is_writable(text: str) -> bool:
    """Whether standard output has all characters of the text."""
    try:
        text.encode(sys.stdout.encoding if sys.stdout else 'ascii')
    except UnicodeEncodeError:
        return False
    return True
