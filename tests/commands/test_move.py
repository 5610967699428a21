"""hitcounter move: a component with all that it stored, in another database, and never in two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from BTrees.OOBTree import OOBTree

from hitcounter.errors import ComponentMisplaced, MoveFailed
from hitcounter.hits import Caller, HitCounter
from hitcounter.lines.component import Lines
from hitcounter.lines.rules import Rules, canonical
from hitcounter.state import Component, Database, State, open_database, update
from hitcounter.state.storage.database import open_alone
from hitcounter.state.upkeep import moving
from hitcounter.state.upkeep.moving import move, move_together
from hitcounter.state.upkeep.verification import findings
from tests.support.notes import Notes

if TYPE_CHECKING:
    from tests.support.servers import Run


class Album(Component):
    """Refers to what another component holds."""

    name = 'album'

    @update
    def take(self, thing: object) -> None:
        self.thing = thing


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Database]:
    with open_database(f'file://{tmp_path}/target.fs', share=True) as target:
        yield target


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Database]:
    with open_database(f'file://{tmp_path}/source.fs', share=True) as source:
        with State(source, [HitCounter, Notes]) as state:
            for line in range(200):
                state[HitCounter].hit(str(line), Caller('555', 'Bob', '17.1'))
            state[Notes].add('hello')
        yield source


def test_a_component_moves_with_all_that_it_stored_and_back(source: Database, target: Database) -> None:
    assert move('hits', source, target) > 400

    with State(source, [HitCounter, Notes], elsewhere={'hits': target}) as state:
        assert state[HitCounter].count('7') == 1
        assert state[HitCounter].hit('7', Caller('555', 'Bob', '17.1')) == 2
        assert state[Notes].all() == ['hello']
    with pytest.raises(ComponentMisplaced, match=r"'hits' lives in .*target.fs, and not in"):
        State(source, [HitCounter, Notes])
    assert [*findings(source), *findings(target)] == []

    with pytest.raises(MoveFailed, match=f"does not hold a component 'hits': it lives in {target.place}"):
        move('hits', source, target)
    move('hits', target, source)

    with State(source, [HitCounter, Notes]) as state:
        assert state[HitCounter].hit('7', Caller('555', 'Bob', '17.1')) == 3
    with pytest.raises(ComponentMisplaced):
        State(source, [HitCounter, Notes], elsewhere={'hits': target})


@pytest.mark.parametrize('step', ['_compare', '_give_up', '_finish'])
def test_a_move_that_is_interrupted_is_finished_by_doing_it_again(
    step: str, source: Database, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(moving, step, stop)
        with pytest.raises(KeyboardInterrupt):
            move('notes', source, target)
    with pytest.raises(ComponentMisplaced):
        State(source, [HitCounter, Notes], elsewhere={'notes': target})
    if step == '_finish':  # before, the original counts as ever
        with pytest.raises(ComponentMisplaced):
            State(source, [HitCounter, Notes])

    move('notes', source, target)

    with State(source, [HitCounter, Notes], elsewhere={'notes': target}) as state:
        assert state[Notes].all() == ['hello']


def test_what_cannot_be_moved_is_refused(source: Database, target: Database) -> None:
    with pytest.raises(MoveFailed, match="does not hold a component 'note', but hits, notes"):
        move('note', source, target)
    State(target, [Notes]).close()
    with pytest.raises(MoveFailed, match="holds a component 'notes' as well"):
        move('notes', source, target)


def test_components_that_share_objects_are_not_split(target: Database, tmp_path: Path) -> None:
    with open_database(f'file://{tmp_path}/shared.fs', share=True) as source:
        with State(source, [Notes, Album]) as state:
            state.update(lambda parts: parts[Album].take(parts[Notes].texts))
        with pytest.raises(MoveFailed, match="'notes' shares 1 objects with other components"):
            move('notes', source, target)
        with State(source, [Notes, Album]) as state:
            state.update(lambda parts: parts[Album].take(OOBTree()))
        move('notes', source, target)


@pytest.fixture
def with_lines(source: Database) -> Database:
    """The source, with a component that depends on another."""
    with State(source, [HitCounter, Notes, Lines]) as state:
        state[Lines].open_round('7', canonical(Rules()), 0.0, 'anna')
    return source


@pytest.mark.parametrize('name', ['hits', 'lines'])
def test_components_that_depend_on_each_other_move_together(name: str, with_lines: Database, target: Database) -> None:
    assert move_together(name, with_lines, target).keys() == {'hits', 'lines'}

    elsewhere = {'hits': target, 'lines': target}
    with State(with_lines, [HitCounter, Notes, Lines], elsewhere=elsewhere) as state:
        assert state[HitCounter].count('7') == 1
        assert state[Lines].rounds('7')[0].number == 1
        assert state[Notes].all() == ['hello']
    with pytest.raises(MoveFailed, match=f'does not hold a component {name!r}: it lives in'):
        move_together(name, with_lines, target)
    assert [*findings(with_lines), *findings(target)] == []


@pytest.mark.parametrize('times', [1, 2])
@pytest.mark.parametrize('step', ['_compare', '_give_up', '_finish'])
@pytest.mark.parametrize('name', ['hits', 'lines'])
def test_a_move_of_two_that_is_interrupted_is_finished_by_doing_it_again(
    name: str, step: str, times: int, with_lines: Database, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, original = [], getattr(moving, step)

    def stop(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == times:
            raise KeyboardInterrupt
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(moving, step, stop)
        with pytest.raises(KeyboardInterrupt):
            move_together(name, with_lines, target)

    move_together(name, with_lines, target)

    with State(with_lines, [HitCounter, Notes, Lines], elsewhere={'hits': target, 'lines': target}) as state:
        assert state[HitCounter].count('7') == 1
        assert state[Lines].rounds('7')[0].number == 1


def test_none_moves_if_one_of_them_cannot(with_lines: Database, target: Database) -> None:
    State(target, [HitCounter]).close()
    for name in ('hits', 'lines'):
        with pytest.raises(MoveFailed, match="holds a component 'hits' as well"):
            move_together(name, with_lines, target)
    State(with_lines, [HitCounter, Notes, Lines]).close()


def test_the_command_moves_it_and_a_server_may_not_run(
    hitcounter: Run, counted: None, storage: str, tmp_path: Path
) -> None:
    with closing(open_alone(storage)):
        busy = hitcounter('move', 'hits', f'file://{tmp_path}/moved.fs')
    assert busy.returncode == 1
    assert 'stop that' in busy.stderr

    moved = hitcounter('move', 'hits', f'file://{tmp_path}/moved.fs')
    same = hitcounter('move', 'hits', storage)
    calls = hitcounter(
        'export', '--format', 'csv', '-', env={'HITCOUNTER_STORAGE_OF': f'hits=file://{tmp_path}/moved.fs'}
    )

    assert (moved.returncode, moved.stderr) == (0, '')
    assert [line.partition(':')[0] for line in moved.stdout.splitlines()] == ['hits', 'lines']
    assert 'is the database that holds' in same.stderr
    assert len(calls.stdout.splitlines()) == 3
