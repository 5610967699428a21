"""The owner of a database file: a database holds pickles, and loading one runs code of whoever can write the file.

This only decides; user.py changes the user. The rule is the same for every file: whoever can write it, or replace it,
must be this user, root, or a user whom a command was told to trust. The group of a file is its owner's choice, and so
is not examined.
"""

import os
import pwd
import stat

from ...errors import ForeignDatabase

ROOT = 0

#: Users whose databases are opened besides our own and root's. A command adds to them before it opens a database.
_trusted: set[int] = set()


def trust(user: int) -> None:
    """From now on, let this process also open databases of the user with this id."""
    _trusted.add(user)


def is_trusted(user: int) -> bool:
    """Whether this process may load what the user with this id stored."""
    return is_self(user) or user == ROOT


def is_self(user: int) -> bool:
    """Whether that id is ours, or a trusted one: on a volume with mapped ids our own files have another id."""
    return user == os.geteuid() or user in _trusted


def name_of(user: int) -> str:
    """The name of the user with this id; the id itself if it has no name."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def owner_of(path: str) -> os.stat_result:
    """The status of the file at `path`; if it does not exist, that of the nearest folder above it that does."""
    return os.stat(nearest(path))


def nearest(path: str) -> str:
    """`path` if it exists, otherwise the nearest folder above it that does."""
    while not os.path.lexists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def refuse_strangers(path: str) -> None:
    """Raise ForeignDatabase if another user can write or replace the file at `path`, a real path."""
    for name in dict.fromkeys([nearest(path), nearest(os.path.dirname(path))]):
        status = os.stat(name)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            continue  # it cannot be opened as a database
        if not is_trusted(status.st_uid):
            owner = name_of(status.st_uid)
            raise ForeignDatabase(
                f'{name!r} belongs to {owner}, and this runs as {name_of(os.geteuid())}: opening the database would '
                f'run what {owner} stored in it',
                owner,
            )
        if status.st_mode & stat.S_IWOTH and not _is_sticky(status):
            raise ForeignDatabase(
                f'every user can write to {name!r}, and opening the database would run what they stored in it: take '
                f'that right from others (chmod o-w), or use a folder of your own'
            )


def is_ours(path: str) -> bool:
    """Whether `path` is a file, not a link, and only its owner, whom we trust, can write it."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and is_trusted(status.st_uid) and not status.st_mode & stat.S_IWOTH


def _is_sticky(status: os.stat_result) -> bool:
    """Whether it is a folder like /tmp, where no user can replace another user's file."""
    return stat.S_ISDIR(status.st_mode) and bool(status.st_mode & stat.S_ISVTX)


def whose(error: PermissionError) -> str:
    """Who owns the file or folder that `error` is about, and what to do."""
    if not isinstance(error.filename, str):
        return 'check the permissions of its folder'
    return ownership(os.path.realpath(error.filename))  # the name may lead through /proc/self/fd


def ownership(path: str) -> str:
    """Who owns the file at `path`, or the folder it would be in, and what to do about that."""
    name = nearest(path)
    owner, runs_as = name_of(owner_of(name).st_uid), name_of(os.geteuid())
    if owner == runs_as:
        return f'{name!r} belongs to {owner}, and its permissions forbid it: change them (chmod)'
    return f'{name!r} belongs to {owner}, and this runs as {runs_as}: run it as {owner}, or change the owner (chown)'
