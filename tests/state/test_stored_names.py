"""The names that are written in databases: those of today are those of before, and earlier code reads what we write."""

from __future__ import annotations

import importlib
import io
import json
import pickletools
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ZODB.FileStorage import FileStorage

from hitcounter.hits import Caller, HitCounter
from hitcounter.state import State, WriteConnection, open_database
from hitcounter.state.upkeep.backup import back_up
from hitcounter.state.upkeep.packing import pack
from hitcounter.state.upkeep.verification import findings
from tests.support.patience import PATIENCE
from tests.support.places import FROZEN, TREE

BOB = Caller('555', 'Zoë', '17.1', withheld=False)

#: The code of the commit before the package got its rooms: the modules that a database needs, as they were.
COMMIT = '1c7726c'
EARLIER = f'code-{COMMIT}.zip'

#: Each class that databases name, and what breaks if it gets another name.
NAMES = {
    'hitcounter.hits.HitCounter': 'no server starts: the root of each hit counter is of this class',
    'hitcounter.hits.Line': 'no call of a line that was called before is counted or found',
    'hitcounter.state.journal.Journal': 'neither our calls nor the journals of third parties can be loaded',
    'hitcounter.state.journal._Piece': 'the journals can be loaded, and none of their records',
    'hitcounter.state.tally.Tally': 'no line can be loaded whose hours it counts, nor the tallies of third parties',
    'hitcounter.state.marks.Mark': 'a writer over a network cannot look up whether its last transaction was stored',
    'persistent.mapping.PersistentMapping': 'the root of every database, and the schemas, cannot be loaded',
    'BTrees.Length.Length': 'the number of lines and every total cannot be loaded',
    'BTrees.LOBTree.LOBTree': 'the indexes of journals and of tallies cannot be loaded',
    'BTrees.LOBTree.LOBucket': 'large indexes of journals and of tallies cannot be loaded',
    'BTrees.OOBTree.OOBTree': 'the lines and the marks cannot be loaded',
    'BTrees.OOBTree.OOBucket': 'more than a few lines or marks cannot be loaded',
}

#: The application of the tests whose database is frozen, and the one below.
OTHERS = {'ballots.Ballots', 'ballots.Choice', 'ballots.Remark', 'diary.Diary'}


@pytest.fixture
def diary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A component of a third party, with a journal and a tally."""
    monkeypatch.syspath_prepend(str(FROZEN))
    yield importlib.import_module('diary')
    del sys.modules['diary']


@pytest.fixture
def path(tmp_path: Path, diary: Any) -> Path:
    """A database with all kinds of objects that today's code stores."""
    path = tmp_path / 'all.fs'
    with (
        open_database(f'file:{path}', share=True) as server,
        open_database(f'file:{path}') as client,
        State(server, [HitCounter, diary.Diary]) as state,
        WriteConnection(client.db, is_remote=client.is_remote) as writer,
    ):
        for number in range(1, 101):
            state[HitCounter].hit('31415', BOB)
            state[HitCounter].hit(f'line {number}', BOB)
            state[diary.Diary].add(number, 'Dear diary')
        state[HitCounter].forget('31415', 4e9, 40)
        state[diary.Diary].forget(40)
        assert client.is_remote
        assert writer.run(lambda root: root['hits'].hit('remote', BOB)) == 1
        back_up(path, tmp_path / 'backups')
        pack(server, 3600)
        shutil.copy(path, tmp_path / 'marked.fs')  # with the mark, which the writer removes in the end
    shutil.move(tmp_path / 'marked.fs', path)
    for suffix in '.index', '.guard':  # of the file that was there before
        Path(f'{path}{suffix}').unlink(missing_ok=True)
    return path


def names_in(path: Path) -> set[str]:
    """The classes and functions that the records of a database file name, also those of its history."""
    with closing(FileStorage(str(path), read_only=True)) as storage:
        return {
            name
            for transaction in storage.iterator()
            for record in transaction
            if record.data
            for name in _globals(record.data)
        }


