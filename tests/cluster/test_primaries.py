"""The primary fails, and the standby becomes the primary."""

import random
import time

from tests.support.cluster.ledger import Ledger
from tests.support.cluster.machines import Cluster

#: The most seconds that pass, here, until somebody notices that the primary is gone.
NOTICED = 2.0


def test_the_primary_is_killed_and_the_standby_promoted(pair: Cluster, ledger: Ledger, times: int) -> None:
    pair.start('one', 'two', 'three', timeout=8)
    for number in range(times):
        with pair.load(f'failover-{number}') as callers:
            former = pair.primary
            former.kill()
            time.sleep(random.uniform(0, NOTICED))  # the fault itself: nobody has noticed it yet
            moment = pair.fail_over()
            callers.wait_for_numbers('one', 'two', 'three', after=moment)
        ledger.add(pair.judge(callers), moment)
        former.follow(pair.primary)


def test_an_old_primary_comes_back(pair: Cluster, ledger: Ledger, times: int) -> None:
    """It takes changes, as nobody has told it that it was replaced, and the sessions on the new one are ended."""
    pair.start('one', 'two', timeout=8)
    for number in range(times):
        with pair.load(f'old-{number}') as callers:
            old = pair.primary
            old.kill()
            pair.fail_over()
            callers.wait_for_numbers('one', 'two', after=time.monotonic())
            old.configure(synchronous_standby_names='')
            old.start()
            assert old.is_primary
            moment = time.monotonic()
            pair.primary.end_sessions(f"datname = '{pair.database}'")
            callers.wait_for_numbers('one', 'two', after=moment, times=20)
            pair.start(fresh := f'fresh-{number}', timeout=8)
            callers.call(fresh, pair.servers[fresh].address)
            callers.wait_for_numbers('one', 'two', fresh, after=time.monotonic(), times=20)
        ledger.add(pair.judge(callers), moment)
        pair.stop(fresh)
        old.stop()
        old.follow(pair.primary)
