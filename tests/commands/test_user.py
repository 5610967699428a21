"""Other users: whose database a command opens, and as whom. Real users, in processes of their own."""

from __future__ import annotations

import grp
import os
import pickle
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from hitcounter.errors import DatabaseRefused
from hitcounter.hits import HitCounter
from hitcounter.state import State, open_database
from hitcounter.state.storage import owner
from hitcounter.state.storage.sharing import PrivateFolder
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason='only root can become other users')

BOB, EVE = 65534, 65533  # the first has a name on most systems, the second none
BOBS_NAME = 'nobody'

#: Becomes another user for good, and then the command.
_AS = (
    'import os, sys; user = int(sys.argv[1]); os.setgroups([]); os.setgid(user); os.setuid(user); '
    'os.execv(sys.argv[2], sys.argv[2:])'
)

As = Callable[..., 'subprocess.CompletedProcess[str]']


def _is_open(path: str) -> bool:
    """Whether other users can read what is below `path`."""
    real = Path(os.path.realpath(path))
    return all(folder.stat().st_mode & 0o001 for folder in [real, *real.parents] if folder.is_dir())


def _packages() -> list[str]:
    return [entry for entry in sys.path if entry and not entry.startswith(sys.base_prefix)]


@pytest.fixture(scope='session')
def python() -> str:
    """A Python that other users can run, with the tests' own packages."""
    if not all(map(_is_open, _packages())):
        pytest.skip('other users cannot read the tree: use one that they can')
    for candidate in sys.executable, f'/usr/bin/python3.{sys.version_info.minor}':
        if os.path.exists(candidate) and _is_open(candidate):
            return candidate
    pytest.skip('other users cannot run this Python: install one that they can')


@pytest.fixture
def run_as(python: str, environment: dict[str, str], open_folder: Path) -> As:
    """Run `hitcounter ARGUMENTS` as a user, or as root, who may then become another."""
    search = os.pathsep.join([environment['PYTHONPATH'], *_packages()])

    def run_as(
        user: int, *arguments: str, command: str = 'main', env: dict[str, str] | None = None, code: str = ''
    ) -> subprocess.CompletedProcess[str]:
        code = code or f'from hitcounter.commands.{command} import main; main()'
        call = [python, '-W', 'error', '-c', code, *arguments]
        return subprocess.run(
            call if user == 0 else [sys.executable, '-c', _AS, str(user), *call],
            capture_output=True,
            text=True,
            env={**environment, 'PYTHONPATH': search, 'HOME': '/', **(env or {})},
            cwd=open_folder,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )

    return run_as


class Trap:
    """Whoever loads it makes a folder, which shows who that was."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> object:  # type: ignore[override]  # as pickle takes it
        return os.makedirs, (str(self._folder), 0o700, True)


@pytest.fixture
def trap(open_folder: Path) -> Path:
    """The folder that whoever loads something of Bob's makes."""
    everyones = open_folder / 'everyones'
    everyones.mkdir()
    everyones.chmod(0o1777)
    return everyones / 'trap'


@pytest.fixture
def bobs(open_folder: Path, trap: Path) -> Path:
    """A database file of Bob's that everyone can read, and to load it, or its index, springs the trap."""
    folder = open_folder / 'bob'
    folder.mkdir()
    path = folder / 'hits.fs'
    with open_database(f'file:{path}', share=True) as database:
        with State(database, [HitCounter]):
            pass
        with database.db.transaction() as connection:
            connection.root()['trap'] = Trap(trap)
    Path(f'{path}.index').write_bytes(pickle.dumps({'trap': Trap(trap)}, 3))
    with suppress(FileNotFoundError):
        trap.rmdir()
    give(folder, BOB)
    return path


def give(folder: Path, user: int) -> None:
    for name in folder, *folder.rglob('*'):
        os.chown(name, user, user)
        name.chmod(0o755 if name.is_dir() else 0o644)


def owners(folder: Path) -> set[int]:
    return {name.lstat().st_uid for name in [folder, *folder.rglob('*')]}


