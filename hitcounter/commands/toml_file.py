"""A TOML file that somebody wrote for a command."""

import tomllib
from pathlib import Path
from typing import Any


def read_toml(path: Path) -> dict[str, Any]:  # of whatever TOML has
    """What the file holds. Raises ValueError, which names the file, if it cannot be read."""
    try:
        return tomllib.loads(path.read_text('utf-8'))
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise ValueError(
            f'{str(path)!r} is not UTF-8: it has the byte 0x{byte:02x} at {error.start}; save it as UTF-8'
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f'{str(path)!r} is not TOML: {error}') from error
    except OSError as error:
        raise ValueError(f'{str(path)!r} cannot be read: {error.strerror}') from error
