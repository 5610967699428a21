"""What the log says about a call: one line when it has ended, and the traceback of a script that failed.

A path that no script has, and the message of an error, may identify the caller: neither is logged if the caller
withholds that.
"""

import json
import logging
import re
import traceback
from collections.abc import Mapping
from typing import Any, NamedTuple

from .call import Call

logger = logging.getLogger(__name__)

#: The most characters of a value in the line.
_LONGEST = 80

_PLAIN = re.compile(r'[^\s"=\\]+').fullmatch

#: What could be taken for a word of the line, in a text that somebody else may have chosen.
_LIKE_A_WORD = re.compile(r'(?<= )(\w+)=').sub

#: A number of this many bits is logged as a text: few readers of JSON take it, and str() refuses a very long one.
_MANY_BITS = 64

_NOT_SHOWN = 'not shown because it may identify the caller'


class Ending(NamedTuple):
    """How a call ended."""

    #: The AGISTATUS that the dialplan is to see: SUCCESS, HANGUP or FAILURE.
    agistatus: str
    #: What the log says: `ended`, `hung up`, `failed`, `closed`, or `lost` with the reason.
    how: str

    @property
    def well(self) -> bool:
        """Whether the call was served to its end; a hangup is such an end."""
        return self.agistatus != 'FAILURE'


def failure(how: str) -> Ending:
    """The ending of a call that was not served to its end."""
    return Ending('FAILURE', how)


ENDED = Ending('SUCCESS', 'ended')
HUNG_UP = Ending('HANGUP', 'hung up')
FAILED = failure('failed')
CLOSED = failure('closed')
OVERDUE = failure('lost (it reached the time limit for calls)')


def log_end(call: Call, path: str | None, ending: Ending, seconds: float) -> None:
    """Write the one line of a call that has ended; `path` is its script's, None if there was no script.

    The record's `fields` has the values by name, for handlers that do not log text.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    fields = _fields(call, path, ending, seconds)
    logger.info('%s', _line(fields), extra={'fields': fields})


def _fields(call: Call, path: str | None, ending: Ending, seconds: float) -> dict[str, Any]:
    environment = call.environment
    caller_id = None if call.caller_withheld else environment.caller_id
    return {
        'unique_id': environment.unique_id,
        'ending': ending.how,
        'seconds': int(1000 * seconds + 0.5) / 1000,  # round() takes longer
        'script': path,
        'line': _cut(call.parameters.get('line', environment.extension)),
        'caller_id': None if caller_id is None else _cut(caller_id),
        'withheld': call.caller_withheld,
        'result': _result(call.result),
        'agistatus': ending.agistatus,
    }


def _result(result: str | int | None) -> str | int | None:
    if isinstance(result, int):
        return result if result.bit_length() < _MANY_BITS else _cut(hex(result))
    return None if result is None else _cut(str(result))


def _line(fields: Mapping[str, Any]) -> str:
    path, result = fields['script'], fields['result']
    script = '' if path is None else f' script={_word(path)}'
    value = '' if result is None else f' result={_word(str(result))}'
    return (
        f'{_text(fields["unique_id"])}: {_text(fields["ending"])} after {fields["seconds"]:.3f} s:{script}'
        f' line={_word(fields["line"])} caller={_shown_caller(fields)}{value} agistatus={fields["agistatus"]}'
    )


def _shown_caller(fields: Mapping[str, Any]) -> str:
    if fields['withheld']:
        return 'withheld'
    caller_id: str | None = fields['caller_id']
    if caller_id is None:
        return 'unknown'
    return json.dumps(caller_id) if caller_id == 'withheld' else _word(caller_id)


def _cut(value: str) -> str:
    return value if len(value) <= _LONGEST else f'{value[:_LONGEST]}…'


def _word(value: str) -> str:
    """`value` as one word of the line: in double quotes, with the escapes of JSON, where it would not be one."""
    if value.isalnum() or (_PLAIN(value) and value.isprintable()):  # usually the former, which is faster
        return value
    return _no_words(json.dumps(value))


def _text(value: str) -> str:
    """`value` as some words of the line, with the escapes of JSON where it would end the line."""
    return _no_words(value if value.isprintable() else json.dumps(value)[1:-1])


def _no_words(text: str) -> str:
    """`text` with JSON's escape for each `=` that would make it look as if it had a word of the line."""
    return _LIKE_A_WORD(r'\1\\u003d', text) if '=' in text else text


# A script that failed.


def missing(call: Call) -> str:
    """The reason for the failure of a call whose script does not exist here."""
    if call.caller_withheld:
        return f'there is no script of its path, which is {_NOT_SHOWN}'
    return f'there is no script {_cut(call.environment.script)!r}'


def why_lost(call: Call) -> str:
    """Why nothing more can be sent on a call."""
    return f'the reason is {_NOT_SHOWN}' if call.caller_withheld else call.lost


def message_of(error: BaseException, call: Call) -> str:
    """The message of `error`, or only its type if the caller withholds the number."""
    return f'{type(error).__name__}, whose message is {_NOT_SHOWN}' if call.caller_withheld else str(error)


def log_failure(call: Call, path: str, error: BaseException) -> None:
    """Write that the script of `path` failed, with the traceback of `error`."""
    environment = call.environment
    if not call.caller_withheld:
        logger.error('%s: the script %r failed', environment.unique_id, environment.script, exc_info=error)
        return
    lines = [f'{environment.unique_id}: the script {path!r} failed\nTraceback (most recent call last):\n']
    for raised in _chain(error):
        lines += [*traceback.format_tb(raised.__traceback__), f'{message_of(raised, call)}\n']
    logger.error('%s', ''.join(lines).rstrip())


def _chain(error: BaseException) -> list[BaseException]:
    """The errors that led to `error`, in the order in which a traceback shows them."""
    chain: dict[int, BaseException] = {}
    following: BaseException | None = error
    while following is not None and id(following) not in chain:  # an error may be raised from itself
        chain[id(following)] = following
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    return list(reversed(chain.values()))
