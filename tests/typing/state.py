"""What a type checker finds out about components. It is checked by mypy, not run.

Persistent has no types, so that no misspelled method of a component, and no instance in place of a class, is found.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import assert_type

from hitcounter.hits import Caller, Hit, HitCounter
from hitcounter.state import (
    Component,
    Components,
    Database,
    Journal,
    State,
    Subscription,
    open_database,
    query,
    update,
)

BOB = Caller('555', 'Bob', '1.1')


class Game(Component):
    name = 'game'

    def __init__(self) -> None:
        self.moves = Journal()

    @update
    def move(self, player: str, *, far: int = 1) -> int:
        return self.moves.append((player, far))

    @query
    def count(self) -> int:
        return len(self.moves)


def both(parts: Components, line: str) -> str:
    assert_type(parts[HitCounter], HitCounter)
    assert_type(parts[Game].move('white'), int)
    return line


def opened() -> None:
    with open_database('memory:') as database, State(database, [HitCounter, Game]) as state:
        assert_type(database, Database)
        assert_type(state, State)


def used(state: State) -> None:
    assert_type(state[HitCounter], HitCounter)
    assert_type(state[HitCounter].hit('1', BOB), int)
    assert_type(state[HitCounter].lines(), dict[str, int])
    assert_type(state[HitCounter].call('1', 1), Hit)
    assert_type(state[Game].move('white', far=2), int)
    assert_type(state.update(both, '1'), str)
    assert_type(state.query(both, line='1'), str)
    assert_type(state.query(lambda parts: parts[Game].count()), int)
    assert_type(state.submit(both, '1'), Future[str])
    assert_type(state.submit(Game.move, 'white', far=2), Future[int])
    assert_type(state.bulk(Game.move, [('white',), ('black',)]), int)
    with state.subscribe() as updates:
        assert_type(updates, Subscription)
    decorated: Callable[[Game], int] = Game.count
    decorated(Game())


def used_wrongly(state: State, database: Database) -> None:
    state[HitCounter].hit('1')  # type: ignore[call-arg]
    state[HitCounter].hit('1', 'Bob')  # type: ignore[arg-type]
    state[Game].move('white', 2)  # type: ignore[call-arg]
    state[int]  # type: ignore[type-var]
    state['game']  # type: ignore[index]
    state.update(both)  # type: ignore[call-arg]
    state.update(both, 1)  # type: ignore[arg-type]
    state.query(both, row='1')  # type: ignore[call-arg]
    State('memory:', [Game])  # type: ignore[arg-type]
    open_database('memory:', shared=True)  # type: ignore[call-arg]
    Game().moves.append('white')  # type: ignore[arg-type]
