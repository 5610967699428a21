"""The scripts: log in with a PIN, and log out."""

import time
from collections.abc import Callable

from hitcounter.agi import Call, script
from hitcounter.agi.ivr import ask
from hitcounter.state import State

from . import pins
from .component import ATTEMPTS, LONGEST_NUMBER, Accounts, Attempt
from .sessions import Session, Sessions, key_of, new_token, take_up
from .sessions import log_in as log_in_by

#: The channel variable with the token of the session; channels that this one makes inherit it.
TOKEN = 'ACCOUNT_SESSION'

#: Sound files of Asterisk's own.
NUMBER, PIN, WRONG, LOGGED_IN, LOGGED_OUT, GOODBYE = (
    'agent-user',
    'agent-pass',
    'vm-incorrect',
    'agent-loginok',
    'agent-loggedoff',
    'vm-goodbye',
)

#: The time in seconds since 1970; a test has its own.
Clock = Callable[[], float]


@script('login')
def log_in(call: Call, state: State, clock: Clock = time.time) -> None:
    """Ask for the number of an account and its PIN, and begin a session for this channel and those that it makes.

    Afterwards ACCOUNT is the number, or empty, and ACCOUNT_RESULT is RIGHT, WRONG or LOCKED. The caller hears the same
    for a number without an account, a wrong PIN and a locked account.
    """
    _log_in(call, state, clock, None)


@script('login/remember')
def log_in_and_remember(call: Call, state: State, clock: Clock = time.time) -> None:
    """The same, except that a caller ID which logged in here within the hour is not asked again.

    Anybody outside can choose the caller ID that they show: let only telephones of your own come here.
    """
    _log_in(call, state, clock, _caller_of(call))


@script('logout')
def log_out(call: Call, state: State, clock: Clock = time.time) -> None:
    """End all sessions of whoever is logged in on this channel, or else by this caller ID."""
    call.answer()
    session, caller = session_of(call, state, clock()), _caller_of(call)
    if session is None and caller is not None:
        session = state[Sessions].session_of(caller, clock())
    if session is not None:
        state[Sessions].end(session.account)
    call.set_variables({f'__{TOKEN}': '', 'ACCOUNT': '', 'ACCOUNT_RESULT': ''})
    call.stream_file(LOGGED_OUT)


def session_of(call: Call, state: State, now: float) -> Session | None:
    """The session of the token that this channel carries, unless it has ended: for scripts of other packages."""
    token = call.get_variable(TOKEN)
    return state[Sessions].session(key_of(token), now) if token else None


def _log_in(call: Call, state: State, clock: Clock, caller: str | None) -> None:
    call.answer()
    session = session_of(call, state, clock()) or _take_up(call, state, clock(), caller)
    account, attempt = (session.account, Attempt.RIGHT) if session else _ask(call, state, clock, caller)
    call.result = attempt
    call.set_variables({'ACCOUNT': account, 'ACCOUNT_RESULT': attempt})
    call.stream_file(LOGGED_IN if account else GOODBYE)


def _take_up(call: Call, state: State, now: float, caller: str | None) -> Session | None:
    """The session of this caller ID, which this channel then carries as well; None if there is none."""
    if caller is None or state[Sessions].session_of(caller, now) is None:
        return None
    token = new_token()
    session = state.update(take_up, caller, key_of(token), now)
    if session is not None:
        _leave(call, token)
    return session


def _ask(call: Call, state: State, clock: Clock, caller: str | None) -> tuple[str, Attempt]:
    """Ask for number and PIN until they are right, ATTEMPTS times; returns the account, or '', and the last result."""
    attempt = Attempt.WRONG
    for _ in range(ATTEMPTS):
        number = ask(call, NUMBER, digits=LONGEST_NUMBER, at_least=1, attempts=1)
        pin = ask(call, PIN, digits=pins.LONGEST, at_least=pins.SHORTEST, attempts=1)
        if number and pin:
            token, salt = new_token(), state[Accounts].salt(number)
            digest = pins.digest(pin, salt)  # here, because all updates would wait for it
            attempt = state.update(log_in_by, number, digest, key_of(token), caller, clock())
            if attempt is Attempt.RIGHT:
                _leave(call, token)
                if salt.cost < pins.COST:
                    state[Accounts].rehash(number, digest, pins.hash_new(pin))
                return number, attempt
        call.stream_file(WRONG)
    return '', attempt


def _leave(call: Call, token: str) -> None:
    """Leave the token on the channel, by a command of its own: Asterisk shows what MSet sets at its console."""
    call.set_variable(f'__{TOKEN}', token)


def _caller_of(call: Call) -> str | None:
    """The caller ID, unless it is withheld or Asterisk does not know it."""
    return None if call.caller_withheld else call.environment.caller_id
