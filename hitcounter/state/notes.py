"""Notes beside a database file: when it was last packed and backed up, for later processes to read."""

import json
import logging
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import ClassVar, Self

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Note:
    """What was last done, in a small file of its own."""

    #: What is appended to the name of the database's file.
    SUFFIX: ClassVar[str]

    @classmethod
    def read(cls, path: str) -> Self | None:
        """The note beside the database at `path`; None if there is none that can be read."""
        try:
            with open(path + cls.SUFFIX, encoding='ascii') as file:
                return cls(**json.load(file))
        except (FileNotFoundError, ValueError, TypeError):  # a power failure may have left it unwritten
            return None

    def write(self, path: str) -> None:
        """Put it in the place of the one before; where that fails, what it tells of is done all the same."""
        new = f'{path}{self.SUFFIX}.new'
        try:
            with suppress(FileNotFoundError):
                os.remove(new)
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'w', encoding='ascii') as file:
                json.dump(asdict(self), file)
            os.replace(new, path + self.SUFFIX)
        except OSError as error:
            logger.warning('%s%s could not be written: %s', path, self.SUFFIX, error)


@dataclass(frozen=True)
class Packed(Note):
    """The last pack."""

    SUFFIX = '.packed'

    #: When it ended, in seconds since 1970, UTC.
    time: float
    #: Bytes of the file before and after.
    before: int
    after: int
    #: How long it took.
    seconds: float


@dataclass(frozen=True)
class BackedUp(Note):
    """The last backup."""

    SUFFIX = '.backed-up'

    #: When it ended, in seconds since 1970, UTC.
    time: float
    #: The file that it made, or the last one if nothing had changed.
    file: str
    #: Bytes of the database that are in the folder.
    size: int
