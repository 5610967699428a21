"""The launchers in bin/, as a user starts them; tests/endurance/test_set_up.py has what sets up again and again."""

from __future__ import annotations

import fcntl
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.launchers import SETTING_UP, begin, change, copy_tree, refusal, start
from tests.support.patience import PATIENCE
from tests.support.places import TREE


@pytest.mark.parametrize('name', ['hitcounter', 'hitcounter-agi', 'hitcounter-serve', 'hitcounter-shell'])
def test_a_built_tree_starts_at_once_with_the_arguments_and_the_exit_status(
    name: str, built: Path, new_user: dict[str, str]
) -> None:
    again = start(built / 'bin' / name, '--a b', '\'"$HOME', env=new_user)
    assert (again.stdout, again.stderr, again.returncode) == ('--a b|\'"$HOME\n', '', 2)


def test_ctrl_c_waits_until_the_command_can_end_quietly(built: Path, new_user: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / 'sitecustomize.py').write_text("import sys; print('here', flush=True); sys.stdin.read()")
    with subprocess.Popen(
        [built / 'bin/hitcounter'],
        env=new_user | {'PYTHONPATH': str(tmp_path)},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as started:
        assert started.stdout
        assert started.stdout.readline() == 'here\n'
        started.send_signal(signal.SIGINT)
        shown, said = started.communicate(timeout=PATIENCE)

    assert (shown, said) == ('\n', '')


def test_a_launcher_works_through_symbolic_links_from_anywhere(
    built: Path, new_user: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / 'tree').symlink_to(built)
    (tmp_path / 'serve').symlink_to('tree/bin/hitcounter-serve')
    by_link = start('./serve', 'x', env=new_user, cwd=tmp_path)
    assert (by_link.stdout, by_link.stderr) == ('x\n', '')


def test_bin_test_passes_its_arguments_to_pytest(new_user: dict[str, str], tmp_path: Path) -> None:
    version = start(TREE / 'bin/test', '--version', env=new_user | {'PYTHON': ''}, cwd=tmp_path)
    assert version.stdout + version.stderr == f'pytest {pytest.__version__}\n'


@pytest.mark.parametrize('where', ['PYTHONPATH', 'site-packages'])
def test_another_package_of_the_name_does_not_come_before_the_tree(
    where: str, built: Path, new_user: dict[str, str], tmp_path: Path
) -> None:
    start(built / 'bin/hitcounter', env=new_user)
    (folder,) = built.glob('.venv/lib/*/site-packages') if where == 'site-packages' else [tmp_path]
    other = folder / 'hitcounter'
    other.mkdir()
    (other / '__init__.py').write_text('raise SystemExit("another one")')
    try:
        done = start(built / 'bin/hitcounter', 'x', env=new_user | {'PYTHONPATH': str(tmp_path)})
    finally:
        shutil.rmtree(other)
    assert (done.stdout, done.stderr) == ('x\n', '')


def test_a_changed_configuration_sets_up_again(built: Path, new_user: dict[str, str]) -> None:
    change(built)
    assert start(built / 'bin/hitcounter', env=new_user).stderr.startswith(SETTING_UP)
    assert start(built / 'bin/hitcounter', env=new_user).stderr == ''


def test_a_second_launcher_waits_for_the_set_up_of_the_first(built: Path, new_user: dict[str, str]) -> None:
    change(built)
    with (built / '.build/lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = begin(built / 'bin/hitcounter', new_user)
        assert waiting.stderr is not None
        assert waiting.stderr.readline() == 'hitcounter: waiting for another set-up of this tree to end\n'
    with waiting:
        assert waiting.stderr.read().startswith(SETTING_UP)
    assert waiting.returncode == 0


# What must be there first. Without it: status 1, and a last line that says what to do.


def programs(folder: Path, *, without: str = '', python3: str = '') -> str:
    """A PATH with this machine's programs except those named, and perhaps a python3 that runs these lines."""
    folder.mkdir()
    for program in Path('/usr/bin').iterdir():
        if not program.name.startswith('python') and program.name != without:
            (folder / program.name).symlink_to(program)
    if python3:
        (folder / 'python3').write_text(f'#!/bin/sh\n{python3}\n')
        (folder / 'python3').chmod(0o755)
    return str(folder)


@pytest.mark.parametrize('name', ['a:b', 'a[1]', 'a$b'])
def test_a_folder_whose_name_no_tool_can_take_is_said(tmp_path: Path, new_user: dict[str, str], name: str) -> None:
    tree = copy_tree(tmp_path / name)

    refused = start(tree / 'bin/hitcounter', env=new_user)

    assert refused.returncode == 1
    assert refused.stderr.startswith(f'hitcounter: cannot be set up in {tree}: ')
    assert refused.stderr.endswith('rename the folder\n')


def test_no_python_is_said(new: Path, new_user: dict[str, str], tmp_path: Path) -> None:
    assert refusal(new, new_user | {'PATH': programs(tmp_path / 'bin'), 'PYTHON': ''}) == (
        'hitcounter: needs Python 3.11 or newer, and python3 is missing: '
        'install it (apt install python3 python3-venv) or name one by PYTHON=/path/to/python3'
    )


def test_an_old_python_is_said(new: Path, new_user: dict[str, str], tmp_path: Path) -> None:
    path = programs(tmp_path / 'bin', python3='[ "$1" = --version ] && exec echo Python 3.9.2; exit 1')
    assert 'and python3 is Python 3.9.2: install' in refusal(new, new_user | {'PATH': path, 'PYTHON': ''})


def test_a_python_that_was_named_is_the_only_one_tried(new: Path, new_user: dict[str, str]) -> None:
    assert 'and /no/python is missing: install' in refusal(new, new_user | {'PYTHON': '/no/python'})


def test_a_missing_venv_module_is_said(new: Path, new_user: dict[str, str], tmp_path: Path) -> None:
    path = programs(tmp_path / 'bin', python3=f'[ "$1" = -m ] && exit 1; exec "{new_user["PYTHON"]}" "$@"')
    assert refusal(new, new_user | {'PATH': path, 'PYTHON': 'python3'}) == (
        'hitcounter: python3 cannot make a virtual environment: install python3-venv (apt install python3-venv); '
        f'log: {new}/.build/set-up.log'
    )


def test_a_missing_flock_is_said(new: Path, new_user: dict[str, str], tmp_path: Path) -> None:
    path = programs(tmp_path / 'bin', without='flock')
    needs_flock = 'hitcounter: needs flock: install util-linux (apt install util-linux)'
    assert refusal(new, new_user | {'PATH': path}) == needs_flock


def test_a_tree_that_cannot_be_written_is_said(new: Path, new_user: dict[str, str]) -> None:
    (new / '.build').write_text('A file, as root may write to any folder.')
    refused = refusal(new, new_user)
    assert refused.startswith(f'hitcounter: cannot write to {new}/.build (Not a directory): make it writable for ')