def _globals(record: bytes) -> Iterator[str]:
    file = io.BytesIO(record)
    for _ in range(2):  # the class, and then the state
        for opcode, argument, _place in pickletools.genops(file):
            assert opcode.name not in ('STACK_GLOBAL', 'INST'), opcode  # a name that this would pass over
            if opcode.name == 'GLOBAL':
                yield str(argument).replace(' ', '.')


def test_a_fresh_database_names_just_the_classes_that_are_listed(path: Path) -> None:
    assert names_in(path) - OTHERS == set(NAMES)


def test_what_the_frozen_databases_name_is_what_a_fresh_one_names(path: Path) -> None:
    frozen = {name: names_in(file) for file in FROZEN.glob('*.fs') for name in [file.name]}
    fresh = names_in(path)
    assert frozen['hits-1.fs'] <= fresh
    assert frozen['hits-2.fs'] <= fresh
    assert {name for names in frozen.values() for name in names} - OTHERS <= fresh | {'persistent.list.PersistentList'}
    assert {name for name in fresh if name.startswith('hitcounter.')} - frozen['hits-2.fs'] == {
        'hitcounter.state.marks.Mark'  # only writers over a network have one
    }


@pytest.mark.parametrize('name', NAMES)
def test_a_stored_name_leads_to_a_class_that_is_stored_under_it(name: str) -> None:
    module, _, attribute = name.rpartition('.')
    found = getattr(importlib.import_module(module), attribute)
    assert (found.__module__, found.__name__) == (module, attribute)


def test_earlier_code_reads_and_continues_what_todays_code_stored_and_the_other_way_round(
    path: Path, diary: Any
) -> None:
    seen = seen_by_earlier_code(path)

    assert seen['findings'] == []
    assert seen['marks'] == [1]
    assert seen['lines'] == {'31415': 100, 'remote': 1, **{f'line {number}': 1 for number in range(1, 101)}}
    assert [call[0] for call in seen['calls']] == list(seen['lines'].values())
    assert all(call[2] == [*BOB] for call in seen['calls'])
    assert seen['hours'] == list(seen['lines'].values())
    assert seen['pages'] == [[number, [number, 'Dear diary']] for number in range(40, 101)]
    assert seen['totals'] == [[number, 1] for number in range(1, 101)]
    assert (seen['packed'], seen['backed up']) == (True, True)
    assert (seen['hit'], seen['page']) == (1, 101)
    with open_database(f'file:{path}', share=True) as database, State(database, [HitCounter, diary.Diary]) as state:
        assert list(findings(database)) == []
        assert state[HitCounter].call('earlier', 1).caller == BOB._replace(unique_id='1.1')
        assert state[HitCounter].hit('earlier', BOB) == 2
        assert state[diary.Diary].pages()[-1] == (101, (6, 'written by the earlier code'))
        assert state[diary.Diary].totals()[6] == 2
    assert seen_by_earlier_code(path)['hit'] == 3


def seen_by_earlier_code(path: Path) -> dict[str, Any]:
    process = subprocess.run(
        [sys.executable, '-W', 'error', str(FROZEN / 'earlier.py'), EARLIER, str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, '')
    seen: dict[str, Any] = json.loads(process.stdout)
    return seen


def test_the_earlier_code_is_what_was_committed() -> None:
    kept = contents((FROZEN / EARLIER).read_bytes())
    assert 'hitcounter/state/writer.py' in kept
    if not shutil.which('git') or git('cat-file', '-e', COMMIT).returncode:
        pytest.skip(f'the commit {COMMIT} is not here, as in a copy of the tree without its history')
    assert contents(git('archive', '--format=zip', COMMIT, *kept).stdout) == kept


def contents(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.comment.decode().startswith(COMMIT)
        return {info.filename: opened.read(info) for info in opened.infolist() if not info.is_dir()}


def git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(['git', *arguments], cwd=TREE, capture_output=True, timeout=PATIENCE, check=False)
