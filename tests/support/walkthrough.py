"""A page of the documentation that is followed step by step: its files are written, its commands given to a shell."""

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .patience import PATIENCE
from .places import TREE

_BLOCK = re.compile(r'^```(\w+)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_NAME = re.compile(r'`([\w./-]+\.\w+)`')  # of a file, in the paragraph before its text
_LOOKS = ('hitcounter shell -c', 'hitcounter round show')
_JOB = re.compile(r'.*: line \d+: |\[\d+\]')  # what bash says of its jobs


@dataclass(frozen=True)
class File:
    """A file that the page shows."""

    name: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command that the page shows, with what it prints; `...` matches anything."""

    line: str
    output: str

    @property
    def pattern(self) -> str:
        return re.escape(self.output.strip()).replace(r'\.\.\.', r'.*?')


Step = File | Command


def steps(page: str) -> Iterator[Step]:
    """The files and commands of a page, in order. Raises ValueError for a block that is neither."""
    for block in _BLOCK.finditer(page):
        kind, text = block.groups()
        before = page[: block.start()].rstrip().rpartition('\n\n')[2]
        if kind == 'console':
            yield from _commands(text)
        elif names := _NAME.findall(before):
            yield File(names[-1], text)
        else:
            raise ValueError(f'the paragraph before this block names no file: {before!r}')


def _commands(text: str) -> Iterator[Command]:
    first, *rest = re.split(r'^\$ ', text, flags=re.MULTILINE)
    if first:
        raise ValueError(f'what is before the first command? {first!r}')
    for command in rest:
        line, _, output = command.partition('\n')
        yield Command(line, output)


class Reader:
    """Somebody who follows a page in an empty folder: one terminal, one shell.

    A look at the database is repeated for a while, because a reader is not as fast as a program.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], inside: tuple[str, ...] = ()) -> None:
        self._where = folder  # of the shell
        python = folder / '.bin' / 'python3'  # the one that the fetched packages are for
        python.parent.mkdir()
        python.symlink_to(Path(sys.base_prefix) / 'bin' / f'python3.{sys.version_info.minor}')
        path = f'{python.parent}:{environment["PATH"]}'
        self._output = b''
        self._shell = subprocess.Popen(
            [*inside, 'bash', '--norc', '--noprofile'],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**environment, 'PATH': path, 'HOME': str(folder), 'LC_ALL': 'C.UTF-8'},
            bufsize=0,
        )
        self._run('set -m')

    def follow(self, step: Step) -> None:
        if isinstance(step, File):
            assert not Path(step.name).is_absolute(), f'{step.name} is outside of the folder'
            (self._where / step.name).write_text(step.text, 'utf-8')
        else:
            self._give(step)

    def _give(self, command: Command) -> None:
        deadline = time.monotonic() + PATIENCE
        if command.line.endswith('&'):
            self._run(': >serve.log')  # a program may read it before the shell has made it, or emptied it
        printed = self._run(command.line)
        while not re.fullmatch(command.pattern, printed.strip(), re.DOTALL):
            is_to_come = command.line.startswith(_LOOKS) and time.monotonic() < deadline
            assert is_to_come, f'$ {command.line}\n{printed}'
            time.sleep(0.1)  # there is no event to wait for
            printed = self._run(command.line)

    def _run(self, line: str) -> str:
        """What a command line prints."""
        assert self._shell.stdin
        self._shell.stdin.write(f'{line}\necho "=== $PWD"\n'.encode())
        deadline = time.monotonic() + PATIENCE
        while (end := re.search(rb'^=== (.*)\n', self._output, re.MULTILINE)) is None:
            self._read(line, deadline)
        printed, self._output = self._output[: end.start()].decode(), self._output[end.end() :]
        self._where = Path(end[1].decode())
        return ''.join(said for said in printed.splitlines(keepends=True) if not _JOB.match(said))

    def _read(self, line: str, deadline: float) -> None:
        assert self._shell.stdout
        ready, _, _ = select.select([self._shell.stdout], [], [], max(deadline - time.monotonic(), 0))
        assert ready, f'$ {line}\n{self._output.decode()}\n... and it still runs'
        piece = os.read(self._shell.stdout.fileno(), 65536)
        assert piece, f'$ {line}\n{self._output.decode()}\n... and the shell has ended'
        self._output += piece

    def close(self) -> None:
        """End the shell, and whatever it still runs."""
        assert self._shell.stdin
        assert self._shell.stdout
        with self._shell.stdin, self._shell.stdout:
            self._shell.stdin.write(b'kill -9 $(jobs -p) 2>/dev/null; exit\n')
            try:
                self._shell.wait(2)
            except subprocess.TimeoutExpired:  # a command still runs in the foreground
                self._shell.kill()
                self._shell.wait()


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables without those that choose a Python, its packages, or options of hitcounter."""
    chosen = ('PYTHON', 'HITCOUNTER_', 'VIRTUAL_ENV', 'PYTEST', 'PIP_USER', 'PIP_TARGET', 'PIP_PREFIX', 'PIP_ROOT')
    kept = {name: value for name, value in environment.items() if not name.startswith(chosen)}
    return {**kept, 'PIP_DISABLE_PIP_VERSION_CHECK': '1'}


def wheels() -> dict[str, str]:
    """The variables by which pip takes the packages that the set-up has fetched; none if there was no set-up."""
    folder = TREE / '.build' / 'wheels'
    if not folder.exists():
        return {}
    return {'PIP_NO_INDEX': '1', 'PIP_FIND_LINKS': str(folder), 'PIP_CONFIG_FILE': os.devnull}
