"""The disk: whether there is room for a file, who may read it, and that it holds what was written."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..errors import NoRoom


def check_room(folder: str, size: int, purpose: str) -> None:
    """Raise NoRoom unless `folder` can take `size` bytes more."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise NoRoom(
            f'{purpose} may need {size:,} bytes in {folder!r}, and {free:,} are free: make room there')


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
    """Remove the files that there are."""
    for path in paths:
        with suppress(FileNotFoundError):
            os.remove(path)


def is_mount_point(path: str) -> bool:
    """Whether something is mounted at the real path `path`, as Docker does with one file: it cannot be replaced."""
    with suppress(OSError), open('/proc/self/mountinfo', 'rb') as mounts:
        return os.fsencode(path) in (_unescaped(line.split()[4]) for line in mounts)
    return False


def _unescaped(name: bytes) -> bytes:
    """The kernel writes a blank, say, as a backslash and three octal digits."""
    return re.sub(rb'\\([0-7]{3})', lambda found: bytes([int(found[1], 8)]), name)


def new_file(path: str, like: str) -> int:
    """A descriptor of a new file at `path`, to be written: for its owner alone, who is that of `like` if we are root.

    Raises FileExistsError if anything is there, a link as well.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    give(file, like)
    return file


def give(file: int | str, like: str) -> None:
    """Let a file that root made belong to the owner of `like`, so that it shuts nobody out."""
    if os.geteuid() == 0:
        status = os.stat(like)
        os.chown(file, status.st_uid, status.st_gid)


def make_folder(path: str) -> None:
    """Make a folder for its owner alone, who is that of the one around it if we are root, and those around it."""
    if not os.path.isdir(path):
        make_folder(os.path.dirname(path))
        os.mkdir(path, 0o700)
        give(path, os.path.dirname(path))


def publish(made: str, path: str) -> None:
    """Give a file that was made under another name in the same file system its own. Never replaces one.

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
    """Make empty files for their owner alone where there are none, for others to write to: they hold caller IDs.

    So they need not ask the umask, which all threads of a process have in common.
    """
    for path in paths:
        with suppress(FileExistsError):
            os.close(new_file(path, os.path.dirname(path)))


@contextmanager
def private(*paths: str) -> Iterator[None]:
    """The same, but files that nobody has written to are gone in the end."""
    make_private(*paths)
    try:
        yield
    finally:
        for path in paths:
            with suppress(FileNotFoundError):
                if not os.path.getsize(path):
                    os.remove(path)
