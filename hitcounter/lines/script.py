"""The script of all lines: a call is decided and stored first, then the dialplan is told, then the caller."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..agi import Call, script
from ..errors import LineRefused, OutcomeUnknown, StateError, UrlRefused
from ..hits import PROMPTS, Caller
from .announcements import items_for, set_of
from .calling import Desk, Visit
from .outcome import Outcome, Result
from .settings import Settings
from .speaking import open_early_media, play, set_language

#: What is read of an earlier call on this channel, in one command. The line comes last, since it may hold a comma.
_NAMES = ('RESULT', 'NUMBER', 'TO_GO', 'WIN', 'CALLER_CALLS', 'ROUND', 'LINE')
_EARLIER = ','.join(f'${{HITCOUNTER_{name}}}' for name in _NAMES)


class Query(NamedTuple):
    """What the query of the URL asks for."""

    #: Whether to answer the call.
    answer: bool = True
    #: Whether to play the announcements.
    say: bool = True
    #: Whether a channel that carries a number of this line is not counted again.
    once: bool = False


@script('hits/{line}')
def serve_line(call: Call, desk: Desk, prompts: Iterable[str] = PROMPTS, max_lines: int = 0) -> None:
    """Decide about the call on its line, then tell the dialplan and the caller. Who was counted stays counted.

    The line is that of the path, or else the extension that was dialled.
    """
    query = query_of(call.url_query) if '?' in call.environment.script else Query()
    line = call.parameters.get('line', call.environment.extension)
    outcome = _earlier(call, line) if query.once else None
    is_again = outcome is not None
    if outcome is None:
        if call.hung_up:  # nobody is left to be counted
            return
        try:
            outcome = desk.decide(Visit(line, Caller.of(call), call.arrived), max_lines)
        except StateError as error:
            _apologise(call, line, query, desk.settings(line), error)
            raise  # so that the log and the dialplan say that the call failed
    settings = desk.settings(line)
    call.result = outcome.number if outcome.result is Result.COUNTED else ' '.join(_words(outcome))
    call.set_variables(variables(line, outcome, is_again=is_again))
    announce(call, query, settings, outcome, prompts)


def query_of(texts: Mapping[str, tuple[str, ...]]) -> Query:
    """What these names and values of a query ask for. Raises UrlRefused for a name or a value that is unknown."""
    said: dict[str, bool] = {}
    for name, values in texts.items():
        if name == 'line':
            raise UrlRefused('the URL has ?line=: the line belongs in the path, as in agi://127.0.0.1/hits/LINE')
        if name not in Query._fields:
            raise UrlRefused(
                f'the URL asks for {name!r:.80}, which is unknown: the names are {", ".join(Query._fields)}'
            )
        if values not in (('yes',), ('no',)):
            raise UrlRefused(f'the URL has {name}={",".join(values)!r:.80}: write {name}=yes or {name}=no, once')
        said[name] = values == ('yes',)
    said.setdefault('say', said.get('answer', True))  # without an answer, nothing is played unless asked for
    return Query(**said)


def variables(line: str, outcome: Outcome, *, is_again: bool = False) -> dict[str, str | int]:
    """What the dialplan is told about a call."""
    return {
        'HITCOUNTER_LINE': line,
        'HITCOUNTER_NUMBER': _shown(outcome.number),
        'HITCOUNTER_RESULT': outcome.result.value,
        'HITCOUNTER_TO_GO': _shown(outcome.to_go),
        'HITCOUNTER_WIN': outcome.win,
        'HITCOUNTER_AGAIN': int(is_again),
        'HITCOUNTER_CALLER_CALLS': _shown(outcome.caller_calls),
        'HITCOUNTER_ROUND': _shown(outcome.round),
    }


def announce(call: Call, query: Query, settings: Settings, outcome: Outcome, prompts: Iterable[str] = ()) -> None:
    """Answer the call and play what its outcome has the line say, as far as `query` asks for that.

    A set without announcements is not answered.
    """
    name = set_of(outcome)
    items = items_for(name, outcome.round is not None, settings.say, prompts) if query.say else ()
    is_answered = query.answer and (bool(items) or not query.say) and name not in settings.before_answer
    if is_answered:
        call.answer()
    if items:
        if not is_answered:
            open_early_media(call)
        set_language(call, settings.language)
        play(call, items, outcome, settings.zone, language=settings.language)


def _shown(number: int | None) -> str | int:
    return '' if number is None else number


def _words(outcome: Outcome) -> Iterable[str]:
    """What the line of the log says about a call that was not just counted."""
    yield outcome.result.value
    if outcome.number is not None:
        yield str(outcome.number)


def _earlier(call: Call, line: str) -> Outcome | None:
    """What was decided when this channel called this line before; None if it did not, or was not counted."""
    read = (call.evaluate(_EARLIER) or ',' * len(_NAMES)).split(',', len(_NAMES) - 1)
    result, number, to_go, win, caller_calls, in_round, earlier = read
    if earlier != line or not number.isdecimal() or result not in list(Result):
        return None
    return Outcome(Result(result), int(number), _number(to_go), win, _number(caller_calls), _number(in_round))


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _apologise(call: Call, line: str, query: Query, settings: Settings, error: StateError) -> None:
    """Tell the dialplan and the caller that the call could not be counted."""
    outcome = Outcome(Result.ERROR)
    told = variables('' if isinstance(error, LineRefused) else line, outcome)  # it may be no value of a variable
    if isinstance(error, OutcomeUnknown):
        told['HITCOUNTER_OUTCOME'] = 'unknown'  # another server may count the call twice
    call.set_variables(told)
    announce(call, query, settings, outcome)
