"""--storage-of: a component in a database of its own, for the server and for the commands."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hitcounter.hits import HitCounter
from hitcounter.lines.component import Lines
from hitcounter.simulator import SaidNumber
from hitcounter.state import ReadConnection, open_database
from tests.support.plugins import VOTES, Install
from tests.support.servers import ServerProcess

if TYPE_CHECKING:
    from tests.support.servers import Run, Start

RECORDS = (
    VOTES.replace('from hitcounter.state import', 'from collections.abc import Iterator\nfrom hitcounter.state import')
    + """
Votes.export = lambda self: iter([{'votes': self.votes}])
"""
)


@pytest.fixture
def votes(install: Install) -> dict[str, str]:
    """The variables of a process that has the votes."""
    return install('votes', RECORDS, scripts='vote = votes:vote', components='votes = votes:Votes')


@pytest.fixture
def elsewhere(tmp_path: Path) -> str:
    return f'file://{tmp_path}/votes.fs'


@pytest.fixture
def both(votes: dict[str, str], elsewhere: str, storage: str) -> dict[str, str]:
    """The variables of a process that has the votes, and finds them in a database of their own."""
    return {**votes, 'HITCOUNTER_STORAGE_OF': f'votes={elsewhere}', 'HITCOUNTER_STORAGE': storage}


def said(server: ServerProcess, path: str) -> int:
    (number,) = (
        event.number for event in server.call(url=f'agi://127.0.0.1/{path}').events if isinstance(event, SaidNumber)
    )
    return number


def stored(uri: str) -> list[str]:
    with open_database(uri, read_only=True) as database, ReadConnection(database.db) as connection:
        return sorted(connection.root['schemas'])


def test_the_server_counts_in_one_database_and_lets_vote_in_another(
    start: Start, both: dict[str, str], storage: str, elsewhere: str
) -> None:
    server = start(env=both)

    assert [said(server, 'hits'), said(server, 'vote/3'), said(server, 'hits'), said(server, 'vote/4')] == [1, 3, 2, 7]

    path = elsewhere.removeprefix('file://')
    assert len(server.log.lines(f'{path} is a new database')) == 1
    assert server.log.lines(f'listening on .* and {path}')
    server.stop()
    assert (stored(storage), stored(elsewhere)) == (['hits', 'lines'], ['votes'])


def test_a_server_that_is_killed_has_lost_nothing_of_either(start: Start, both: dict[str, str], run: Run) -> None:
    heard: dict[str, list[int]] = {'hits': [], 'vote/1': []}
    for _ in range(3):
        server = start(env=both)

        def call(path: str, server: ServerProcess = server) -> None:
            try:
                while True:
                    heard[path].append(said(server, path))
            except (OSError, ValueError):  # it was killed
                pass

        threads = [threading.Thread(target=call, args=(path,)) for path in heard for _ in range(2)]
        for thread in threads:
            thread.start()
        server.log.wait('agistatus=SUCCESS', 100)
        os.kill(server.process.pid, signal.SIGKILL)
        for thread in threads:
            thread.join()
        server.wait()

    counted = run('shell', '-c', 'print(votes.votes, root["hits"].count("31415"))', env=both)
    assert counted.returncode == 0, counted.stderr
    votes, calls = map(int, counted.stdout.split()[-2:])
    for path, total in {'hits': calls, 'vote/1': votes}.items():
        assert len(set(heard[path])) == len(heard[path]) > 0  # unique
        assert max(heard[path]) <= total <= len(heard[path]) + 3 * 2  # none lost; unheard is what was under way


def test_the_shell_has_all_and_changes_each_in_its_own_database(
    start: Start, both: dict[str, str], run: Run, elsewhere: str
) -> None:
    start(env=both)

    changed = run(
        'shell', '--write', '-c',
        'print(state[Votes].vote(5)); print(state[HitCounter].count("31415")); print("votes" in root)',
        env=both,
    )  # fmt: skip
    refused = run('shell', '--write', '-c', 'votes.votes = 100', env=both)
    read = run('shell', '-c', 'print(votes.votes, state[Votes])', env=both)

    assert (changed.stdout, changed.stderr, changed.returncode) == ('5\n0\nFalse\n', '', 0)
    assert 'this connection only reads' in refused.stderr
    assert read.stdout.startswith('5 <Votes')


@pytest.mark.parametrize('is_running', [True, False])
def test_commands_find_each_component_where_it_lives(
    is_running: bool, start: Start, both: dict[str, str], hitcounter: Run, run: Run
) -> None:
    server = start(env=both)
    assert (said(server, 'hits'), said(server, 'vote/3')) == (1, 3)
    if not is_running:
        server.stop()

    exported = hitcounter('export', '--format', 'jsonl', '--component', 'votes', '-', env=both)
    calls = hitcounter('export', '--format', 'csv', '-', env=both)
    forgotten = hitcounter('forget', '--keep-calls', '0s', env=both)
    imported = hitcounter('import', '--format', 'csv', '-', input=calls.stdout, env=both)

    assert exported.stdout == '{"votes": 3}\n'
    assert len(calls.stdout.splitlines()) == 2
    assert forgotten.stdout == '1 call forgotten\n'
    assert imported.returncode == 0, imported.stderr


def test_an_upkeep_command_works_on_the_storage_that_it_is_given(
    start: Start, both: dict[str, str], run: Run, votes: dict[str, str], elsewhere: str, storage: str
) -> None:
    start(env=both).stop()

    for uri, lives in (storage, 'hits'), (elsewhere, 'votes'):
        status = run('main', 'status', '--storage', uri, env=votes)
        assert f'schemas          {lives} ' in status.stdout
        for command in ('verify', 'pack', 'migrate'):
            done = run('main', command, '--storage', uri, env=votes)
            assert done.returncode == 0, done.stderr
        assert ('votes in' in status.stdout) == (uri == storage)
    main = run('main', 'migrate', '--status', '--storage', storage, env=votes)
    other = run('main', 'migrate', '--status', '--storage', elsewhere, env=votes)
    path = elsewhere.removeprefix('file://')
    ours = f'hits: schema {HitCounter.schema}, as it should be\nlines: schema {Lines.schema}, as it should be\n'
    assert main.stdout == f'{ours}votes: lives in {path}\n'
    assert f'hits: does not live here, but belongs to {storage.removeprefix("file://")}' in other.stdout


def refused(run: Run, *arguments: str, env: dict[str, str]) -> str:
    done = run('serve', '--listen', '127.0.0.1:0', *arguments, env=env)
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr
    return done.stderr.splitlines()[-1]


def test_a_server_that_is_not_told_where_a_component_lives_does_not_begin_it_again(
    start: Start, both: dict[str, str], run: Run, votes: dict[str, str], elsewhere: str, storage: str
) -> None:
    start(env=both).stop()

    told_nothing = refused(run, '--storage', storage, env=votes)
    wrong_file = refused(run, '--storage', storage, '--storage-of', f'votes={elsewhere}.new', env=votes)
    wrong_main = refused(run, '--storage', elsewhere, env=votes)

    path = elsewhere.removeprefix('file://')
    assert f"component 'votes' lives in {path}, and not in" in told_nothing
    assert '(--storage-of votes=URI' in told_nothing
    assert f"{path}.new does not hold the component 'votes'" in wrong_file
    assert 'only holds components for the state in' in wrong_main


def test_a_component_that_was_stored_with_the_others_is_not_begun_elsewhere(
    start: Start, both: dict[str, str], run: Run, votes: dict[str, str], elsewhere: str, storage: str
) -> None:
    start(env=votes).stop()

    said = refused(run, env=both)

    assert f"holds the component 'votes', which is to live in {elsewhere.removeprefix('file://')}" in said


def test_wrong_names_and_storages_are_refused_before_anything_is_made(
    run: Run, votes: dict[str, str], tmp_path: Path, storage: str
) -> None:
    unknown = refused(run, '--storage', storage, '--storage-of', f'vote=file:{tmp_path}/votes.fs', env=votes)
    same = refused(run, '--storage', storage, '--storage-of', f'votes=file:{tmp_path}/./hits.fs', env=votes)
    missing = refused(run, '--storage', storage, '--storage-of', 'votes=file:/no/such/folder/votes.fs', env=votes)

    assert "'vote' is not a component, and has no storage: there are hits, lines, votes" in unknown
    assert "is the storage of all components, 'votes' among them" in same
    assert "'/no/such/folder' is not an existing folder" in missing
    assert not [*tmp_path.glob('*.fs*')]
