"""Forgetting: what is old goes, in updates of which there are no more than needed, and it ends when it is to."""

from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest
from BTrees.OOBTree import OOBTree
from persistent.list import PersistentList

from hitcounter.errors import ComponentError
from hitcounter.lines.identity import SameCaller
from hitcounter.state import Component, State, forgetting, open_database, update
from hitcounter.state.forgetting import can_erase, can_forget, erase, forget


class Diary(Component):
    """What was noted, by day."""

    name = 'diary'

    #: The days that `forget` was asked for.
    asked: ClassVar[list[str]] = []

    #: The days that were looked at.
    looked: ClassVar[list[str]] = []

    def __init__(self) -> None:
        self.days = OOBTree()

    @update
    def note(self, day: str, times: list[float]) -> None:
        self.days[day] = PersistentList(times)

    def overdue(self, before: float) -> Iterator[str | None]:
        for day, times in self.days.items():
            self.looked.append(day)
            yield day if times and times[0] < before else None

    def forget(self, day: str, before: float, most: int) -> int:
        self.asked.append(day)
        count = sum(when < before for when in self.days[day][:most])
        del self.days[day][:count]
        return count


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    monkeypatch.setattr(Diary, 'asked', [])
    monkeypatch.setattr(Diary, 'looked', [])
    with open_database('memory:') as database, State(database, [Diary]) as state:
        for day in range(10):
            state[Diary].note(f'day {day}', [1.0] * 1500 if day == 5 else [9.0])
        yield state


def test_only_a_component_that_can_find_and_forget_records_is_asked_to() -> None:
    class Loans(Component):
        name = 'loans'

        def overdue(self, before: float) -> list[str]:  # of books, say
            return ['book']

    class Both(Loans):
        def forget(self, key: str, before: float, most: int) -> int:
            return 0

    assert [can_forget(component) for component in (Component, Loans, Both)] == [False, False, True]


def test_only_where_there_is_something_to_forget_an_update_is_run(state: State) -> None:
    assert forget(state, Diary, 5.0) == 1500
    assert Diary.asked == ['day 5'] * 3  # 1000, 500, and none
    assert forget(state, Diary, 5.0) == 0
    assert len(Diary.asked) == 3


def test_it_ends_between_two_updates(state: State) -> None:
    assert forget(state, Diary, 5.0, is_ending=lambda: bool(Diary.asked)) == 1000
    assert len(Diary.asked) == 1


def test_it_ends_while_it_looks_and_finds_nothing(state: State) -> None:
    assert forget(state, Diary, 0.0, is_ending=lambda: len(Diary.looked) > 3) == 0
    assert len(Diary.looked) == 4


@pytest.mark.parametrize('keys', [None, 7, 'day 5'])
def test_what_gives_no_keys_is_said(state: State, monkeypatch: pytest.MonkeyPatch, keys: object) -> None:
    monkeypatch.setattr(Diary, 'overdue', lambda *_: keys)
    with pytest.raises(ComponentError, match=rf'^diary.overdue returned {keys!r}: it must give keys, as in a list$'):
        forget(state, Diary, 5.0)


@pytest.mark.parametrize('count', [-1, 1001, 10**30, 1.5, True, None, 'all', [1]])
def test_a_count_that_cannot_be_is_said_and_nothing_is_forgotten(
    state: State, monkeypatch: pytest.MonkeyPatch, count: object
) -> None:
    monkeypatch.setattr(Diary, 'forget', _forgetting_once(Diary.forget, count))
    with pytest.raises(ComponentError, match=r'^diary.forget returned .*: it must return how many .*, 0 to 1000$'):
        forget(state, Diary, 5.0)
    assert state.query(lambda parts: len(parts[Diary].days['day 5'])) == 1500


def _forgetting_once(real: Callable[..., int], count: object) -> Callable[..., object]:
    def forget(diary: Diary, day: str, before: float, most: int) -> object:
        real(diary, day, before, most)
        return count

    return forget


@pytest.mark.parametrize('count', [3, 1000])
def test_a_forget_that_says_for_ever_that_it_forgot_is_ended(
    state: State, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(forgetting, '_UPDATES', 20)
    monkeypatch.setattr(Diary, 'forget', lambda *_: count)
    with pytest.raises(ComponentError, match=r"^diary.forget still returns records of 'day 5' after 20 updates:"):
        forget(state, Diary, 5.0)


class Friends(Component):
    """Who calls, by day; this one does not know anybody on Sundays."""

    name = 'friends'

    def __init__(self) -> None:
        self.days = OOBTree()

    @update
    def note(self, day: str, numbers: list[str]) -> None:
        self.days[day] = PersistentList(numbers)

    def about(self, caller: SameCaller) -> Iterator[str | None]:
        for day, numbers in self.days.items():
            yield day if any(map(caller.is_, numbers)) else None

    def erase(self, day: str, caller: SameCaller) -> int:
        numbers = self.days[day]
        kept = [number for number in numbers if not caller.is_(number)]
        count = len(numbers) - len(kept)
        numbers[:] = kept
        return count


@pytest.fixture
def friends() -> Iterator[State]:
    with open_database('memory:') as database, State(database, [Friends]) as state:
        state[Friends].note('Monday', ['+4989123', '555', '089123'])
        state[Friends].note('Sunday', ['555'])
        yield state


ZOE = SameCaller('089 123', 'DE')


def test_only_a_component_that_can_find_and_erase_callers_is_asked_to() -> None:
    class About(Component):
        name = 'about'

        def about(self, caller: SameCaller) -> list[str]:
            return ['Monday']

    assert [can_erase(component) for component in (Component, About, Friends)] == [False, False, True]


def test_a_caller_is_erased_from_where_there_are_any_records(friends: State) -> None:
    assert erase(friends, Friends, ZOE) == [('Monday', 2)]
    assert erase(friends, Friends, ZOE) == []
    assert friends.query(lambda parts: [list(numbers) for numbers in parts[Friends].days.values()]) == [
        ['555'],
        ['555'],
    ]


@pytest.mark.parametrize('count', [None, -1, True, 1.0, 'one'])
def test_a_component_that_does_not_say_how_many_it_erased_is_wrong(
    friends: State, monkeypatch: pytest.MonkeyPatch, count: object
) -> None:
    monkeypatch.setattr(Friends, 'erase', lambda self, key, caller: count)
    with pytest.raises(ComponentError, match=r'friends.erase returned .*: it must return how many records it erased'):
        erase(friends, Friends, ZOE)


@pytest.mark.parametrize('keys', ['Monday', None, 5])
def test_what_is_about_a_caller_is_in_a_list(friends: State, monkeypatch: pytest.MonkeyPatch, keys: object) -> None:
    monkeypatch.setattr(Friends, 'about', lambda self, caller: keys)
    with pytest.raises(ComponentError, match=r'friends.about returned .*: it must give keys, as in a list'):
        erase(friends, Friends, ZOE)
