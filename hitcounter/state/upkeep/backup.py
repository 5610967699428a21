"""Backups of a database file, by ZODB's repozo: a folder of full copies, and of what was added since each.

They are made while others write to the file. Nothing but a pack changes what is in it already, and a backup
during which one happens is made again.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

from ZODB.scripts import repozo

from ...errors import BackupFailed, DatabaseInUse, StateError
from ..storage.checker import check
from ..storage.data_file import DatabaseFile, UnindexedFile
from ..storage.disk import check_room, give, make_folder, private, publish, remove, sync
from ..storage.guard import guard_of
from ..storage.lock import refuse_without_locks, until_free
from ..storage.owner import owner_of, whose
from ..storage.stamps import BackupStamp, PackStamp

#: Times that a backup is begun again because the file was packed meanwhile.
ATTEMPTS = 3

_FULL = '.fs'
_RESTORED = 'database'
_NAME = '%Y-%m-%d-%H-%M-%S'  # repozo's, of all files of one backup
_LATEST = '9999-12-31-23-59-59'


@dataclass(frozen=True)
class Backup:
    """What a backup added to its folder."""

    #: The new file; the last one if the database had not changed.
    file: str
    is_new: bool
    is_full: bool
    #: Bytes of the database that are in the folder.
    size: int
    #: Whether the file does not begin with what was backed up although it was not packed: one of the two is wrong.
    is_unlike: bool


def full_backup(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> str:
    """Copy the whole database file at `path` into `folder`, made if missing; returns the name of the verified copy.

    Raises BackupFailed or DatabaseRefused.
    """
    return back_up(path, folder, full=True).file


def back_up(path: str | os.PathLike[str], folder: str | os.PathLike[str], *, full: bool = False) -> Backup:
    """Add what is new in the database file at `path` to `folder`, and verify all files that a restore needs.

    A full copy is made if asked for, if there is none, or if it is not the beginning of the file, as after a pack.
    Raises BackupFailed or DatabaseRefused.
    """
    path, folder = os.path.realpath(path), os.fspath(folder)
    with _failing(f'{path!r} was not backed up to {folder!r}', 'make a full one, or use another folder'):
        if not check(path, DatabaseFile if _is_mine(path) else UnindexedFile):
            raise BackupFailed(f'{path!r} is not a database yet: name the file of one')
        make_folder(os.path.abspath(folder))
        with _repository(folder) as repository:
            return _back_up(path, folder, repository, full)


def restore(folder: str | os.PathLike[str], path: str | os.PathLike[str]) -> int:
    """Put the database that was last backed up to `folder` at `path`, where no file may exist; returns its size.

    Raises BackupFailed, or DatabaseInUse if a process has a file of that name open.
    """
    path, folder = os.path.realpath(path), os.fspath(folder)
    if not os.path.isdir(folder):
        raise BackupFailed(f'{folder!r} is not a folder: name the folder of the backups')
    with (
        _failing(f'{path!r} was not restored from {folder!r}', 'restore from another folder'),
        _repository(folder) as repository,
    ):
        files = _chain(repository)
        if not files:
            raise BackupFailed(f'{folder!r} holds no backup: name the folder of one')
        if not os.path.exists(f'{path}.lock'):  # nobody has it open, and no lock is left beside what is not a database
            _refuse_taken(path)
        with _locked(path):
            _refuse_taken(path)
            check_room(os.path.dirname(path), sum(map(os.path.getsize, files)), 'to restore the database')
            with _private_folder(path) as beside:
                _restore(repository, beside, path)
            return os.path.getsize(path)


def _refuse_taken(path: str) -> None:
    if os.path.exists(path):
        raise BackupFailed(f'{path!r} already exists: move it away, or restore to another name')


def _back_up(path: str, folder: str, repository: str, full: bool) -> Backup:
    for _ in range(ATTEMPTS):
        before = os.stat(path).st_ino
        made = _add(path, folder, repository, full)
        if os.stat(path).st_ino == before:
            BackupStamp(time.time(), os.path.abspath(made.file), made.size).write(path)
            return made
        full = True  # what was just made may hold some of each
    raise BackupFailed(f'{path!r} was packed again and again meanwhile: do it later')


def _add(path: str, folder: str, repository: str, full: bool) -> Backup:
    _wait_for_a_name(folder, repository)
    before = _chain(repository)
    full = full or not _is_listed(before)
    is_expected = full or _is_packed_since(path)
    kept = 0 if full else sum(map(os.path.getsize, before))
    check_room(folder, os.path.getsize(path) - kept, 'the backup')
    now = time.gmtime()[:6]
    named = os.path.join(repository, time.strftime(_NAME, (*now, 0, 0, 0)))
    with (
        _name_to_read(path) as file,
        private(os.path.join(repository, 'tmp.tmp'), f'{named}.index', f'{named}.dat'),  # what repozo writes
    ):
        options = _options(repository, file=file, full=full, test_now=now)
        repozo.do_backup(options)
    repozo.do_verify(options)
    after = _chain(repository)
    if after[-1].endswith(_FULL):
        _check_whole(after[-1])
    for name in after[-1], repository:
        sync(name)
    return Backup(
        file=os.path.join(folder, os.path.basename(after[-1])),
        is_new=after != before,
        is_full=after[-1].endswith(_FULL),
        size=sum(map(os.path.getsize, after)),
        is_unlike=after != before and after[-1].endswith(_FULL) and not is_expected,
    )


def _is_packed_since(path: str) -> bool:
    """Whether the file was packed since the last backup, as far as is known."""
    packed, backed_up = PackStamp.read(path), BackupStamp.read(path)
    return backed_up is None or (packed is not None and packed.time > backed_up.time)


def _is_mine(path: str) -> bool:
    return owner_of(path).st_uid == os.geteuid()


@contextmanager
def _name_to_read(path: str) -> Iterator[str]:
    """The file's name; for another user's file, a name without an index beside it, which repozo would load."""
    if _is_mine(path):
        yield path
        return
    with open(path, 'rb') as file:
        yield f'/proc/self/fd/{file.fileno()}'


def _restore(repository: str, beside: str, path: str) -> None:
    restored, folder = f'{beside}/{_RESTORED}', os.path.dirname(path)
    with private(f'{restored}.part', f'{restored}.index'):
        repozo.do_recover(_options(repository, output=restored, withverify=True))
    _check_whole(restored)
    sync(restored)
    remove(f'{path}.index', path + PackStamp.SUFFIX)  # of the file that was there before
    for suffix in '.index', '':
        with suppress(FileNotFoundError):
            give(restored + suffix, folder)
            publish(restored + suffix, path + suffix)
    sync(folder)
    remove(guard_of(path))  # not before, or a server might start a new database where the file is still missing


@contextmanager
def _private_folder(path: str) -> Iterator[str]:
    """A folder beside `path` that only we may enter, by a name that no link can redirect; it is removed at the end."""
    beside = f'{path}.restored'
    with suppress(FileExistsError):  # a process that was killed left it
        os.mkdir(beside, 0o700)
    try:
        file = os.open(beside, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError as error:  # or a link
        raise BackupFailed(f'{beside!r} is in the way: remove it') from error
    try:
        status = os.fstat(file)
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise BackupFailed(f'{beside!r} is in the way: remove it')
        held = f'/proc/self/fd/{file}'
        try:
            yield held
        finally:
            remove(*(f'{held}/{_RESTORED}{suffix}' for suffix in ('', '.part', '.index')))
            with suppress(OSError):  # it was renamed meanwhile
                os.rmdir(beside)
    finally:
        os.close(file)


def _options(repository: str, **options: object) -> SimpleNamespace:
    """As repozo's command line would give them."""
    given = {'full': False, 'quick': False, 'gzip': False, 'killold': False, 'withverify': False, **options}
    return SimpleNamespace(repository=repository, date=_LATEST, **given)


