"""Stamps: small files beside a database file that say when it was last packed and backed up."""

import json
import logging
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import ClassVar, Self

from .disk import new_file

logger = logging.getLogger(__name__)

#: Flags by which no link is followed, and a pipe is not waited for.
_TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Stamp:
    """What was last done, in a small file of its own."""

    #: What is appended to the name of the database's file.
    SUFFIX: ClassVar[str]

    @classmethod
    def read(cls, path: str) -> Self | None:
        """The stamp of the database at `path`; None if there is none that can be read."""
        try:
            with open(os.open(path + cls.SUFFIX, _TO_READ), encoding='ascii') as file:
                return cls(**json.load(file))
        except (OSError, ValueError, TypeError):  # missing, another user's, or unwritten because of a power failure
            return None

    def write(self, path: str) -> None:
        """Replace the previous stamp; its owner is that of the database. A failure is only logged: the work is done."""
        new = f'{path}{self.SUFFIX}.new'
        try:
            with suppress(FileNotFoundError):
                os.remove(new)
            with open(new_file(new, path), 'w', encoding='ascii') as file:
                json.dump(asdict(self), file)
            os.replace(new, path + self.SUFFIX)
        except OSError as error:
            logger.warning('%s%s could not be written: %s', path, self.SUFFIX, error)


@dataclass(frozen=True)
class PackStamp(Stamp):
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
class BackupStamp(Stamp):
    """The last backup."""

    SUFFIX = '.backed-up'

    #: When it ended, in seconds since 1970, UTC.
    time: float
    #: The file that it made, or the last one if nothing had changed.
    file: str
    #: Bytes of the database that are in the folder.
    size: int
