"""The accounts: attempts, locks, migration, export; on real storages."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import Barrier
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from accounts import AccountRefused, Accounts, Attempt, Row, Sessions
from accounts.component import ATTEMPTS, LOCKED_FOR, UNTIL_UNLOCKED
from accounts.pins import digest, hash_new

from hitcounter.errors import DatabaseOutdated
from hitcounter.state import Components, State, open_database
from hitcounter.state.storage.database import open_alone
from hitcounter.state.upkeep.migration import migrate
from hitcounter.state.upkeep.verification import findings

if TYPE_CHECKING:
    from conftest import Clock

FROZEN = Path(__file__).parent / 'frozen'
CALLERS = 64


def attempt(state: State, number: str, pin: str, now: float) -> Attempt:
    return state[Accounts].attempt(number, digest(pin, state[Accounts].salt(number)), now)


def row(state: State, number: str = '1234') -> Row:
    return next(row for row in state[Accounts].accounts() if row.number == number)


def test_the_right_pin_is_right_and_is_remembered_as_the_last_login(state: State, clock: Clock) -> None:
    assert attempt(state, '1234', '4711', clock.now) is Attempt.RIGHT
    assert row(state) == Row('1234', clock.now, 0, None)


def test_a_number_without_an_account_is_as_wrong_as_a_wrong_pin(state: State, clock: Clock) -> None:
    assert {attempt(state, '999', '4711', clock.now) for _ in range(2 * ATTEMPTS)} == {Attempt.WRONG}
    assert [row.number for row in state[Accounts].accounts()] == ['1234']


def test_three_wrong_pins_in_a_row_lock_the_account_for_a_quarter_of_an_hour(state: State, clock: Clock) -> None:
    for _ in range(ATTEMPTS):
        assert attempt(state, '1234', '1111', clock.now) is Attempt.WRONG
    end = clock.now + LOCKED_FOR

    assert row(state).locked_until == end
    assert attempt(state, '1234', '4711', clock.now) is Attempt.LOCKED
    assert attempt(state, '1234', '4711', end - 0.001) is Attempt.LOCKED
    assert attempt(state, '1234', '4711', end) is Attempt.RIGHT


def test_attempts_during_a_lock_do_not_make_it_longer(state: State, clock: Clock) -> None:
    for _ in range(3 * ATTEMPTS):
        attempt(state, '1234', '1111', clock.now)

    assert row(state) == Row('1234', None, 0, clock.now + LOCKED_FOR)


def test_after_a_lock_there_are_three_attempts_again(state: State, clock: Clock) -> None:
    results = [attempt(state, '1234', '1111', clock.now + n // 4 * LOCKED_FOR) for n in range(8)]

    assert results == [*[Attempt.WRONG] * 3, Attempt.LOCKED] * 2


def test_a_right_pin_between_forgets_the_wrong_ones(state: State, clock: Clock) -> None:
    for pin in ['1111', '1112', '4711', '1113', '1114']:
        assert attempt(state, '1234', pin, clock.now) is not Attempt.LOCKED

    assert attempt(state, '1234', '4711', clock.now) is Attempt.RIGHT


def test_an_account_can_be_unlocked(state: State, clock: Clock) -> None:
    for _ in range(ATTEMPTS):
        attempt(state, '1234', '1111', clock.now)

    state[Accounts].unlock('1234')

    assert attempt(state, '1234', '4711', clock.now) is Attempt.RIGHT


def test_callers_who_try_at_once_have_three_attempts_between_them(tmp_path: Path, clock: Clock) -> None:
    with open_database(f'file://{tmp_path}/accounts.fs', share=True) as database, State(database, [Accounts]) as state:
        state[Accounts].add('1234', hash_new('4711'))
        wrong = digest('1111', state[Accounts].salt('1234'))
        ready = Barrier(CALLERS)

        def call(_: int) -> Attempt:
            ready.wait()
            return state[Accounts].attempt('1234', wrong, clock.now)

        with ThreadPoolExecutor(CALLERS) as callers:
            results = Counter(callers.map(call, range(CALLERS)))

        assert results == {Attempt.WRONG: ATTEMPTS, Attempt.LOCKED: CALLERS - ATTEMPTS}
        assert attempt(state, '1234', '4711', clock.now) is Attempt.LOCKED


@pytest.mark.parametrize('number', ['', '12a', '1234567890123', '1²', '-1'])
def test_a_number_that_no_telephone_can_enter_is_refused(state: State, number: str) -> None:
    with pytest.raises(AccountRefused, match=f'^{number!r} is not the number of an account: give 1 to 12 digits$'):
        state[Accounts].add(number, hash_new('4711'))


def test_a_number_that_is_taken_is_refused_and_its_pin_stays(state: State, clock: Clock) -> None:
    with pytest.raises(AccountRefused, match="account '1234' already exists"):
        state[Accounts].add('1234', hash_new('2806'))
    assert attempt(state, '1234', '4711', clock.now) is Attempt.RIGHT


def test_what_is_exported_has_no_hash(state: State, clock: Clock, checked: Callable[[], list[str]]) -> None:
    attempt(state, '1234', '4711', clock.now)

    exported = state.query(lambda parts: list(parts[Accounts].export()))

    assert exported == [
        {'number': '1234', 'last_login': '2027-01-15T08:00:00.000000Z', 'wrong': 0, 'locked_until': None}
    ]


def test_a_check_finds_an_account_that_should_be_locked(state: State) -> None:
    def spoil(parts: Components) -> None:
        parts[Accounts]._accounts['1234'].wrong = ATTEMPTS

    state.update(spoil)

    found = state.query(lambda parts: list(parts[Accounts].check()))
    assert found == ["account '1234' had 3 wrong PINs, and should be locked after 3"]


# A database of version 1, which frozen/make.py made.


@pytest.fixture
def old(tmp_path: Path) -> str:
    shutil.copy(FROZEN / 'accounts-1.fs', tmp_path)
    return f'file://{tmp_path}/accounts-1.fs'


@pytest.fixture
def frozen() -> ModuleType:
    """What is known of the accounts in it."""
    spec = spec_from_file_location('make', FROZEN / 'make.py')
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_database_of_version_1_is_refused_until_it_is_migrated(old: str) -> None:
    with open_database(old, share=True) as database, pytest.raises(DatabaseOutdated, match="schema 1 of 'accounts'"):
        State(database, [Accounts, Sessions])


def test_the_accounts_of_version_1_keep_their_pins_and_their_locks(old: str, frozen: ModuleType, clock: Clock) -> None:
    with open_alone(old) as database:
        migrate(database, [Accounts, Sessions])
        assert list(findings(database)) == []
    with open_database(old, share=True) as database, State(database, [Accounts, Sessions]) as state:
        assert state[Accounts].accounts() == [
            Row('100', None, 0, None),
            Row('200', None, 2, None),
            Row('300', None, 0, UNTIL_UNLOCKED),
        ]
        state[Accounts].unlock('300')
        for number, (pin, _) in frozen.PINS.items():
            assert attempt(state, number, pin, clock.now) is Attempt.RIGHT