READING = [
    ('status',),
    ('verify',),
    ('export', '-', '--format', 'csv'),
    ('migrate', '--status'),
    ('shell', '-c', '1'),
    ('serve', '--listen', '127.0.0.1:0'),
    ('forget', '--keep-calls', '1d'),
    ('agi',),
]


@pytest.mark.parametrize('arguments', READING)
def test_the_database_of_another_user_is_not_opened(
    run_as: As, bobs: Path, trap: Path, arguments: tuple[str, ...]
) -> None:
    before = bobs.read_bytes()

    done = run_as(EVE, *arguments, env={'HITCOUNTER_STORAGE': f'file:{bobs}'})

    assert (done.returncode, done.stdout) == (1, '')
    assert done.stderr.startswith(f"Error: '{bobs}' belongs to {BOBS_NAME}, and this runs as {EVE}: ")
    assert f'runuser -u {BOBS_NAME} ' in done.stderr
    assert f'--trust-owner {BOBS_NAME}' in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert bobs.read_bytes() == before
    assert not trap.exists()


def test_nor_the_one_in_the_folder_of_another_user_that_is_the_default(
    run_as: As, open_folder: Path, trap: Path
) -> None:
    folder = open_folder / 'bob'
    (folder / 'var').mkdir(parents=True)
    give(folder, BOB)

    done = run_as(EVE, 'status', env={'HITCOUNTER_HOME': str(folder)})

    assert done.returncode == 1
    assert f"'{folder}/var' belongs to {BOBS_NAME}" in done.stderr


@pytest.mark.parametrize('how', ['flag', 'variable', 'file'])
def test_it_is_opened_where_its_owner_is_trusted(
    run_as: As, bobs: Path, trap: Path, open_folder: Path, how: str
) -> None:
    shutil.rmtree(f'{bobs}.shared')
    Path(f'{bobs}.lock').unlink()
    settings = open_folder / 'settings.toml'
    settings.write_text(f'trust-owner = "{BOBS_NAME}"')
    given = {'flag': ('--trust-owner', BOBS_NAME), 'variable': (), 'file': ('--config', str(settings))}[how]
    env = {'HITCOUNTER_TRUST_OWNER': str(BOB)} if how == 'variable' else {}

    done = run_as(EVE, 'status', *given, env={'HITCOUNTER_STORAGE': f'file:{bobs}', **env})

    assert done.returncode == 0, done.stderr
    assert trap.stat().st_uid == EVE


@pytest.mark.parametrize('arguments', [each for each in READING if each[0] not in ('serve', 'agi')])
def test_root_becomes_the_owner_before_anything_is_opened(
    run_as: As, bobs: Path, trap: Path, arguments: tuple[str, ...]
) -> None:
    done = run_as(0, *arguments, env={'HITCOUNTER_STORAGE': f'file:{bobs}'})

    assert done.returncode == 0, done.stderr
    assert owners(bobs.parent) == owners(trap) == {BOB}


def test_root_becomes_the_owner_of_the_folder_of_a_database_to_be_made(run_as: As, open_folder: Path) -> None:
    folder = open_folder / 'bob'
    folder.mkdir()
    give(folder, BOB)

    done = run_as(
        0,
        '-c',
        'import os; print(os.getresuid(), os.getgroups(), os.environ["HOME"])',
        command='shell',
        env={'HITCOUNTER_STORAGE': f'file:{folder}/hits.fs'},
    )

    assert 'is not a database yet' in done.stderr
    assert owners(folder) == {BOB}


def test_as_the_owner_root_keeps_nothing_of_its_own(run_as: As, bobs: Path) -> None:
    code = 'import os; print(os.getresuid() + os.getresgid(), os.getgroups(), os.environ["HOME"], os.environ["USER"])'

    done = run_as(0, 'shell', '-c', code, env={'HITCOUNTER_STORAGE': f'file:{bobs}'})

    bob = pwd.getpwuid(BOB)
    groups = sorted({bob.pw_gid, *(group.gr_gid for group in grp.getgrall() if bob.pw_name in group.gr_mem)})
    ids = (BOB,) * 3 + (bob.pw_gid,) * 3
    assert done.stdout == f'{ids} {groups} {bob.pw_dir} {bob.pw_name}\n'


