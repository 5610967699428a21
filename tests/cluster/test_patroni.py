"""Patroni and etcd, set up by the files in docs/cluster, fail under load. Each fault takes about half a minute.

What a caller feels of the first two is the silence: numbers are said until the fault has its effect.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.cluster.ledger import Ledger
from tests.support.cluster.machines import Servers
from tests.support.cluster.patroni import Patroni, skip_without_patroni
from tests.support.postgresql import folder_for_postgresql, until


@pytest.fixture(scope='module')
def patroni() -> Iterator[Patroni]:
    """Two machines and a witness, which these tests share, and leave as they were."""
    skip_without_patroni()
    with folder_for_postgresql() as folder, closing(Patroni(folder)) as patroni:
        patroni.start()
        yield patroni


@pytest.fixture
def servers(
    patroni: Patroni, environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Servers]:
    servers = Servers(patroni.uri, environment, tmp_path)
    try:
        servers.start('one', 'two', timeout=8)
        yield servers
        servers.close()
    finally:
        servers.report(request.node)
        request.node.add_report_section('teardown', 'logs of etcd, Patroni and PostgreSQL', patroni.logs())
        servers.kill_all()


@pytest.fixture
def rounds(times: int) -> int:
    """How many times each fault is made to happen: one of these takes as long as five of the others."""
    return times // 5 or 1


def test_an_operator_switches_over(patroni: Patroni, servers: Servers, ledger: Ledger, rounds: int) -> None:
    for number in range(rounds):
        with servers.load(f'switchover-{number}', each=3) as callers:
            former = patroni.leader
            moment = time.monotonic()
            patroni.switch_over()
            callers.wait_for_numbers('one', 'two', after=time.monotonic())
            assert patroni.leader is not former
            patroni.wait_until_in_step()
            ledger.note(f'both are in step again after {time.monotonic() - moment:.1f} s')
        ledger.add(servers.judge(callers))


def test_the_machine_of_the_leader_dies_and_comes_back(
    patroni: Patroni, servers: Servers, ledger: Ledger, rounds: int
) -> None:
    for number in range(rounds):
        with servers.load(f'dead-{number}', each=3) as callers:
            former, written = patroni.leader, len(patroni.leader.log)
            moment = time.monotonic()
            former.kill()
            callers.wait_for_apologies('one', 'two', after=moment)
            callers.wait_for_numbers('one', 'two', after=time.monotonic())
            assert patroni.leader is not former
            back = time.monotonic()
            former.start_etcd()
            former.start_patroni()
            patroni.wait_until_in_step()
            ledger.note(f'the former leader is the synchronous standby {time.monotonic() - back:.1f} s after its start')
            assert 'running pg_rewind' in former.log[written:]
            assert patroni.leader is not former
            callers.wait_for_numbers('one', 'two', after=time.monotonic())
        ledger.add(servers.judge(callers))


def test_etcd_has_lost_its_majority_for_a_while(
    patroni: Patroni, servers: Servers, ledger: Ledger, rounds: int
) -> None:
    for number in range(rounds):
        with servers.load(f'etcd-{number}', each=3) as callers:
            primary, moment = patroni.leader, time.monotonic()
            patroni.machines[0].kill_etcd()
            patroni.machines[2].kill_etcd()
            until(lambda primary=primary: not primary.takes_changes, 'the primary is demoted', every=0.2)
            ledger.note(f'the primary is demoted {time.monotonic() - moment:.1f} s after etcd lost its majority')
            callers.wait_for_apologies('one', 'two', after=time.monotonic(), times=6)
            assert not any(machine.takes_changes for machine in patroni.databases)
            moment = time.monotonic()
            patroni.machines[0].start_etcd()
            patroni.machines[2].start_etcd()
            callers.wait_for_numbers('one', 'two', after=moment)
        ledger.add(servers.judge(callers), moment)
        patroni.wait_until_in_step()
