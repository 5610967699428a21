"""A round, whose server is killed under load, or has a process beside it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hitcounter.simulator import Channel
from tests.support.patience import PATIENCE
from tests.support.processes import ProcessCall
from tests.support.round_kills import Told, open_round, survive
from tests.support.servers import Start


def test_each_milestone_has_one_winner_though_the_server_is_killed(start: Start, storage: str) -> None:
    survive(start, storage, 3)


def test_processes_beside_the_server_give_each_number_once(
    start: Start, storage: str, environment: dict[str, str], tmp_path: Path
) -> None:
    open_round(storage)
    told = Told(start())
    variables = {**environment, 'HITCOUNTER_STORAGE': storage}
    with ThreadPoolExecutor() as pool:
        calling = [pool.submit(told.call) for _ in range(4)]
        try:
            for _ in range(4):
                process = ProcessCall(Channel(), 'hits/contest', environment=variables, folder=tmp_path).run()
                assert process.status == 0
                assert process.asterisk.variables['HITCOUNTER_NUMBER']
                told.note(process.asterisk)
                process.close()
        finally:
            told.is_over.set()
        for one in calling:
            one.result(PATIENCE)
    told.stop()
    told.check(storage)