def test_the_owner_goes_on_where_root_has_been(run_as: As, bobs: Path) -> None:
    env = {'HITCOUNTER_STORAGE': f'file:{bobs}'}
    for arguments in ('pack', '--pack-keep', '0d'), ('shell', '--write', '-c', 'commit()'), ('backup', 'bob/backups'):
        assert run_as(0, *arguments, env=env).returncode == 0

    for arguments in ('status',), ('shell', '--write', '-c', 'root["x"] = 1; commit()'), ('backup', 'bob/backups'):  # type: ignore[assignment]  # longer or shorter
        done = run_as(BOB, *arguments, env=env)
        assert done.returncode == 0, done.stderr
    assert owners(bobs.parent) == {BOB}


@pytest.mark.parametrize(
    ('name', 'mode', 'is_refused'),
    [
        ('hits.fs', 0o664, False),
        ('hits.fs', 0o666, True),
        ('.', 0o775, False),
        ('.', 0o777, True),
        ('.', 0o1777, False),
    ],
)
def test_what_everyone_can_write_is_not_opened_but_a_group_is_the_owners_choice(
    run_as: As, bobs: Path, name: str, mode: int, is_refused: bool
) -> None:
    (bobs.parent / name).chmod(mode)

    for user in BOB, 0:
        done = run_as(user, 'status', env={'HITCOUNTER_STORAGE': f'file:{bobs}'})

        assert done.returncode == is_refused, done.stderr
        assert ('take that right from others (chmod o-w)' in done.stderr) == is_refused


def test_an_index_that_a_stranger_left_in_a_sticky_folder_is_not_loaded(run_as: As, bobs: Path, trap: Path) -> None:
    bobs.parent.chmod(0o1777)
    os.chown(f'{bobs}.index', EVE, EVE)
    code = 'from hitcounter.state.storage.checker import check; import sys; check(sys.argv[1])'

    assert run_as(BOB, str(bobs), code=code).returncode == 0
    assert not trap.exists()
    os.chown(f'{bobs}.index', BOB, BOB)
    assert run_as(BOB, str(bobs), code=code).returncode == 0
    assert trap.stat().st_uid == BOB


def test_a_database_is_the_one_that_a_link_leads_to(run_as: As, bobs: Path, open_folder: Path) -> None:
    (open_folder / 'eve').mkdir()
    (open_folder / 'eve' / 'hits.fs').symlink_to(bobs)
    give_link(open_folder / 'eve', EVE)

    done = run_as(EVE, 'status', env={'HITCOUNTER_STORAGE': f'file:{open_folder}/eve/hits.fs'})
    assert f"'{bobs}' belongs to {BOBS_NAME}" in done.stderr
    assert run_as(0, 'status', env={'HITCOUNTER_STORAGE': f'file:{open_folder}/eve/hits.fs'}).returncode == 0
    assert owners(bobs.parent) == {BOB}


def give_link(folder: Path, user: int) -> None:
    for name in folder, *folder.rglob('*'):
        os.chown(name, user, user, follow_symlinks=False)


def test_a_storage_that_is_not_a_file_has_no_owner(run_as: As) -> None:
    assert run_as(EVE, '--storage', 'memory:', '-c', '1', command='shell').returncode == 0


def test_where_root_cannot_become_another_user_it_says_how(run_as: As, bobs: Path, trap: Path) -> None:
    caps = subprocess.run(['setpriv', '--bounding-set', '-setuid', 'true'], capture_output=True, check=False)
    if caps.returncode:
        pytest.skip('setpriv cannot take the right to become another user')
    code = (
        'import subprocess, sys; sys.exit(subprocess.call(["setpriv", "--bounding-set", "-setuid", sys.executable, '
        '"-c", "from hitcounter.commands.main import main; main()", "status"]))'
    )
    done = run_as(0, env={'HITCOUNTER_STORAGE': f'file:{bobs}'}, code=code)

    assert done.returncode == 1
    assert 'root may not become another user here: Operation not permitted' in done.stderr
    assert f'runuser -u {BOBS_NAME}' in done.stderr
    assert not trap.exists()


