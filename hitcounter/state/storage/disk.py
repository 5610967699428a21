"""The disk: room for a file, who may read it, and that it holds what was written."""

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ...errors import DatabaseRefused, NoRoom
from .owner import is_trusted, name_of


def check_room(folder: str, size: int, purpose: str) -> None:
    """Raise NoRoom unless `folder` can take `size` bytes more."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise NoRoom(f'{purpose} may need {size:,} bytes in {folder!r}, and {free:,} are free: make room there')


def sync(path: str) -> None:
    """Wait until a file, or the names in a folder, are on disk. An OSError names it."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(file)


def remove(*paths: str) -> None:
    """Remove those of the files that exist."""
    for path in paths:
        with suppress(FileNotFoundError):
            os.remove(path)


def is_mount_point(path: str) -> bool:
    """Whether something is mounted at `path`, a real path, as Docker mounts single files: it cannot be replaced."""
    with suppress(OSError), open('/proc/self/mountinfo', 'rb') as mounts:
        return os.fsencode(path) in (_unescaped(line.split()[4]) for line in mounts)
    return False


def _unescaped(name: bytes) -> bytes:
    """The kernel writes a space, for example, as a backslash and three octal digits."""
    return re.sub(rb'\\([0-7]{3})', lambda found: bytes([int(found[1], 8)]), name)


def new_file(path: str, like: str) -> int:
    """Make a file at `path` that only its owner may read, and return a descriptor to write to it.

    If we are root, its owner is that of `like`. Raises FileExistsError if there is anything at `path`, even a link.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    give(file, like)
    return file


def give(file: int | str, like: str) -> None:
    """If we are root, give a file to the owner of `like`, so that it does not lock that user out."""
    if os.geteuid() == 0:
        status = os.stat(like)
        os.chown(file, status.st_uid, status.st_gid)


def make_folder(path: str) -> None:
    """Make a folder that only its owner may enter, and its parents. If we are root, its owner is that of its parent."""
    if not os.path.isdir(path):
        make_folder(os.path.dirname(path))
        os.mkdir(path, 0o700)
        give(path, os.path.dirname(path))


def publish(made: str, path: str) -> None:
    """Give a file that was made under another name in the same folder its final name. Never replaces a file.

    Raises FileExistsError.
    """
    try:
        os.link(made, path)
    except FileExistsError:
        raise
    except OSError as error:  # a file system without links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from error
        os.rename(made, path)
    else:
        os.remove(made)


def make_private(*paths: str) -> None:
    """Make each of these files that does not exist, empty, so that only its owner may read it: it will hold caller IDs.

    ZODB opens them later. The umask would do the same, but all threads of a process share it. Raises DatabaseRefused if
    another user has put a file there, or anyone a link.
    """
    for path in paths:
        try:
            os.close(new_file(path, os.path.dirname(path)))
        except FileExistsError:
            refuse_planted(path)


def refuse_planted(path: str) -> None:
    """Raise DatabaseRefused if a link is at `path`, or a file of another user, who could read what is written to it."""
    status, folder = os.lstat(path), os.path.dirname(path)
    if not stat.S_ISREG(status.st_mode):
        raise DatabaseRefused(f'{path!r} is a link, or something else that is not a file: remove it')
    if not is_trusted(status.st_uid) and status.st_uid != os.stat(folder).st_uid:
        owner = name_of(status.st_uid)
        raise DatabaseRefused(
            f'{path!r} belongs to {owner}, and {name_of(os.geteuid())} is to write to it: remove it, or use a '
            f'folder where {owner} cannot create files'
        )


@contextmanager
def private(*paths: str) -> Iterator[None]:
    """As `make_private`, but remove those that are still empty after the block."""
    make_private(*paths)
    try:
        yield
    finally:
        for path in paths:
            with suppress(FileNotFoundError):
                if not os.path.getsize(path):
                    os.remove(path)
