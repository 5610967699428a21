"""Sessions: who is logged in, beyond the call in which they logged in; and the updates over accounts and sessions."""

import hashlib
import secrets
from collections.abc import Iterator
from typing import NamedTuple

from BTrees.OOBTree import OOBTree, OOTreeSet

from hitcounter.lines import SameCaller
from hitcounter.state import Component, Components, query, update

from .component import Accounts, Attempt, time_or_none

#: Seconds that a session lasts.
LASTS = 3600.0

#: More than any key.
_HIGHEST = b'\xff' * 33


class Session(NamedTuple):
    """A session as it is shown. Times are in seconds since 1970, UTC."""

    account: str
    #: The caller ID that it is bound to, if there is one.
    caller: str | None
    began: float
    ends: float


def new_token() -> str:
    """A token that nobody can guess. Only its key is stored, so that who reads the database cannot use it."""
    return secrets.token_urlsafe(24)


def key_of(token: str) -> bytes:
    """The key of a session."""
    return hashlib.sha256(token.encode('utf-8', 'surrogateescape')).digest()


class Sessions(Component):
    """Who is logged in, and until when. Its methods take the key of a session, and the time."""

    name = 'sessions'
    depends = (Accounts,)

    def __init__(self) -> None:
        self._sessions = OOBTree()  # by their keys: account, caller ID, beginning, end
        self._callers = OOBTree()  # the key of the last session of each caller ID
        self._ends = OOTreeSet()  # of (end, key)
        self._accounts = OOTreeSet()  # of (account, key)

    @update
    def begin(self, account: str, key: bytes, caller: str | None, now: float, ends: float) -> None:
        """Begin a session of `account`, also found by a caller ID if one is given."""
        self._sessions[key] = (account, caller, now, ends)
        self._ends.add((ends, key))
        self._accounts.add((account, key))
        if caller is not None:
            self._callers[caller] = key

    @query
    def session(self, key: bytes, now: float) -> Session | None:
        """The session of that key, unless it has ended."""
        found = self._sessions.get(key)
        return Session(*found) if found is not None and now < found[-1] else None

    @query
    def session_of(self, caller: str, now: float) -> Session | None:
        """The last session that was bound to that caller ID, unless it has ended."""
        key = self._callers.get(caller)
        return None if key is None else self.session(key, now)

    @update
    def end(self, account: str) -> int:
        """End all sessions of `account`; returns how many there were."""
        keys = [key for _, key in self._accounts.keys((account, b''), (account, _HIGHEST))]
        for key in keys:
            self._forget(key)
        return len(keys)

    def _forget(self, key: bytes) -> None:
        account, caller, _, ends = self._sessions.pop(key)
        self._ends.remove((ends, key))
        self._accounts.remove((account, key))
        if caller is not None and self._callers.get(caller) == key:
            del self._callers[caller]

    def overdue(self, before: float) -> Iterator[str]:
        if self._ends and self._ends.minKey()[0] < before:
            yield 'ended'

    def forget(self, key: str, before: float, most: int) -> int:
        count = 0
        while count < most and self._ends and (first := self._ends.minKey())[0] < before:
            self._forget(first[1])
            count += 1
        return count

    def about(self, caller: SameCaller) -> Iterator[bytes | None]:
        for key, (_, number, _, _) in self._sessions.items():
            yield key if caller.is_(number) else None

    def erase(self, key: bytes, caller: SameCaller) -> int:
        """Keep the session, but not its caller: the next call has to give the PIN again."""
        if key not in self._sessions:  # it was forgotten meanwhile
            return 0
        account, number, began, ends = self._sessions[key]
        self._sessions[key] = (account, None, began, ends)
        if number is not None and self._callers.get(number) == key:
            del self._callers[number]
        return 1

    def export(self) -> Iterator[dict[str, object]]:
        for _, key in self._ends:
            session = Session(*self._sessions[key])
            yield {
                'account': session.account,
                'caller_id': session.caller,
                'began': time_or_none(session.began),
                'ends': time_or_none(session.ends),
            }

    def check(self) -> Iterator[str]:
        by_end = {(ends, key) for key, (*_, ends) in self._sessions.items()}
        by_account = {(account, key) for key, (account, *_) in self._sessions.items()}
        if by_end != set(self._ends):
            yield 'the sessions by their ends are not those by their keys'
        if by_account != set(self._accounts):
            yield 'the sessions by their accounts are not those by their keys'
        for caller, key in self._callers.items():
            if key not in self._sessions or self._sessions[key][1] != caller:
                yield f'caller {caller!r} is bound to a session that is not there, or not of that caller'


# Updates over both components, for state.update: all of it happens, or nothing.


def log_in(components: Components, number: str, digest: bytes, key: bytes, caller: str | None, now: float) -> Attempt:
    """An attempt to log in; a right one begins a session, found by its key, and by a caller ID if one is given."""
    attempt = components[Accounts].attempt(number, digest, now)
    if attempt is Attempt.RIGHT:
        components[Sessions].begin(number, key, caller, now, now + LASTS)
    return attempt


def take_up(components: Components, caller: str, key: bytes, now: float) -> Session | None:
    """Begin another session of whoever this caller ID logged in, up to the end of the first one; None if nobody."""
    first = components[Sessions].session_of(caller, now)
    if first is not None:
        components[Sessions].begin(first.account, key, None, now, first.ends)
    return first


def remove(components: Components, number: str) -> None:
    """Remove an account and its sessions. Raises AccountRefused if there is no such account."""
    components[Accounts].remove(number)
    components[Sessions].end(number)
