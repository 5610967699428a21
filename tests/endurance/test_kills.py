"""Exactly once, while the server of the database is killed hundreds of times."""

import random
from contextlib import closing
from pathlib import Path

import pytest

from hitcounter.hits import HitCounter
from hitcounter.state import State, open_database
from tests.support import outages
from tests.support.crashing import FATES, CrashingServer

DEATHS = 300


@pytest.mark.parametrize('uri', ['file:{path}', 'zeo:{path}.shared/socket?storage=1'])
def test_each_call_is_counted_once_though_the_server_is_killed_hundreds_of_times(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / 'hits.fs'
    seed = random.randrange(1_000_000)
    outages.be_impatient(monkeypatch)
    with open_database(f'file:{path}', share=True) as database:
        State(database, [HitCounter]).close()
    with closing(CrashingServer(path, DEATHS, seed)) as server:
        fates, counted = outages.count_through(server, uri.format(path=path))
    print(f'seed {seed}: {len(counted.stored)} stored, {len(counted.failed)} failed; died {dict(fates)}')  # noqa: T201
    looked_up = [record.message for record in caplog.records if record.name == 'hitcounter.state.transactions.marker']
    assert set(fates) == set(FATES)
    assert fates.total() == DEATHS
    assert any(message.endswith('is stored') for message in looked_up)
    assert any(message.endswith('is not stored') for message in looked_up)
