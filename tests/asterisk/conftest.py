"""The hit counter behind a real Asterisk.

These tests are skipped unless HITCOUNTER_ASTERISK names a folder; Asterisk is installed there if need be:

    HITCOUNTER_ASTERISK=/var/tmp/asterisk python -m pytest tests/asterisk

They need root (for a chroot and a network of their own) on a Debian that reaches its package mirror.

By hand, with a telephone or without:

    tests/asterisk/install /var/tmp/asterisk
    tests/asterisk/run /var/tmp/asterisk &
    bin/hitcounter-serve &
    tests/asterisk/cli /var/tmp/asterisk 'channel originate Local/31415@incoming extension stays@caller'
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.asterisk.counter import HALF_A_MINUTE, Serve, Server
from tests.support.asterisk.session import Session, TakeCall
from tests.support.asterisk.telephony import Asterisk
from tests.support.patience import PATIENCE
from tests.support.places import ASTERISK
from tests.support.zeo_server import RunningZEO


@pytest.fixture(scope='session')
def running_asterisk() -> Iterator[Asterisk]:
    folder = os.environ.get('HITCOUNTER_ASTERISK')
    if not folder:
        pytest.skip('set HITCOUNTER_ASTERISK to a folder to run these; Asterisk is installed there if need be')
    if os.geteuid() != 0:
        pytest.skip('Asterisk is installed and run in a chroot: run these tests as root')
    subprocess.run([ASTERISK / 'install', folder], check=True)
    asterisk = Asterisk(Path(folder))
    try:
        asterisk.wait_until_ready()
        yield asterisk
    finally:
        asterisk.stop()


@pytest.fixture
def asterisk(running_asterisk: Asterisk, request: pytest.FixtureRequest) -> Iterator[Asterisk]:
    """Asterisk, whose log of this test is shown if the test fails."""
    start = len(running_asterisk.log)
    yield running_asterisk
    request.node.add_report_section('teardown', "Asterisk's log", running_asterisk.log.text(start))


@pytest.fixture
def serve(asterisk: Asterisk, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Serve]:
    """Starts a server with these options; its database is this test's."""
    started: list[Server] = []

    def serve(*options: str) -> Server:
        server = Server(asterisk, tmp_path / 'hits.fs', options)
        started.append(server)
        server.start()
        return server

    yield serve
    for server in started:
        if server.process.poll() is None:
            server.kill()
        request.node.add_report_section('teardown', "server's log", server.log.text())


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve('--prompt', 'hello')


@pytest.fixture
def servers(asterisk: Asterisk, tmp_path: Path) -> Iterator[list[Server]]:
    """Two servers on one database, at 4573 and 4576; the first one speaks for half a minute."""
    text = f'<zeo>\naddress {tmp_path}/socket\n</zeo>\n<filestorage 1>\npath {tmp_path}/hits.fs\n</filestorage>\n'
    zeo = RunningZEO(tmp_path, text, 0)  # it keeps the database, so that no server of calls does
    storage = f'zeo://{tmp_path}/socket'
    servers = [
        Server(asterisk, storage, ('--prompt', HALF_A_MINUTE)),
        Server(asterisk, storage, ('--prompt', 'hello'), 4576),
    ]
    for server in servers:
        server.start()
    yield servers
    for server in servers:
        if server.process.poll() is None:
            server.kill()
    zeo.end()


@pytest.fixture
def take_call(asterisk: Asterisk) -> Iterator[TakeCall]:
    """Lets someone call and leads the call from the test, until it closes the session or ends."""
    with ExitStack() as sessions, asterisk.listen(4574) as listener:
        listener.settimeout(PATIENCE)
        yield lambda **caller: sessions.enter_context(Session(asterisk.dial('31422', **caller), listener))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests measured: tables, of which each row is a property of a test, named by the head of its table."""
    rows = [row for report in terminalreporter.getreports('') for row in report.user_properties]
    for head in dict.fromkeys(head for head, _ in rows):
        terminalreporter.section('measured')
        terminalreporter.write_line('\n'.join([head, *(str(row) for table, row in rows if table == head)]))
