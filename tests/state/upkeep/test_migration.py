"""Migrations: frozen databases of each schema, which today's code opens and migrates; what fails changes nothing."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hitcounter.errors import ComponentError, DatabaseInUse, DatabaseRefused, MigrationFailed
from hitcounter.hits import HitCounter
from hitcounter.state import (
    Component,
    ReadConnection,
    State,
    WriteConnection,
    finding_lost_changes,
    migration,
    open_database,
)
from hitcounter.state.storage.database import open_alone, open_as_stored
from hitcounter.state.upkeep import migration as upkeep_migration
from hitcounter.state.upkeep.migration import Changes, compare, dry_run, migrate
from hitcounter.state.upkeep.verification import findings
from tests.frozen.make import CALLS, FIRST, MAKERS, PAUSE, hit, vote
from tests.support.places import FROZEN


@pytest.fixture
def thaw(tmp_path: Path) -> Callable[[str], str]:
    """A copy of a frozen database; its URI."""

    def thaw(name: str) -> str:
        shutil.copy(FROZEN / name, tmp_path)
        return f'file://{tmp_path}/{name}'

    return thaw


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The polls as version 3 has them."""
    monkeypatch.syspath_prepend(str(FROZEN / 'polls' / '3'))
    yield importlib.import_module('polls')
    del sys.modules['polls']


@pytest.fixture
def old(thaw: Callable[[str], str]) -> str:
    """The URI of a database of the polls as version 1 left it."""
    return thaw('polls-1.fs')


def migrated(uri: str, component: type[Component], *drop: str) -> Changes:
    with open_alone(uri) as database:
        return migrate(database, [component], drop)


def content(uri: str) -> bytes:
    return Path(uri.removeprefix('file://')).read_bytes()


def test_each_schema_of_the_hit_counter_is_frozen() -> None:
    assert {name for name in MAKERS if name.startswith('hits')} == {
        f'hits-{schema}.fs' for schema in range(1, HitCounter.schema + 1)
    }
    assert {path.name for path in FROZEN.glob('*.fs')} == set(MAKERS)


