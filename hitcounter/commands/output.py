"""The file that a command writes: new, and complete or not there at all; or standard output."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from ..errors import HitcounterError
from ..state.storage.disk import publish
from ..state.storage.owner import name_of

#: The name that means standard output, or standard input.
STANDARD = '-'


@contextmanager
def new_file(file: str) -> Iterator[BinaryIO]:
    """A new file, for its owner alone; it gets its name once it is complete."""
    if file == STANDARD:
        if sys.stdout is None:
            raise HitcounterError('standard output is closed: name a file')
        with _written('standard output'):
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        return
    if os.path.lexists(file):
        raise _taken(file)
    with _written(repr(file)), _part_of(file) as output:
        yield output


@contextmanager
def _part_of(file: str) -> Iterator[BinaryIO]:
    """A new file beside `file`, with an unpredictable name; it gets its own name if the block succeeds."""
    descriptor, part = tempfile.mkstemp('.part', f'{os.path.basename(file)}.', os.path.dirname(file) or os.curdir)
    try:
        with open(descriptor, 'wb') as output:
            yield output
        publish(part, file)
    except FileExistsError as error:  # it was made meanwhile
        raise _taken(file) from error
    finally:
        with suppress(FileNotFoundError):
            os.remove(part)


def _taken(file: str) -> HitcounterError:
    return HitcounterError(f'{file!r} already exists: choose another name')


@contextmanager
def _written(what: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # its reader has closed it
        raise
    except OSError as error:
        raise HitcounterError(
            f'{what} cannot be written{as_whom(error)} ({error.strerror}): choose another place'
        ) from error


def as_whom(error: OSError) -> str:
    """The user without permission, for a message: a command of root runs as the owner of the database."""
    return f' by {name_of(os.geteuid())}' if isinstance(error, PermissionError) else ''
