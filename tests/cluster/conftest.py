"""Faults of several servers on one PostgreSQL, each made to happen under load, and judged by what callers heard.

They take minutes, and are run only where they are asked for: bin/test tests/cluster. `--times 100 -k primary` makes
the chosen faults happen so many times, not 5, and HITCOUNTER_LEDGER names a file that gets a line for each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster.ledger import Ledger
from tests.support.cluster.machines import Cluster
from tests.support.cluster.network import Network, skip_without_network
from tests.support.postgresql import PostgreSQL, folder_for_postgresql, skip_without_postgresql


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption('--times', type=int, default=5, help='how many times each fault of a cluster is made to happen')


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    asked_for = any('cluster' in argument for argument in config.invocation_params.args)
    return None if asked_for else True


@pytest.fixture
def times(pytestconfig: pytest.Config) -> int:
    """How many times the fault of a test is made to happen."""
    return int(pytestconfig.getoption('times'))


@pytest.fixture
def ledger(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Iterator[Ledger]:
    name = request.node.name.removeprefix('test_').replace('_', ' ')
    with closing(Ledger(str(name), record_property)) as ledger:
        yield ledger


@pytest.fixture
def alone(environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster whose PostgreSQL has no standby."""
    with _postgresql() as primary:
        yield from _cluster(primary, None, environment, tmp_path, request)


@pytest.fixture
def pair(environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster of a primary and a synchronous standby."""
    with _postgresql() as primary, closing(primary.new_standby('b')) as standby:
        yield from _cluster(primary, standby, environment, tmp_path, request)


@pytest.fixture
def network() -> Iterator[Network]:
    skip_without_network()
    with closing(Network()) as network:
        yield network


@pytest.fixture
def far(
    network: Network, environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Cluster]:
    """A cluster whose PostgreSQL is at the other end of the network."""
    with _postgresql(inside=network.inside, host=network.there) as primary:
        yield from _cluster(primary, None, environment, tmp_path, request)


@contextmanager
def _postgresql(**options: Any) -> Iterator[PostgreSQL]:
    skip_without_postgresql()
    with folder_for_postgresql() as folder, closing(PostgreSQL(folder, 'a', **options)) as primary:
        yield primary


def _cluster(
    primary: PostgreSQL,
    standby: PostgreSQL | None,
    environment: dict[str, str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Cluster]:
    cluster = Cluster(primary, standby, environment, tmp_path)
    try:
        yield cluster
        cluster.close()
    finally:
        cluster.report(request.node)
        cluster.kill_all()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the ledgers of the faults."""
    rows = [row for report in terminalreporter.getreports('') for row in report.user_properties]
    for head in dict.fromkeys(head for head, _ in rows):
        terminalreporter.section('ledger')
        terminalreporter.write_line('\n'.join([head, *(str(row) for table, row in rows if table == head)]))
