"""Real servers and shells for the tests: processes of their own, on databases of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

from hitcounter.hits import Caller, HitCounter
from hitcounter.state import State, open_database
from tests.support.modules import Modules
from tests.support.patience import PATIENCE
from tests.support.places import TREE
from tests.support.servers import BOB, Run, ServerProcess, Start

pytest_plugins = [
    'hitcounter.pytest_plugin',
    'tests.support.launchers',
    'tests.support.postgresql',
]  # once, even where the entry point of that name has brought it already

settings.register_profile('no deadline', deadline=None)  # other tests, too, keep the machine busy
settings.load_profile('no deadline')

# A background job of a script ignores SIGINT, one under nohup SIGHUP, and the commands under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGHUP})


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption('--every-byte', action='store_true', help='damage every byte, and not a sample (test_damage.py)')


@pytest.fixture(autouse=True, scope='session')
def _notes_of_primaries(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing is written into the home folder."""
    os.environ['STATE_DIRECTORY'] = str(tmp_path_factory.mktemp('notes'))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The variables of a process under test: none of ours, and a home folder of its own."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith('HITCOUNTER_')}
    package = TREE
    search = os.pathsep.join(filter(None, (str(package), variables.get('PYTHONPATH'))))
    return {**variables, 'PYTHONPATH': search, 'HOME': str(tmp_path), 'TERM': 'dumb'}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder of our own that other users can enter, as the folders of pytest cannot be."""
    for parent in map(Path, dict.fromkeys([tempfile.gettempdir(), '/tmp', '/var/tmp', '/dev/shm'])):
        if all(folder.stat().st_mode & 0o001 for folder in [parent, *parent.parents]):
            with tempfile.TemporaryDirectory(dir=parent) as name:
                os.chmod(name, 0o755)
                yield Path(name)
            return
    pytest.skip('there is not a temporary folder that other users can enter')


@pytest.fixture
def storage(tmp_path: Path) -> str:
    """The URI of this test's database, which is made by the first server."""
    return f'file://{tmp_path}/hits.fs'


@pytest.fixture
def start(storage: str, environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start a server with these options on this test's database, by the command `inside` if there is one."""
    started: list[ServerProcess] = []

    def start(
        *options: str, at: str = storage, env: Mapping[str, str] | None = None, inside: tuple[str, ...] = ()
    ) -> ServerProcess:
        server = ServerProcess(at, options, {**environment, **(env or {})}, tmp_path, inside)
        started.append(server)
        server.wait_until_ready()
        return server

    yield start
    for server in started:
        server.process.terminate()
    for server in started:
        assert server.wait() in (0, -signal.SIGKILL), server.log
        assert 'Traceback' not in str(server.log), server.log


@pytest.fixture
def server(start: Start) -> ServerProcess:
    return start()


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Run:
    """Run one of the commands, by the command `inside` if there is one, to its end: its status and what it said."""

    def run(
        command: str,
        *arguments: str,
        input: str = '',
        env: Mapping[str, str] | None = None,
        inside: tuple[str, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        code = f'from hitcounter.commands.{command} import main; main()'
        return subprocess.run(
            [*inside, sys.executable, '-W', 'error', '-c', code, *arguments],
            input=input,
            capture_output=True,
            text=True,
            env={**environment, **(env or {})},
            cwd=tmp_path,
            timeout=PATIENCE,
            check=False,
        )

    return run


@pytest.fixture
def hitcounter(run: Run, storage: str) -> Run:
    """Run `hitcounter COMMAND ...` on this test's database."""
    return lambda *arguments, **options: run(
        'main', *arguments, **{**options, 'env': {'HITCOUNTER_STORAGE': storage, **(options.get('env') or {})}}
    )


@pytest.fixture
def count(storage: str) -> Callable[..., None]:
    """Count a call on each of these lines, without a server."""

    def count(*lines: str, caller: Caller = BOB) -> None:
        with (
            open_database(storage, share=True) as database,
            State(database, [HitCounter]) as state,
        ):
            for line in lines:
                state[HitCounter].hit(line, caller)

    return count


@pytest.fixture
def shell(run: Run, storage: str) -> Run:
    """Run hitcounter-shell on this test's database."""
    return lambda *arguments, **options: run('shell', '--storage', storage, *arguments, **options)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Modules]:
    folder = tmp_path / 'modules'
    folder.mkdir()
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)
    monkeypatch.syspath_prepend(str(folder))
    modules = Modules(folder)
    yield modules
    modules.forget()