@contextmanager
def _repository(folder: str) -> Iterator[str]:
    """Another name of the folder, without the spaces that repozo cannot take, for one process at a time."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield f'/proc/self/fd/{file}'
    except BlockingIOError as error:
        raise BackupFailed(f'{folder!r} is in use by another backup: wait until that one is done') from error
    except PermissionError as error:
        if str(error.filename).startswith(f'/proc/self/fd/{file}/'):
            raise PermissionError(error.errno, error.strerror, folder) from error
        raise
    finally:
        os.close(file)


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Hold FileStorage's lock. Its file is given to the owner of the folder, and a link is not followed."""
    folder = os.path.dirname(path)
    make_folder(folder)
    file = os.open(f'{path}.lock', os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _lock(file, path)
        if os.fstat(file).st_nlink == 1:
            give(file, folder)
            os.truncate(file, os.pwrite(file, f' {os.getpid()}\n'.encode(), 0))
        yield
    finally:
        os.close(file)


def _lock(file: int, path: str) -> None:
    try:
        until_free(partial(fcntl.flock, file, fcntl.LOCK_EX | fcntl.LOCK_NB), BlockingIOError)
    except BlockingIOError as error:
        raise DatabaseInUse(f'{path!r} is open in another process: stop that one') from error
    except OSError as error:
        refuse_without_locks(path, error)
        raise


@contextmanager
def _failing(what: str, todo: str) -> Iterator[None]:
    try:
        yield
    except StateError:
        raise
    except PermissionError as error:
        raise BackupFailed(f'{what} ({error.strerror}): {whose(error)}') from error
    except OSError as error:
        raise BackupFailed(f'{what} ({error.strerror or error}): check the disk') from error
    except (repozo.RepozoError, KeyError, ValueError, AssertionError) as error:
        raise BackupFailed(f'{what} ({error}): {todo}') from error


def _chain(repository: str) -> list[str]:
    """The last full copy, and what was added to it."""
    files: list[str] = repozo.find_files(_options(repository))
    return files


def _is_listed(files: list[str]) -> bool:
    """Whether repozo's list, from which the files are verified, has each of them; a crash may come in between."""
    if not files or not files[0].endswith(_FULL):
        return False
    try:
        with open(files[0].removesuffix(_FULL) + '.dat') as list_:
            listed = [os.path.basename(line.split()[0]) for line in list_ if line.strip()]
    except FileNotFoundError:
        return False
    return listed == list(map(os.path.basename, files))


def _wait_for_a_name(folder: str, repository: str) -> None:
    """Backups are named by the second, and a later one must have a later name."""
    names = [name for name in os.listdir(repository) if repozo.is_data_file(name)]
    newest = max((name.partition('.')[0] for name in names), default='')
    while (now := time.strftime(_NAME, time.gmtime())) <= newest:
        if now[:-2] < newest[:-2]:
            raise BackupFailed(f'{folder!r} has a backup of {newest}, which is in the future: set the clock right')
        time.sleep(0.05)


def _check_whole(path: str) -> None:
    """Raise BackupFailed unless each transaction follows the one before, up to the file's end."""
    with closing(DatabaseFile(path, read_only=True)) as storage:
        if storage.getSize() != os.path.getsize(path):
            raise BackupFailed(f'{path!r} is damaged at byte {storage.getSize()}')