def test_root_that_stays_root_shuts_no_owner_out(run_as: As, bobs: Path) -> None:
    code = (
        'import sys; from hitcounter.state import open_database; from hitcounter.state.storage import owner; '
        'from hitcounter.state.upkeep.packing import pack; '
        'owner.trust(int(sys.argv[1])); database = open_database(sys.argv[2], share=True); pack(database, 0.0); '
        'database.close()'
    )
    shutil.rmtree(f'{bobs}.shared')
    for suffix in '.guard', '.lock', '.tmp', '.index':
        Path(f'{bobs}{suffix}').unlink(missing_ok=True)

    done = run_as(0, str(BOB), f'file:{bobs}', code=code)

    assert done.returncode == 0, done.stderr
    assert owners(bobs.parent) == {BOB}


@pytest.mark.parametrize('suffix', ['.lock', '.tmp', '.guard', '.index.index_tmp', '.pack'])
@pytest.mark.parametrize('is_link', [True, False])
def test_what_a_stranger_put_beside_a_database_in_a_sticky_folder_is_not_written_to(
    run_as: As, bobs: Path, open_folder: Path, suffix: str, is_link: bool
) -> None:
    bobs.parent.chmod(0o1777)
    os.chown(bobs.parent, 0, 0)
    precious, planted = open_folder / 'precious', Path(f'{bobs}{suffix}')
    precious.write_text('precious')
    os.chown(precious, BOB, BOB)
    planted.unlink(missing_ok=True)
    if is_link:
        planted.symlink_to(precious)
    else:
        planted.write_text('precious')
        planted.chmod(0o666)
    os.chown(planted, EVE, EVE, follow_symlinks=False)

    done = run_as(BOB, 'pack', '--pack-keep', '0d', env={'HITCOUNTER_STORAGE': f'file:{bobs}'})

    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert str(planted) in done.stderr
    assert planted.read_text() == 'precious'


def test_the_shell_needs_no_home_and_no_entry_among_the_users(run_as: As) -> None:
    code = (
        "import os, pty; del os.environ['HOME']; shell = 'from hitcounter.commands.shell import main; main()'; "
        "os.environ['TERM'] = 'dumb'; pid, terminal = pty.fork(); "
        "pid or os.execv(os.sys.executable, [os.sys.executable, '-c', shell, '--storage', 'memory:'])\n"
        "said = b''\n"
        "while b'In [1]' not in said: said += os.read(terminal, 1000)\n"
        "os.write(terminal, b'exit\\n')\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), b'rror' in said, b'arning' in said)"
    )

    done = run_as(EVE, code=code)

    assert (done.stdout, done.stderr) == ('0 False False\n', '')


# A copy of bytes.


@pytest.mark.parametrize('user', [EVE, 0])
def test_a_backup_of_another_users_database_runs_nothing_of_it(
    run_as: As, bobs: Path, trap: Path, open_folder: Path, user: int
) -> None:
    mine = open_folder / 'mine'
    mine.mkdir()
    give(mine, user)

    done = run_as(user, 'backup', str(mine / 'backups'), env={'HITCOUNTER_STORAGE': f'file:{bobs}'})

    assert done.returncode == 0, done.stderr
    assert not trap.exists()
    assert owners(mine) == {user}
    assert owners(bobs.parent) == {BOB}


def test_what_root_backed_up_for_itself_it_restores_to_the_owner(
    run_as: As, bobs: Path, trap: Path, open_folder: Path
) -> None:
    mine = open_folder / 'mine'
    mine.mkdir(0o700)
    env = {'HITCOUNTER_STORAGE': f'file:{bobs}'}
    assert run_as(0, 'backup', str(mine), env=env).returncode == 0
    before = bobs.read_bytes()
    shutil.rmtree(bobs.parent)
    bobs.parent.mkdir()
    give(bobs.parent, BOB)

    done = run_as(0, 'restore', str(mine), env=env)

    assert (done.returncode, done.stderr) == (0, '')
    assert bobs.read_bytes() == before
    assert owners(bobs.parent) == {BOB}
    assert sorted(name.name for name in bobs.parent.iterdir()) == ['hits.fs', 'hits.fs.index', 'hits.fs.lock']
    assert not trap.exists()


