"""The sessions: how long they last, how they end, and how they are forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from accounts import AccountRefused, Accounts, Attempt, Sessions, log_in, remove
from accounts.pins import digest, hash_new
from accounts.sessions import LASTS, key_of, new_token

from hitcounter.errors import ComponentError
from hitcounter.lines import SameCaller
from hitcounter.state import Components, State, open_database
from hitcounter.state.forgetting import erase, forget

if TYPE_CHECKING:
    from conftest import Clock

pytestmark = pytest.mark.usefixtures('checked')


def logged_in(state: State, now: float, caller: str | None = None, pin: str = '4711') -> tuple[Attempt, bytes]:
    key = key_of(new_token())
    return state.update(log_in, '1234', digest(pin, state[Accounts].salt('1234')), key, caller, now), key


def test_a_session_lasts_an_hour(state: State, clock: Clock) -> None:
    attempt, key = logged_in(state, clock.now)

    assert attempt is Attempt.RIGHT
    session = state[Sessions].session(key, clock.now + LASTS - 0.001)
    assert session
    assert session.account == '1234'
    assert state[Sessions].session(key, clock.now + LASTS) is None


def test_a_wrong_pin_begins_no_session(state: State, clock: Clock) -> None:
    attempt, key = logged_in(state, clock.now, caller='200', pin='1111')

    assert attempt is Attempt.WRONG
    assert state[Sessions].session(key, clock.now) is None
    assert state[Sessions].session_of('200', clock.now) is None


def test_a_caller_id_finds_its_last_session(state: State, clock: Clock) -> None:
    state[Accounts].add('5', hash_new('2806'))
    logged_in(state, clock.now, caller='200')

    found = state[Sessions].session_of('200', clock.now + 1)
    assert found
    assert (found.account, found.caller) == ('1234', '200')
    assert state[Sessions].session_of('201', clock.now + 1) is None


def test_all_sessions_of_an_account_end_together_and_no_other(state: State, clock: Clock) -> None:
    for account in ('1234', '12345', '123'):
        state[Sessions].begin(account, key_of(account), account, clock.now, clock.now + LASTS)
    logged_in(state, clock.now)

    assert state[Sessions].end('1234') == 2

    left = [account for account in ('123', '1234', '12345') if state[Sessions].session_of(account, clock.now)]
    assert left == ['123', '12345']


def test_an_account_goes_with_its_sessions_in_one_update(state: State, clock: Clock) -> None:
    _, key = logged_in(state, clock.now, caller='200')

    state.update(remove, '1234')

    assert state[Accounts].accounts() == []
    assert state[Sessions].session(key, clock.now) is None
    assert state[Sessions].session_of('200', clock.now) is None
    with pytest.raises(AccountRefused, match="the account '1234' does not exist"):
        state.update(remove, '1234')


def test_what_is_exported_says_who_was_logged_in_and_has_no_token(state: State, clock: Clock) -> None:
    logged_in(state, clock.now, caller='200')

    exported = state.query(lambda parts: list(parts[Sessions].export()))

    began, ends = '2027-01-15T08:00:00.000000Z', '2027-01-15T09:00:00.000000Z'
    assert exported == [{'account': '1234', 'caller_id': '200', 'began': began, 'ends': ends}]


def test_sessions_are_forgotten_by_their_ends(state: State, clock: Clock) -> None:
    keys = []
    for _ in range(5):
        keys.append(logged_in(state, clock.now, caller='200')[1])
        clock.now += 60

    assert forget(state, Sessions, before=clock.now + LASTS - 100) == 4

    assert [key for key in keys if state[Sessions].session(key, clock.now)] == keys[4:]
    assert state[Sessions].session_of('200', clock.now)


def test_forgetting_takes_no_more_at_once_than_it_may(state: State, clock: Clock) -> None:
    for _ in range(3):
        logged_in(state, clock.now)

    counts = [state.update(lambda parts: parts[Sessions].forget('ended', float('inf'), 2)) for _ in range(3)]

    assert counts == [2, 1, 0]


def test_a_caller_is_erased_and_the_session_goes_on(state: State, clock: Clock) -> None:
    _, key = logged_in(state, clock.now, caller='+44 7700 900123')
    logged_in(state, clock.now, caller='200')
    logged_in(state, clock.now)

    assert erase(state, Sessions, SameCaller('07700 900123', 'GB')) == [(key, 1)]

    session = state[Sessions].session(key, clock.now)
    assert session
    assert (session.account, session.caller) == ('1234', None)
    assert state[Sessions].session_of('+44 7700 900123', clock.now) is None
    assert state[Sessions].session_of('200', clock.now)


def test_sessions_need_accounts() -> None:
    with open_database('memory:') as database, pytest.raises(ComponentError, match="depends on 'accounts'"):
        State(database, [Sessions])


def test_a_check_finds_what_does_not_fit_together(state: State, checked: Callable[[], list[str]], clock: Clock) -> None:
    _, key = logged_in(state, clock.now, caller='200')
    kept: list[object] = []

    def lose(parts: Components) -> None:
        kept.append(parts[Sessions]._sessions.pop(key))

    def find(parts: Components) -> None:
        parts[Sessions]._sessions[key] = kept[0]

    state.update(lose)
    assert checked() == [
        'the sessions by their ends are not those by their keys',
        'the sessions by their accounts are not those by their keys',
        "caller '200' is bound to a session that is not there, or not of that caller",
    ]
    state.update(find)  # so that the check after this test passes
