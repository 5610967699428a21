"""hitcounter-serve with a real PostgreSQL whose clock goes wrong."""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.clocks import Clock
from tests.support.postgresql import PostgreSQL, folder_for_postgresql, skip_without_postgresql
from tests.support.servers import Run, ServerProcess

_TODO = 'run chrony or systemd-timesyncd on both machines'

_LOOKING_OFTEN = 'from hitcounter.commands import serve; serve._LOOK = 0.05; serve.main()'


@pytest.fixture
def clock() -> Iterator[Clock]:
    skip_without_postgresql()
    with folder_for_postgresql() as folder:
        yield Clock(folder)


@pytest.fixture
def server(clock: Clock, environment: Mapping[str, str], tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that compares the clocks all the time."""
    with closing(PostgreSQL(clock.folder, under=clock.inside)) as postgresql:
        uri = postgresql.uri(postgresql.new_database())
        server = ServerProcess(uri, (), environment, tmp_path, code=_LOOKING_OFTEN)
        yield server
        server.process.terminate()
        assert server.wait() == 0
        assert 'Traceback' not in str(server.log)


def test_a_clock_that_goes_wrong_is_logged_once_and_once_when_it_is_right_again(
    server: ServerProcess, clock: Clock
) -> None:
    server.log.wait(r'INFO the clock of this machine is 0\.\d\d\d s (ahead of|behind) that of postgresql://\S+$')
    server.wait_until_ready()
    clock.put_ahead(7)
    server.log.wait(rf'WARNING the clock of this machine is [67]\.\d\d\d s behind that of postgresql://\S+: {_TODO}$')
    assert server.number() == 1
    clock.put_ahead(0)
    server.log.wait(r'INFO the clock of this machine is 0\.', times=2)
    assert server.number() == 2
    assert len(server.log.lines('the clock of this machine')) == 3
    assert 'secret' not in str(server.log)


def test_a_clock_that_was_wrong_before_is_logged_at_the_start(clock: Clock, request: pytest.FixtureRequest) -> None:
    clock.put_ahead(-7)
    server: ServerProcess = request.getfixturevalue('server')
    server.log.wait(r'WARNING the clock of this machine is [67]\.\d\d\d s ahead of that')
    server.wait_until_ready()
    assert server.number() == 1


def test_a_round_opens_only_while_the_clocks_agree(server: ServerProcess, clock: Clock, run: Run) -> None:
    server.wait_until_ready()
    opening = ('round', 'open', 'contest', '--win', 'every 2', '--storage', server.storage)
    clock.put_ahead(-0.7)

    refused = run('main', *opening)

    assert refused.returncode == 1
    assert refused.stdout == ''
    assert re.fullmatch(
        r'Error: no round opens while the clocks differ by more than 0\.5 s: the clock of this machine is '
        rf'0\.[67]\d\d s ahead of that of postgresql://\S+: {_TODO}\n',
        refused.stderr,
    ), refused.stderr
    assert run('main', 'round', 'list', '--storage', server.storage).stdout == 'There was no round yet.\n'
    clock.put_ahead(0)
    assert run('main', *opening).returncode == 0


def test_a_server_does_not_speak_of_the_clock_of_a_file(
    storage: str, environment: Mapping[str, str], tmp_path: Path
) -> None:
    server = ServerProcess(storage, (), environment, tmp_path, code=_LOOKING_OFTEN)
    server.wait_until_ready()
    server.process.terminate()
    assert server.wait() == 0
    assert not server.log.lines('the clock')