@pytest.mark.parametrize('schema', range(1, HitCounter.schema + 1))
def test_a_frozen_hit_counter_has_all_its_calls_under_todays_code(thaw: Callable[[str], str], schema: int) -> None:
    uri = thaw(f'hits-{schema}.fs')
    with open_alone(uri) as database:
        migrate(database, [HitCounter])
        assert list(findings(database)) == []
    with open_database(uri, share=True) as database, State(database, [HitCounter]) as state:
        hits = state[HitCounter]
        assert hits.lines() == CALLS
        for line, calls in CALLS.items():
            kept = range(10 if line == '2718' else 1, calls + 1)
            assert [hits.call(line, number) for number in kept] == [hit(number, schema) for number in kept]
            assert hits.hours(line) == Counter(int(FIRST + PAUSE * n) // 3600 * 3600 for n in range(1, calls + 1))
        with pytest.raises(KeyError):
            hits.call('2718', 9)
        assert hits.hit('échecs', hit(1).caller) == 66


@pytest.mark.parametrize('breath', [1, 1000])
def test_a_frozen_component_is_migrated_though_its_classes_have_other_names(
    old: str, polls: Any, monkeypatch: pytest.MonkeyPatch, breath: int
) -> None:
    monkeypatch.setattr(upkeep_migration, '_BREATH', breath)

    changes = migrated(old, polls.Polls)

    assert changes.changed == Counter(
        {
            'persistent.mapping.PersistentMapping': 2,
            'polls.Polls': 1,
            'polls.Option': 3,
            'persistent.list.PersistentList': 3,
            'BTrees.OOBTree.OOBTree': 1,
        }
    )
    assert changes.new == Counter({'BTrees.OOBTree.OOBTree': 1, 'BTrees.Length.Length': 3})
    votes = [vote(number) for number in range(1, 101)]
    with open_database(old, share=True) as database:
        with State(database, [polls.Polls]) as state, finding_lost_changes():
            assert state[polls.Polls].result() == Counter(name for name, *_ in votes)
            for name in 'tea', 'coffee', 'maté':
                assert state[polls.Polls].remarks(name) == [(text, by) for voted, text, by in votes if voted == name]
            state[polls.Polls].vote('tea', 'more', '1')
        assert list(findings(database)) == []
        database.db.pack()
    assert b'ballots' not in content(old)


def test_a_migration_is_one_transaction_that_says_what_it_did(old: str, polls: Any) -> None:
    with open_as_stored(old) as database:
        before = [found.tid for found in database.db.storage.iterator()]
    migrated(old, polls.Polls)
    with open_as_stored(old) as database:
        after = list(database.db.storage.iterator())
    assert [found.tid for found in after][:-1] == before
    assert after[-1].description == b'migrate: polls 1 to 3'


def test_what_is_migrated_has_nothing_more_to_be_migrated(old: str, polls: Any) -> None:
    with open_as_stored(old) as database:
        comparison = compare(database, [polls.Polls])
        assert (comparison.is_current, comparison.older, comparison.moved) == (False, [polls.Polls], [polls.Polls])
    migrated(old, polls.Polls)
    with open_as_stored(old) as database:
        assert compare(database, [polls.Polls]).is_current


def test_a_rehearsal_tells_the_same_and_only_reads(old: str, polls: Any) -> None:
    before = content(old)
    with open_as_stored(old) as database:
        told = dry_run(database, [polls.Polls])
    assert content(old) == before
    assert migrated(old, polls.Polls) == told


def test_a_step_that_returns_what_never_ran_fails(old: str, polls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(old)

    def later(component: Any) -> Iterator[None]:
        component.options = None
        yield

    def wrapped(component: Any) -> object:
        return later(component)

    monkeypatch.setattr(polls.Polls, 'call_them_options', migration(to=2)(wrapped))
    with pytest.raises(MigrationFailed, match='it returned what would run only later'):
        migrated(old, polls.Polls)
    assert content(old) == before


@pytest.mark.parametrize('name', ['call_them_options', 'count_by_themselves'])
def test_a_step_that_fails_changes_nothing(old: str, polls: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = content(old)
    step = getattr(polls.Polls, name)

    def fail(component: Any) -> None:
        step(component)
        raise ValueError('not so')

    fail.__name__ = name
    monkeypatch.setattr(polls.Polls, name, migration(to=2 if name == 'call_them_options' else 3)(fail))
    said = (
        r"^component 'polls' could not be migrated to schema \d \(ValueError: not so, in .*, line \d+\)"
        rf', and nothing was changed: correct its {name}\(\)$'
    )
    with pytest.raises(MigrationFailed, match=said) as failed:
        migrated(old, polls.Polls)
    assert isinstance(failed.value.__cause__, ValueError)
    assert content(old) == before


def test_a_step_that_leaves_what_cannot_be_stored_is_named(
    old: str, polls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(old)

    def call_them_options(component: Any) -> None:
        component.lock = lambda: None

    monkeypatch.setattr(polls.Polls, 'call_them_options', migration(to=2)(call_them_options))
    with pytest.raises(MigrationFailed, match=r'schema 2 \(.*: correct its call_them_options\(\)$'):
        migrated(old, polls.Polls)
    assert content(old) == before


def test_what_another_changed_meanwhile_is_kept_and_nothing_else_is_changed(
    old: str, polls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_alone(old) as database:

        def call_them_options(component: Any) -> None:
            component.options = component.choices
            with WriteConnection(database.db) as session:
                session.root['schemas']['polls'] = 0
                session.commit()

        monkeypatch.setattr(polls.Polls, 'call_them_options', migration(to=2)(call_them_options))
        with pytest.raises(MigrationFailed, match=r'^the migration could not be stored \(ConflictError: '):
            migrate(database, [polls.Polls])
    with open_as_stored(old) as database:
        assert compare(database, [polls.Polls]).schemas == {'polls': 0}
        assert [found.description for found in database.db.storage.iterator()][-1] == b''


def test_the_state_refuses_what_is_older_or_under_another_name(old: str, polls: Any) -> None:
    with open_database(old, share=True) as database:
        with pytest.raises(DatabaseRefused, match=r"schema 1 of 'polls', and this program needs 3$"):
            State(database, [polls.Polls])
        with WriteConnection(database.db) as session:
            session.root['schemas']['polls'] = 3
            session.commit()
        with pytest.raises(DatabaseRefused, match=r'under another name .* polls\.Polls$'):
            State(database, [polls.Polls])


def test_a_class_that_moved_untold_is_named(old: str, polls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polls.Polls, 'moved', {})
    with pytest.raises(MigrationFailed, match=r"'polls' as ballots.Ballots, .*: name it in its moved$"):
        migrated(old, polls.Polls)


def test_a_damaged_object_of_a_moved_class_is_named_and_nothing_is_changed(old: str, polls: Any) -> None:
    before = content(old).replace(b'remark 50', b'remark\xff50')  # no UTF-8 any more
    Path(old.removeprefix('file://')).write_bytes(before)
    with pytest.raises(MigrationFailed, match=r'^object 0x\w+, .* \(UnicodeDecodeError: .*\): verify the database$'):
        migrated(old, polls.Polls)
    assert content(old) == before


@pytest.mark.parametrize(
    ('moved', 'said'),
    [
        ({'a:A': 'polls:Pols'}, r"'a:A' is said to have moved to 'polls:Pols', which cannot be imported \(Attribute"),
        ({'a:A': 'pols:Polls'}, r"'a:A' is said to have moved to 'pols:Polls', which cannot be imported \(ModuleNot"),
        ({'a:A': 'polls'}, r"has moved {'a:A': 'polls'}: give it {'old.module:Old': 'new.module:New'}"),
        ({'a:A': 'b:B', 'b:B': 'a:A'}, 'in a circle: a:A -> b:B -> a:A'),
    ],
)
def test_a_move_to_nowhere_is_an_error_and_changes_nothing(
    old: str, polls: Any, monkeypatch: pytest.MonkeyPatch, moved: dict[str, str], said: str
) -> None:
    before = content(old)
    monkeypatch.setattr(polls.Polls, 'moved', moved)
    with pytest.raises(ComponentError, match=said):
        migrated(old, polls.Polls)
    assert content(old) == before


def test_a_component_whose_code_is_missing_can_be_given_up(old: str) -> None:
    with pytest.raises(DatabaseRefused, match="'polls', whose code is missing here: install its package, or drop it"):
        migrated(old, HitCounter)
    with pytest.raises(MigrationFailed, match="'pols' cannot be dropped"):
        migrated(old, HitCounter, 'polls', 'pols')
    migrated(old, HitCounter, 'polls')
    with open_database(old, share=True) as database:
        with State(database, [HitCounter]):
            pass
        with ReadConnection(database.db) as session:
            assert sorted(session.root) == ['hits', 'schemas']
            assert dict(session.root['schemas']) == {'hits': HitCounter.schema}


def test_what_another_process_has_open_is_not_migrated_at_once(old: str) -> None:
    with open_database(old, share=True), pytest.raises(DatabaseInUse, match=r': stop that one first$'):
        open_alone(old)


def test_a_migration_to_each_schema_is_asked_for() -> None:
    with pytest.raises(ComponentError, match=r'schema 3, and no migration to 2: .*@migration\(to=2\)'):

        class Gap(Component):
            name = 'gap'
            schema = 3

            @migration(to=3)
            def step(self) -> None:
                pass

    with pytest.raises(ComponentError, match='schema 1, and a migration to 2 too many'):

        class Late(Component):
            name = 'late'

            @migration(to=2)
            def step(self) -> None:
                pass

    with pytest.raises(ComponentError, match='schema 2, and a migration to 2 too many'):

        class Twice(Component):
            name = 'twice'
            schema = 2

            @migration(to=2)
            def step(self) -> None:
                pass

            @migration(to=2)
            def other(self) -> None:
                pass
