"""The tutorial, followed by somebody who has just the tree's own packages; tests/asterisk follows all of it."""

import os
import socket
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.places import TREE
from tests.support.walkthrough import Command, File, Reader, clean, steps, wheels

PAGE = (TREE / 'docs' / 'tutorial.md').read_text('utf-8')

_INSTALL = 'pip install --quiet ~/hitcounter pytest'
_WITH_ASTERISK = '\n## 7. '

#: Runs a command of the tree's packages in the reader's virtual environment.
_COMMAND = """#!/bin/sh
PYTHONPATH={path} exec {python} -c '
import sys
from importlib.metadata import entry_points
sys.argv[0] = "{name}"
command, = entry_points(group="console_scripts", name="{name}")
command.load()()' "$@"
"""


def install_commands(environment: Path) -> None:
    """What the page installs by pip, from the packages of this tree."""
    path = ':'.join(path for path in sys.path if os.path.isabs(path))
    for name in ('hitcounter', 'pytest'):
        command = environment / 'bin' / name
        command.write_text(_COMMAND.format(path=path, python=environment / 'bin' / 'python', name=name))
        command.chmod(0o755)


def a_free_port() -> int:
    with closing(socket.create_server(('127.0.0.1', 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_the_tutorial_does_what_it_shows_up_to_the_step_with_asterisk(tmp_path: Path) -> None:
    own = {'HITCOUNTER_LISTEN': f'127.0.0.1:{a_free_port()}', 'PIP_NO_DEPS': '1'}
    page = PAGE.replace(':4573', '').replace('127.0.0.1', own['HITCOUNTER_LISTEN']).partition(_WITH_ASTERISK)[0]
    with closing(Reader(tmp_path, {**clean(os.environ), **wheels(), **own})) as reader:
        followed = list(steps(page))
        for step in followed:
            if step == Command(_INSTALL, ''):
                install_commands(tmp_path / 'lunch' / 'venv')
            else:
                reader.follow(step)
    assert Command(_INSTALL, '') in followed
    assert [step.name for step in followed if isinstance(step, File)] == [
        'lunch.py',
        'pyproject.toml',
        'test_lunch.py',
        'lunch.py',
        'test_lunch.py',
    ]


def test_no_command_names_a_job_by_its_number() -> None:
    """At a prompt, the server that follows a killed one is job 2; a shell that reads a file calls it 1 again."""
    assert [step for step in steps(PAGE) if isinstance(step, Command) and '%' in step.line.partition("'")[0]] == []


def test_a_block_of_a_page_that_is_neither_a_file_nor_a_command_is_noticed() -> None:
    with pytest.raises(ValueError, match='names no file'):
        list(steps('Look at this:\n\n```python\nx = 1\n```\n'))


def test_what_a_command_prints_is_compared_with_the_page(tmp_path: Path) -> None:
    with closing(Reader(tmp_path, clean(os.environ))) as reader:
        reader.follow(Command('echo one two', 'one ...'))
        with pytest.raises(AssertionError, match='one two'):
            reader.follow(Command('echo one two', 'two'))
