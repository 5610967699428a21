"""Asking a caller for digits: questions and menus, over the commands of a call.

The number of attempts and the wait for each key are limited. A hangup raises Hangup, and is never mistaken for silence.
Neither a log nor an error shows the keys.
"""

import string
from collections.abc import Callable, Iterable
from functools import partial

from ..errors import CommandRefused
from .call import Call
from .protocol.arguments import KEYS, Seconds, whole

#: How often a caller is asked.
ATTEMPTS = 3

#: Seconds that a caller has for each key.
TIMEOUT = 5.0

_HASH = '#'  # the one key that ends GET DATA

#: What the caller entered; None if no key was pressed.
Entry = str | None


def ask(
    call: Call,
    prompt: str,
    *,
    digits: int,
    at_least: int | None = None,
    valid: Callable[[str], bool] | None = None,
    terminator: str = _HASH,
    attempts: int = ATTEMPTS,
    timeout: Seconds = TIMEOUT,
    no_input: str = '',
    invalid: str = '',
) -> str | None:
    """Play `prompt` and collect `digits` digits; returns them, or None if the caller entered none that are accepted.

    With `at_least`, fewer are accepted once the caller presses the `terminator` or pauses for `timeout`. An entry that
    is too short, contains a key other than a digit, or is not `valid` is asked for again, `attempts` times in all.
    Before another attempt the caller hears the sound file `no_input` if no key was pressed, and `invalid` otherwise, if
    they are given. A sound file that Asterisk does not have is skipped, and the keys are waited for all the same.

    It takes at most the prompts' time plus `timeout` for each key. With a `terminator` other than `#` (another key, or
    '' for none) the keys are read one by one, and a key pressed between two reads is lost.

    Raises Hangup and the like as every command does, and CommandRefused for arguments that do not fit together.
    """
    fewest = whole(digits if at_least is None else at_least)
    if not 0 <= fewest <= whole(digits) or not digits:
        raise CommandRefused(f'digits is {digits}, at_least {at_least}: give 1 or more, and no more than that')
    if terminator not in ('', '*', _HASH, 'A', 'B', 'C', 'D'):
        raise CommandRefused(f'{terminator!r} cannot end the digits: give *, #, A, B, C, D or nothing')

    def accepts(entry: str) -> bool:
        return len(entry) >= fewest and not entry.strip(string.digits) and (valid is None or valid(entry))

    if terminator == _HASH:
        listen = partial(_listen, call, prompt, digits, timeout)
    else:
        listen = partial(_listen_key_by_key, call, prompt, digits, timeout, terminator)
    return _try(call, listen, accepts, attempts, no_input, invalid)


def menu(
    call: Call,
    prompt: str,
    *,
    choices: str,
    attempts: int = ATTEMPTS,
    timeout: Seconds = TIMEOUT,
    no_input: str = '',
    invalid: str = '',
) -> str | None:
    """Play `prompt` until a key is pressed; returns the key, one of `choices`, or None.

    `attempts`, `timeout`, `no_input` and `invalid` are those of `ask`; so are the errors. Any of `choices` may be
    `#` or `*`.
    """
    if not choices or not isinstance(choices, Iterable) or set(choices) - set(KEYS):
        raise CommandRefused(f'{choices!r} are not choices: give some of the keys {KEYS}')
    listen = partial(_listen_for_one, call, prompt, timeout)
    return _try(call, listen, choices.__contains__, attempts, no_input, invalid)


def _try(
    call: Call,
    listen: Callable[[], Entry],
    accepts: Callable[[str], bool],
    attempts: int,
    no_input: str,
    invalid: str,
) -> str | None:
    if whole(attempts) < 1:
        raise CommandRefused(f'attempts is {attempts}: give 1 or more')
    complaint = ''
    for _ in range(attempts):
        if complaint:
            call.stream_file(complaint)
        entry = listen()
        if entry is not None and accepts(entry):
            return entry
        complaint = no_input if entry is None else invalid
    return None


# By GET DATA, which reads all keys in one command, but always ends at #.


def _listen(call: Call, prompt: str, digits: int, timeout: Seconds) -> Entry:
    answer = call.get_data(prompt, timeout=timeout, max_digits=digits)
    if not answer.played:  # no such sound file, or the caller is gone, which the next command reports
        answer = call.get_data('', timeout=timeout, max_digits=digits)
    if not answer.played:
        _check_caller(call)
        return None
    return None if answer.timed_out and not answer.digits else answer.digits


def _listen_for_one(call: Call, prompt: str, timeout: Seconds) -> Entry:
    key = _listen(call, prompt, 1, timeout)
    return _HASH if key == '' else key


# By WAIT FOR DIGIT.


def _listen_key_by_key(call: Call, prompt: str, digits: int, timeout: Seconds, terminator: str) -> Entry:
    key = call.stream_file(prompt, escape_digits=KEYS).digit if prompt else None
    key = key or _next_key(call, timeout)
    if key is None:
        return None
    entry = ''
    while key is not None and key != terminator:
        entry += key
        key = _next_key(call, timeout) if len(entry) < digits else None
    return entry


def _next_key(call: Call, timeout: Seconds) -> str | None:
    key = call.wait_for_digit(timeout)
    if key is None:
        _check_caller(call)
    return key


def _check_caller(call: Call) -> None:
    """Raise Hangup if the caller is gone: a hangup is not a pause."""
    call.channel_status()
