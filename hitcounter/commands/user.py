"""The user that a command runs as: a command started as root becomes the owner of the database that it is to open.

So nothing that the database holds runs as root, and no file that the command makes locks the owner out. This has to
come first: other threads and open files would keep the rights of root.
"""

import os
import pwd
import sys
from contextlib import suppress

from ..errors import ForeignDatabase
from ..state.storage.owner import ROOT, is_trusted, name_of, owner_of, refuse_strangers


def act_as_owner(path: str) -> None:
    """If this is root, become the owner of the database at `path`, a real path.

    Raises ForeignDatabase if another user could write the database then.
    """
    status = owner_of(path)
    if os.geteuid() == ROOT != status.st_uid:
        _become(status, path)
    refuse_strangers(path)


def act_between(path: str, backups: str) -> None:
    """The same for copying between the database at `path` and a folder of backups, which may have different owners.

    Root stays root if the folder is root's. Copying loads no pickle, but another user's links in the folder could
    make root read or write elsewhere. Raises ForeignDatabase.
    """
    if os.geteuid() != ROOT:
        return
    of_database, of_backups = owner_of(path), owner_of(backups)
    if of_backups.st_uid == of_database.st_uid != ROOT:
        _become(of_database, path)
    elif not is_trusted(of_backups.st_uid):
        owner = name_of(of_backups.st_uid)
        raise ForeignDatabase(
            f'{backups!r} belongs to {owner}, and the database {path!r} to {name_of(of_database.st_uid)}: name a '
            f'folder that belongs to root or to the owner of the database, or, if you trust {owner}, add '
            f'--trust-owner {owner}'
        )


def _become(status: os.stat_result, path: str) -> None:
    owner = name_of(status.st_uid)
    groups, program = os.getgroups(), [__file__, *filter(os.path.exists, sys.path)]
    try:
        home = _put_on(status.st_uid, status.st_gid)
        obstacle = next((part for part in program if not os.access(part, os.R_OK)), None)  # more is imported later
        if obstacle is None:
            os.setresgid(-1, -1, os.getgid())
            os.setresuid(-1, -1, os.getuid())
            _leave_home(owner, home)
            return
        reason = f'{owner} cannot read {obstacle!r} of this program'
    except OSError as error:
        reason = f'root may not become another user here: {error.strerror}'
    _put_off(groups)
    if not is_trusted(status.st_uid):
        raise ForeignDatabase(
            f'{path!r} belongs to {owner}, and opening the database as root would run what {owner} stored in it '
            f'({reason})',
            owner,
        )


def _put_on(user: int, group: int) -> str:
    """Become `user`, with all groups of that user, or only `group` if it has no name; returns the home. Reversible."""
    try:
        known = pwd.getpwuid(user)
    except KeyError:
        home = '/'
        os.setgroups([group])
    else:
        home, group = known.pw_dir, known.pw_gid
        os.initgroups(known.pw_name, group)
    os.setresgid(group, group, ROOT)
    os.setresuid(user, user, ROOT)
    return home


def _leave_home(name: str, home: str) -> None:
    """Let whatever is kept for each user, such as the shell's history, be kept for this one."""
    os.environ.update(HOME=home, USER=name, LOGNAME=name)
    for variable in 'XDG_CONFIG_HOME', 'XDG_RUNTIME_DIR', 'IPYTHONDIR':
        os.environ.pop(variable, None)


def _put_off(groups: list[int]) -> None:
    with suppress(OSError):
        os.setresuid(ROOT, ROOT, ROOT)
        os.setresgid(ROOT, ROOT, ROOT)
        os.setgroups(groups)
