"""Whose a database is: what is stored are pickles, and to load them runs code of whoever can write them.

This decides, and changes nothing. Who may open what is the same for every file: whoever can write the file, or put
another in its place, must be this user, root, or a user that a command was told to trust. The group of a file counts
as its owner's choice.
"""

import os
import pwd
import stat

from ..errors import ForeignDatabase

ROOT = 0

#: Users whose databases are opened besides our own and root's. A command adds to them before it opens one.
_trusted: set[int] = set()


def trust(user: int) -> None:
    """Open databases of the user with this id, too, in this process."""
    _trusted.add(user)


def is_trusted(user: int) -> bool:
    """Whether this process runs what the user with this id stored."""
    return is_self(user) or user == ROOT


def is_self(user: int) -> bool:
    """Whether that id is ours, or one under which our files appear here: on a volume with mapped ids, say."""
    return user == os.geteuid() or user in _trusted


def name_of(user: int) -> str:
    """The name of the user with this id, or the id of one without a name."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def owner_of(path: str) -> os.stat_result:
    """The status of the file at `path`; if there is none, of the folder where it, or its folder, would be made."""
    return os.stat(nearest(path))


def nearest(path: str) -> str:
    """`path` if it is there, or else the nearest folder above it that is."""
    while not os.path.lexists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def refuse_strangers(path: str) -> None:
    """Raise ForeignDatabase if another user can write the file at `path`, its real one, or replace it."""
    for name in dict.fromkeys([nearest(path), nearest(os.path.dirname(path))]):
        status = os.stat(name)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            continue  # it cannot be opened as a database
        if not is_trusted(status.st_uid):
            owner = name_of(status.st_uid)
            raise ForeignDatabase(
                f'{name!r} belongs to {owner}, and this runs as {name_of(os.geteuid())}: to open the database would '
                f'run what {owner} stored in it', owner)
        if status.st_mode & stat.S_IWOTH and not _is_sticky(status):
            raise ForeignDatabase(
                f'every user can write to {name!r}, and to open the database would run what they stored in it: take '
                f'that right from others (chmod o-w), or use a folder of your own')


def is_ours(path: str) -> bool:
    """Whether the file at `path` is there, is not a link, and nobody but its owner, whom we trust, can write it."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and is_trusted(status.st_uid) and not status.st_mode & stat.S_IWOTH


def _is_sticky(status: os.stat_result) -> bool:
    """Whether it is a folder like /tmp, where nobody can replace the file of another."""
    return stat.S_ISDIR(status.st_mode) and bool(status.st_mode & stat.S_ISVTX)


def whose(error: PermissionError) -> str:
    """Whose the file is that must not be opened or made, and what to do."""
    if not isinstance(error.filename, str):
        return 'see to the permissions of its folder'
    return told_of(os.path.realpath(error.filename))  # it may be named by a folder that is held open, in /proc


def told_of(path: str) -> str:
    """Whose the file at `path` is, or the folder where it would be, and what to do about that."""
    name = nearest(path)
    owner, runs_as = name_of(owner_of(name).st_uid), name_of(os.geteuid())
    if owner == runs_as:
        return f'{name!r} belongs to {owner}, and its permissions forbid it: change them (chmod)'
    return f'{name!r} belongs to {owner}, and this runs as {runs_as}: run it as {owner}, or change the owner (chown)'
