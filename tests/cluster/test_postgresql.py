"""PostgreSQL fails, or the network to it, or the standby that its commits wait for."""

import random
import signal
import time
from collections.abc import Callable

from tests.support.cluster.ledger import Ledger
from tests.support.cluster.machines import Cluster
from tests.support.cluster.network import Network
from tests.support.patience import PATIENCE
from tests.support.postgresql import PostgreSQL

#: The most seconds that PostgreSQL is away, where callers are to hear numbers all the same.
AWAY = 2.0


def test_postgresql_is_restarted(alone: Cluster, ledger: Ledger, times: int) -> None:
    _end_and_start(alone, ledger, times, lambda: alone.primary.stop(signal.SIGINT))


def test_postgresql_crashes_and_recovers(alone: Cluster, ledger: Ledger, times: int) -> None:
    _end_and_start(alone, ledger, times, alone.primary.kill)


def _end_and_start(alone: Cluster, ledger: Ledger, times: int, end: Callable[[], object]) -> None:
    alone.start('one', 'two', 'three', timeout=8)
    for number in range(times):
        with alone.load(f'ended-{number}') as callers:
            end()
            time.sleep(random.uniform(0, AWAY))  # the fault itself: it is away for so long
            moment = time.monotonic()
            alone.primary.start()
            callers.wait_for_numbers('one', 'two', 'three', after=moment)
        ledger.add(alone.judge(callers), moment)


def test_the_standby_is_gone_for_a_while(pair: Cluster, ledger: Ledger, times: int) -> None:
    """Killed or hanging by turns; no commit ends meanwhile."""
    assert pair.standby
    pair.start('one', 'two', 'three', timeout=3)
    for number in range(times):
        with pair.load(f'standby-{number}') as callers:
            moment = time.monotonic()
            (pair.standby.pause if number % 2 else pair.standby.kill)()
            callers.wait_for_apologies('one', 'two', 'three', after=moment, times=6)
            moment = time.monotonic()
            (pair.standby.resume if number % 2 else pair.standby.start)()
            callers.wait_for_numbers('one', 'two', 'three', after=moment)
        ledger.add(pair.judge(callers), moment)


def test_the_session_of_the_turn_is_ended_again_and_again(alone: Cluster, ledger: Ledger, times: int) -> None:
    alone.start('one', 'two', 'three', timeout=8)
    for number in range(times):
        with alone.load(f'turn-{number}') as callers:
            moment = time.monotonic()
            _end_turns(alone.primary, alone.database)
            callers.wait_for_numbers('one', 'two', 'three', after=time.monotonic())
        ledger.add(alone.judge(callers), moment)


def _end_turns(primary: PostgreSQL, database: str, times: int = 10) -> None:
    """End the session that has the turn, whichever it is, so many times."""
    ended, deadline = 0, time.monotonic() + PATIENCE
    while ended < times:
        ended += primary.end_sessions(_HOLDS_A_TURN, database)
        assert time.monotonic() < deadline, f'only {ended} sessions that had the turn were found'


#: A key of two integers; RelStorage's own have one.
_HOLDS_A_TURN = (
    "datname = current_database() and pid in (select pid from pg_locks where locktype = 'advisory' and objsubid = 2 "
    "and mode = 'ExclusiveLock' and granted)"
)


def test_the_network_to_postgresql_is_cut_without_a_word(
    far: Cluster, network: Network, ledger: Ledger, times: int
) -> None:
    far.start('one', 'two', 'three', timeout=3)
    for number in range(times):
        with far.load(f'network-{number}') as callers:
            moment = time.monotonic()
            network.cut()
            callers.wait_for_apologies('one', 'two', 'three', after=moment, times=6)
            network.heal()
            moment = time.monotonic()
            callers.wait_for_numbers('one', 'two', 'three', after=moment)
        ledger.add(far.judge(callers), moment)
