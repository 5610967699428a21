"""How commands end: after Ctrl-C, and where standard output takes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.support.patience import PATIENCE

MAIN = 'from hitcounter.commands.main import main; main()'


@pytest.fixture
def variables(environment: dict[str, str], storage: str) -> dict[str, str]:
    """As most people have them: with an output that is buffered."""
    return {
        **{name: value for name, value in environment.items() if name != 'PYTHONUNBUFFERED'},
        'HITCOUNTER_STORAGE': storage,
    }


@pytest.mark.parametrize(
    'arguments',
    [
        ('--help',),
        ('status', '--help'),
        ('--version',),
        ('status',),
        ('status', '--json'),
        ('verify',),
        ('export', '-', '--format', 'csv'),
        ('backup', 'backups'),
        ('forget', '--keep-calls', '1d'),
    ],
)
@pytest.mark.parametrize('unbuffered', ['', '1'])
def test_a_full_disk_behind_standard_output_is_one_sentence(
    variables: dict[str, str], count: Callable[..., None], arguments: tuple[str, ...], unbuffered: str, tmp_path: object
) -> None:
    count('31415')
    with open('/dev/full', 'w') as full:
        done = subprocess.run(
            [sys.executable, '-c', MAIN, *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**variables, 'PYTHONUNBUFFERED': unbuffered},
            cwd=str(tmp_path),
            timeout=PATIENCE,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr == 'Error: standard output cannot be written (No space left on device): choose another place\n'


@pytest.mark.parametrize(
    ('command', 'redirection', 'sentence'),
    [
        ('export', '>&-', 'standard output is closed: name a file'),
        ('import', '<&-', 'standard input is closed: name a file'),
    ],
)
def test_a_stream_that_is_closed_is_said_in_a_sentence(
    variables: dict[str, str], count: Callable[..., None], command: str, redirection: str, sentence: str
) -> None:
    count('31415')
    done = subprocess.run(
        ['sh', '-c', f'exec "$@" {redirection}', 'sh', sys.executable, '-c', MAIN, command, '-', '--format', 'csv'],
        stderr=subprocess.PIPE,
        text=True,
        env=variables,
        timeout=PATIENCE,
        check=False,
    )

    assert (done.returncode, done.stderr) == (1, f'Error: {sentence}\n')


def test_a_script_of_the_shell_that_cannot_print_fails(variables: dict[str, str], count: Callable[..., None]) -> None:
    count('31415')
    for size in 10, 100_000:
        with open('/dev/full', 'w') as full:
            done = subprocess.run(
                [sys.executable, '-c', MAIN, 'shell', '-c', f'print("x" * {size})'],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                env=variables,
                timeout=PATIENCE,
                check=False,
            )
        assert done.returncode == 1
        assert 'No space left on device' in done.stderr
        assert 'Exception ignored' not in done.stderr


def test_a_reader_that_has_had_enough_is_no_error(variables: dict[str, str], count: Callable[..., None]) -> None:
    count('31415')
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, '-c', MAIN, 'status'],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        env=variables,
        timeout=PATIENCE,
        check=False,
    )
    os.close(writing)

    assert done.stderr == ''


#: Ends in a module that is imported when SIGINT comes: the process tells that it is there, and waits.
_HOOK = """
import sys
class Finder:
    def find_spec(self, name, *_):
        if name == {module!r}:
            sys.meta_path.remove(self)
            print('here', flush=True)
            sys.stdin.read()
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize('command', ['main', 'serve', 'shell', 'agi'])
@pytest.mark.parametrize('module', ['click', 'ZODB', 'hitcounter.commands.base', 'zodburi'])
def test_ctrl_c_while_python_imports_ends_it_without_a_word(
    variables: dict[str, str], command: str, module: str
) -> None:
    arguments = ['status'] if command == 'main' else []  # main imports no more than the command that it runs
    code = f'{_HOOK.format(module=module)}\nfrom hitcounter.commands.{command} import main; main({arguments})'

    status, said = interrupted(code, variables)

    assert (status, said.strip()) == (130, '')


@pytest.mark.parametrize('command', ['main', 'serve', 'shell', 'agi'])
def test_ctrl_c_before_the_imports_which_the_launchers_hold_back_ends_it_then(
    variables: dict[str, str], command: str
) -> None:
    code = (
        'import os, signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}); '
        f'os.kill(os.getpid(), signal.SIGINT); from hitcounter.commands.{command} import main; main()'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, env=variables, timeout=PATIENCE, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (130, '', '')


@pytest.mark.parametrize(
    ('arguments', 'where'),
    [
        (('status',), 'hitcounter.commands.base.Command.prepare'),
        (('status',), 'hitcounter.commands.status.status'),
        (('verify',), 'hitcounter.commands.verify.findings'),
        (('backup', 'backups'), 'hitcounter.commands.backup.back_up'),
        (('restore', '.'), 'hitcounter.commands.backup.restore'),
        (('export', '-', '--format', 'csv'), 'hitcounter.state.storage.database.Address.open'),
        (('migrate', '--status'), 'hitcounter.commands.migrate.compare'),
        (('pack',), 'hitcounter.commands.pack.pack'),
        (('forget', '--keep-calls', '1d'), 'hitcounter.commands.forget.forget'),
        (('shell', '-c', '1'), 'hitcounter.commands.shell.Workspace'),
        (('agi',), 'hitcounter.commands.base.Command.prepare'),
        (('call',), 'hitcounter.commands.call.parse_target'),
    ],
)
def test_ctrl_c_ends_each_command_with_130(
    variables: dict[str, str], count: Callable[..., None], arguments: tuple[str, ...], where: str
) -> None:
    count('31415')
    owner, _, name = where.rpartition('.')
    code = f"""
import importlib, pkgutil, sys
import hitcounter.commands.main
def wait(*_, **__):
    print('here', flush=True)
    sys.stdin.read()
setattr(pkgutil.resolve_name({owner!r}), {name!r}, wait)
sys.argv = ['hitcounter', *{arguments!r}]
hitcounter.commands.main.main()
"""

    status, said = interrupted(code, variables)

    assert (status, said.strip()) == (130, '')


def interrupted(code: str, variables: dict[str, str]) -> tuple[int, str]:
    """The status and standard error of a process that gets SIGINT where it says that it is there."""
    process = subprocess.Popen(
        [sys.executable, '-c', code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=variables,
    )
    with process:
        assert process.stdout
        while (line := process.stdout.readline()) != 'here\n':
            assert line, 'it ended before'
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
        return process.returncode, said
