"""Lost changes: what is changed in place is found in a test, and nothing else is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping

from hitcounter.errors import LostChange
from hitcounter.hits import Caller, HitCounter
from hitcounter.state import Component, State, finding_lost_changes, open_database, query, update


class Tags(Component):
    """Holds plain values in persistent ones."""

    name = 'tags'

    def __init__(self) -> None:
        self.kind = 'kind'
        self.plain: list[str] = []
        self.some = {'b', 'a'}
        self.tree = OOBTree({'list': []})
        self.mapping = PersistentMapping()

    @update
    def lose(self) -> None:
        self.plain.append('lost')

    @update
    def lose_in_a_tree(self) -> None:
        self.tree['list'].append('lost')

    @update
    def tell(self) -> None:
        self.plain.append('kept')
        self._p_changed = True

    @update
    def keep(self) -> None:
        self.some = {*self.some, str(len(self.some))}
        self.mapping['kept'] = self.some
        self.tree['kept'] = self.mapping

    @query
    def lose_in_a_query(self) -> None:
        self.plain.append('lost')

    @query
    def all(self) -> list[str]:
        return [*self.plain, *self.tree['list'], *sorted(self.some)]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with (
        open_database(f'file://{tmp_path}/test.fs', share=True) as database,
        State(database, [Tags, HitCounter]) as state,
    ):
        yield state


@pytest.mark.parametrize(
    ('method', 'where'),
    [('lose', 'Tags.plain'), ('lose_in_a_query', 'Tags.plain'), ('lose_in_a_tree', 'OOBTree')],
)
def test_what_would_be_lost_is_named_and_nothing_is_stored(state: State, method: str, where: str) -> None:
    with finding_lost_changes():
        for _ in range(2):
            with pytest.raises(LostChange, match=rf'^tags\.{method} changed {where} in place, .* _p_changed'):
                getattr(state[Tags], method)()
        assert state[Tags].all() == ['a', 'b']


def test_what_is_stored_is_no_loss(state: State) -> None:
    with finding_lost_changes():
        for _ in range(3):
            state[Tags].tell()
            state[Tags].keep()
            state[Tags].all()
        for _ in range(70):
            state[HitCounter].hit('31415', Caller('555', None, '1.1'))
        assert state[HitCounter].lines() == {'31415': 70}
    assert state[Tags].all() == ['kept'] * 3 + ['2', '3', '4', 'a', 'b']


def test_outside_of_the_block_nothing_is_looked_for(state: State) -> None:
    with finding_lost_changes():
        pass
    state[Tags].lose()


@pytest.mark.usefixtures('finding_lost_changes')
def test_the_fixture_of_that_name_is_the_same(state: State) -> None:
    with pytest.raises(LostChange):
        state[Tags].lose()


@pytest.mark.usefixtures('finding_lost_changes')
def test_a_state_may_be_opened_for_the_first_time_while_they_are_looked_for() -> None:
    with open_database('memory:') as database, State(database, [HitCounter, Tags]) as state:
        assert state[HitCounter].hit('31415', Caller('555', None, '1.1')) == 1