def test_a_folder_of_backups_that_cannot_be_written_is_said_with_whose_it_is(
    run_as: As, bobs: Path, open_folder: Path
) -> None:
    (open_folder / 'mine').mkdir(0o755)
    done = run_as(BOB, 'backup', 'mine', env={'HITCOUNTER_STORAGE': f'file:{bobs}'})

    assert done.returncode == 1
    assert f"'{open_folder}/mine' belongs to root, and this runs as {BOBS_NAME}: run it as root" in done.stderr


def test_the_backups_of_a_stranger_are_not_restored(run_as: As, bobs: Path, open_folder: Path) -> None:
    assert run_as(BOB, 'backup', 'bob/backups', env={'HITCOUNTER_STORAGE': f'file:{bobs}'}).returncode == 0
    give(bobs.parent, BOB)
    for user in EVE, 0:
        home = open_folder / str(user)
        home.mkdir()
        give(home, user)
        done = run_as(user, 'restore', 'bob/backups', env={'HITCOUNTER_STORAGE': f'file:{home}/hits.fs'})

        assert done.returncode == 1
        assert f"'{bobs.parent}/backups' belongs to {BOBS_NAME}" in done.stderr
        assert list(home.iterdir()) == []


def test_root_follows_no_link_that_the_owner_laid(run_as: As, bobs: Path, open_folder: Path) -> None:
    mine, precious = open_folder / 'mine', open_folder / 'precious'
    mine.mkdir(0o700)
    env = {'HITCOUNTER_STORAGE': f'file:{bobs}'}
    assert run_as(0, 'backup', str(mine), env=env).returncode == 0
    precious.write_text('precious')
    for suffix in '.restored', '.restored.part', '.lock', '.backed-up', '.backed-up.new', '.packed':
        for name in Path(f'{bobs}{suffix}'), bobs.parent / f'other.fs{suffix}':
            name.unlink(missing_ok=True)
            name.symlink_to(precious)

    assert run_as(0, 'backup', str(mine), env=env).returncode == 0
    refused = run_as(0, 'restore', str(mine), env={'HITCOUNTER_STORAGE': f'file:{bobs.parent}/other.fs'})

    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    Path(f'{bobs.parent}/other.fs.lock').unlink()
    refused = run_as(0, 'restore', str(mine), env={'HITCOUNTER_STORAGE': f'file:{bobs.parent}/other.fs'})
    assert f"'{bobs.parent}/other.fs.restored' is in the way: remove it" in refused.stderr
    assert precious.read_text() == 'precious'
    assert precious.stat().st_uid == 0


def test_a_note_that_cannot_be_read_is_taken_for_none(run_as: As, bobs: Path) -> None:
    for suffix in '.backed-up', '.packed':
        note = Path(f'{bobs}{suffix}')
        note.write_text('{}')
        note.chmod(0o600)

    done = run_as(BOB, 'status', env={'HITCOUNTER_STORAGE': f'file:{bobs}'})

    assert done.returncode == 0, done.stderr
    assert 'last backup      none' in done.stdout


def test_what_shuts_the_owner_out_is_said_with_whose_it_is(run_as: As, bobs: Path) -> None:
    os.chown(f'{bobs}.lock', 0, 0)
    Path(f'{bobs}.lock').chmod(0o600)

    done = run_as(BOB, 'forget', '--keep-calls', '1d', env={'HITCOUNTER_STORAGE': f'file:{bobs}'})

    assert done.returncode == 1
    assert f"'{bobs}.lock' belongs to root, and this runs as {BOBS_NAME}: " in done.stderr


def test_on_a_volume_with_mapped_ids_the_socket_is_shared_with_a_trusted_owner(
    bobs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(f'{bobs}.shared')
    with pytest.raises(DatabaseRefused, match=f'belongs to {BOBS_NAME}, and this runs as root'):
        PrivateFolder(str(folder))

    monkeypatch.setattr(owner, '_trusted', {BOB})
    PrivateFolder(str(folder)).close()

    assert folder.stat().st_mode & 0o777 == 0o700
