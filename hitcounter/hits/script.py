"""The script of the hit counter: you call a number, and it says which caller you are."""

from collections.abc import Iterable

from ..agi import Call, script
from ..errors import OutcomeUnknown, StateError
from ..state import State
from .bounds import is_usual
from .counter import HitCounter
from .hit import Caller

#: Sound files of Asterisk's own, played before the number.
PROMPTS = ('hello', 'number')

#: Played instead, if the call could not be counted.
APOLOGY = ('im-sorry', 'please-try-call-later')


@script('hits')
def tell_the_number(call: Call, state: State, prompts: Iterable[str] = PROMPTS, max_lines: int = 0) -> None:
    """Count the caller, then say the number. A caller who hangs up once counted stays counted."""
    hits, line = state[HitCounter], call.environment.extension
    call.answer()
    try:
        if max_lines or not is_usual(line):  # a line that is refused here does not hold up any update
            hits.admit(line, max_lines)
        number = call.result = hits.hit(line, Caller.of(call), max_lines)
    except StateError as error:
        if isinstance(error, OutcomeUnknown):
            call.set_variable('HITCOUNTER_OUTCOME', 'unknown')  # another server may count the call twice
        for prompt in APOLOGY:
            call.stream_file(prompt)
        raise  # so that the log and the dialplan say that the call failed
    call.set_variable('HITCOUNTER_NUMBER', number)
    for prompt in prompts:
        call.stream_file(prompt)
    call.say_number(number)
