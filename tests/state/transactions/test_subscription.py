"""Subscriptions, futures and bulk, on a real FileStorage."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from pathlib import Path

import pytest
from persistent.list import PersistentList

from hitcounter.errors import (
    BulkStopped,
    NoSuchMethod,
    OutcomeUnknown,
    StateClosed,
    StateError,
    SubscriptionLost,
    UpdateFailed,
)
from hitcounter.state import Component, Components, Database, State, Stored, open_database, query, update
from hitcounter.state.transactions import bulk, subscription
from tests.support.patience import PATIENCE


class Words(Component):
    """Words, in their order."""

    name = 'words'

    def __init__(self) -> None:
        self.words = PersistentList()

    @update
    def add(self, word: str, *, fail: bool = False) -> int:
        self.words.append(word)
        if fail or word == 'bad':
            raise ValueError(word)
        if word == 'unstorable':
            self.words.append(threading.Lock())
        return len(self.words)

    @query
    def all(self) -> list[str]:
        return list(self.words)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(f'file://{tmp_path}/test.fs', share=True) as database:
        yield database


@pytest.fixture
def state(database: Database) -> Iterator[State]:
    with State(database, [Words]) as state:
        yield state


class HeldUp:
    """Hold the writer up by an update until the block ends."""

    def __init__(self, state: State) -> None:
        held, self._go = threading.Event(), threading.Event()

        def hold(_: Components) -> None:
            held.set()
            assert self._go.wait(PATIENCE)

        self.future = state.submit(hold)
        assert held.wait(PATIENCE)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._go.set()
        self.future.result(PATIENCE)


def test_a_future_has_its_result_when_the_update_is_on_disk(state: State, database: Database) -> None:
    with HeldUp(state):
        future: Future[int] = state.submit(Words.add, 'one')
        assert not future.done()
    assert future.result(PATIENCE) == 1
    assert database.db.undoLog(0, 1)[0]['description'] == 'words.add'
    assert state[Words].all() == ['one']


def test_a_future_has_the_error_of_its_update(state: State) -> None:
    with HeldUp(state):
        bad = state.submit(Words.add, 'word', fail=True)
        good = state.submit(lambda parts, word: parts[Words].add(word), 'good')
    assert isinstance(bad.exception(10), ValueError)
    assert good.result(PATIENCE) == 1


def test_a_future_can_be_cancelled_until_its_update_runs(state: State) -> None:
    with state.subscribe() as updates:
        with HeldUp(state):
            first, cancelled = state.submit(Words.add, 'one'), state.submit(Words.add, 'never')
            assert cancelled.cancel()
        assert first.result(PATIENCE) == 1
    assert not first.cancel()
    assert state[Words].all() == ['one']
    assert [stored.result for stored in updates] == [None, 1]


def test_only_updates_can_be_submitted_and_not_within_an_update(state: State) -> None:
    with pytest.raises(NoSuchMethod, match='is not an update'):
        state.submit(Words.all)
    with pytest.raises(StateError, match='within an update'):
        state.update(lambda _: state.submit(Words.add, 'inner') and None)


def test_bulk_keeps_the_order_and_tells_how_many_are_stored(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, 'AT_ONCE', 10)
    told: list[int] = []
    words = [str(number) for number in range(25)]
    assert state.bulk(Words.add, ((word,) for word in words), progress=told.append) == 25
    assert state[Words].all() == words
    assert told == [10, 20, 25]


def test_bulk_takes_no_more_than_it_needs(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, 'AT_ONCE', 10)
    taken = 0

    def words() -> Iterator[tuple[str]]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield (str(number),)

    def ahead(stored: int) -> None:
        assert taken - stored <= 10

    assert state.bulk(Words.add, words(), ahead) == 100


def test_bulk_ends_a_transaction_when_others_have_waited_long_enough(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, 'LONGEST', 0.0)
    told: list[int] = []
    state.bulk(Words.add, [('one',), ('two',), ('three',)], told.append)
    assert told == [1, 2, 3]


@pytest.mark.parametrize('wrong', ['bad', 'unstorable'])
def test_bulk_stops_at_the_first_that_fails(state: State, wrong: str) -> None:
    words = [str(number) for number in range(30)]
    with pytest.raises(BulkStopped, match=r'stored 17 updates of words\.add, and the next one failed') as stopped:
        state.bulk(Words.add, [(word,) for word in [*words[:17], wrong, *words[17:]]])
    assert stopped.value.stored == 17
    assert state[Words].all() == words[:17]
    assert state.bulk(Words.add, [(word,) for word in words[17:]]) == 13


def test_bulk_stores_what_came_before_its_arguments_failed(state: State) -> None:
    def words() -> Iterator[tuple[str]]:
        for number in range(17):
            yield (str(number),)
        raise OSError('the file ends')

    with pytest.raises(BulkStopped, match=r'stored 17 updates of .*, and then .* be read: the file ends') as stopped:
        state.bulk(Words.add, words())
    assert stopped.value.stored == len(state[Words].all()) == 17


def test_a_subscriber_is_told_in_order_what_was_stored_and_nothing_else(state: State) -> None:
    state[Words].add('before')
    with state.subscribe() as updates:
        state[Words].add('one')
        with pytest.raises(ValueError, match='word'):
            state[Words].add('word', fail=True)
        with HeldUp(state):
            futures = [state.submit(Words.add, word) for word in ('two', 'bad', 'three')]
        wait(futures, 10)
    told = [stored for stored in updates if stored.name == 'words.add']
    assert told == [
        Stored('words.add', ('one',), {}, 2),
        Stored('words.add', ('two',), {}, 3),
        Stored('words.add', ('three',), {}, 4),
    ]


def test_a_subscriber_waits_for_what_comes_and_ends_with_the_state(database: Database) -> None:
    told: list[object] = []
    state = State(database, [Words])
    with state.subscribe() as updates:
        watching = threading.Thread(target=lambda: told.extend(stored.result for stored in updates))
        watching.start()
        state[Words].add('one')
        state.close()
        watching.join(PATIENCE)
    assert told == [1]
    with pytest.raises(StateClosed), state.subscribe():
        pass


def test_what_is_stored_is_stored_once_though_its_subscribers_cannot_be_told(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise MemoryError

    with state.subscribe() as updates:
        state[Words].add('one')
        with monkeypatch.context() as patches:
            patches.setattr(subscription.Subscription, 'publish', fail)
            assert state[Words].add('two') == 2
        assert state[Words].add('three') == 3
        told: list[object] = []
        with pytest.raises(SubscriptionLost, match='has missed transactions'):
            told.extend(stored.result for stored in updates)
    assert told == [1]
    assert state[Words].all() == ['one', 'two', 'three']


@pytest.mark.parametrize('error', [UpdateFailed('own'), OutcomeUnknown('own'), StateClosed('own'), OSError('own')])
def test_bulk_stores_what_is_before_the_first_that_fails_whatever_it_raises(state: State, error: Exception) -> None:
    def add(parts: Components, word: str) -> None:
        if word == 'bad':
            raise error
        parts[Words].add(word)

    with pytest.raises(BulkStopped, match=r'stored 17 updates of .*, and the next one failed: own') as stopped:
        state.bulk(add, [(word,) for word in ['word'] * 17 + ['bad'] + ['word'] * 30])
    assert stopped.value.__cause__ is error
    assert stopped.value.stored == len(state[Words].all()) == 17


def test_bulk_takes_nothing_from_beyond_what_cannot_be_an_argument(state: State) -> None:
    with pytest.raises(
        BulkStopped, match=r'stored 1 update of .*, and then the arguments could not be read'
    ) as stopped:
        state.bulk(Words.add, [('one',), 'two', ('three',)])  # type: ignore[list-item]
    assert stopped.value.stored == 1
    assert state[Words].all() == ['one']


def test_a_subscriber_that_falls_behind_is_told_so_and_holds_up_nobody(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, 'BEHIND', 3)
    told: list[object] = []
    with state.subscribe() as slow:
        for number in range(5):
            state[Words].add(str(number))
        with pytest.raises(SubscriptionLost, match='subscribe again'):
            told.extend(stored.result for stored in slow)
    assert state[Words].all() == ['0', '1', '2', '3', '4']
