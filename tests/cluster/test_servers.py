"""One of several servers fails, while the others go on counting."""

import time

from tests.support.cluster.ledger import Ledger
from tests.support.cluster.machines import Cluster
from tests.support.cluster.network import Network


def test_a_server_is_killed(alone: Cluster, ledger: Ledger, times: int) -> None:
    alone.start('one', 'two', 'victim-0', timeout=8)
    for number in range(times):
        victim, successor = f'victim-{number}', f'victim-{number + 1}'
        with alone.load(f'killed-{number}') as callers:
            moment = time.monotonic()
            alone.kill(victim)
            callers.wait_for_numbers('one', 'two', after=moment)
            alone.start(successor, timeout=8)
            callers.call(successor, alone.servers[successor].address)
            callers.wait_for_numbers('one', 'two', successor, after=time.monotonic())
        ledger.add(alone.judge(callers), moment)


def test_a_server_is_stopped_and_goes_on_later(alone: Cluster, ledger: Ledger, times: int) -> None:
    alone.start('one', 'two', 'three', timeout=8)
    for number in range(times):
        with alone.load(f'stopped-{number}') as callers:
            moment = time.monotonic()
            alone.pause('three')
            callers.wait_for_numbers('one', 'two', after=moment, times=100)
            alone.resume('three')
            callers.wait_for_numbers('one', 'two', 'three', after=time.monotonic())
        ledger.add(alone.judge(callers), moment)


def test_a_server_is_cut_off_from_postgresql(alone: Cluster, network: Network, ledger: Ledger, times: int) -> None:
    alone.primary.listen(network.here)
    alone.uri = alone.primary.uri(alone.database)
    alone.start('one', 'two', timeout=3)
    listen = ('--listen', f'{network.there}:0', '--allow', network.both)
    alone.start('far', timeout=3, options=listen, inside=network.inside)
    for number in range(times):
        with alone.load(f'cut-off-{number}') as callers:
            moment = time.monotonic()
            network.cut(alone.primary.port)
            callers.wait_for_numbers('one', 'two', after=moment)
            callers.wait_for_apologies('far', after=moment, times=6)
            moment = time.monotonic()
            network.heal()
            callers.wait_for_numbers('one', 'two', 'far', after=moment)
        ledger.add(alone.judge(callers), moment)
