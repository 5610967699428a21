"""Rules as one English sentence, as a station publishes them."""

from collections.abc import Iterator
from itertools import chain, groupby

from ..counts import count_of
from .instants import show
from .rules import Rules
from .terms import At, Every, First, FirstAfter, Last, Term

_PASSES = 'and a win that falls on such a call passes to the next caller who can'
_EACH_IS_NEW = ', and each of their calls is of a new caller'
_BARRED = ', and calls in that time do not count'


def sentence(rules: Rules, line: str) -> str:
    """All rules of a round on that line: rules that differ in anything have sentences that differ."""
    said = '; '.join(chain(_winning(rules), _callers(rules, line), _numbers(rules), _times(rules)))
    return f'{said[0].upper()}{said[1:]}.'


def _winning(rules: Rules) -> Iterator[str]:
    if not rules.win:
        yield 'nobody wins'
    for kind, terms in groupby(rules.win, type):
        if kind is At:
            yield _at([term.number for term in terms if isinstance(term, At)])
        else:
            yield from (_term(term, rules.zone) for term in terms)
    if len(rules.win) > 1:
        yield 'a call that meets several of these is one win'
    if rules.most_winners is not None:
        yield f'after {count_of(rules.most_winners, "winner")} nobody else wins'
    if rules.close_when_won:
        yield 'the round closes with the last win that is possible'


def _at(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f'caller {numbers[0]} wins'
    return f'callers {", ".join(map(str, numbers[:-1]))} and {numbers[-1]} win'


def _term(term: Term, zone: str) -> str:
    match term:
        case Every(step, start):
            which = 'every caller' if step == 1 else f'every {_ordinal(step)} caller'
            return f'{which} wins' if start == step else f'{which} from caller {start} on wins'
        case At(number):
            return _at([number])
        case First(count):
            return 'the first caller wins' if count == 1 else f'the first {count} callers win'
        case FirstAfter(moment):
            return f'the first caller at {show(moment, zone)} or later wins'
        case Last():
            return 'the last caller before the close wins'


def _ordinal(number: int) -> str:
    ending = 'th' if number // 10 % 10 == 1 else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')
    return f'{number}{ending}'


def _callers(rules: Rules, line: str) -> Iterator[str]:
    if rules.limit is not None:
        often = 'once' if rules.limit == 1 else f'at most {count_of(rules.limit, "time")}'
        within = '' if rules.window is None else f' in any period of {_duration(rules.window)}'
        yield f'each caller counts {often}{within}'
    is_limited = rules.limit is not None or rules.cooldown is not None
    yield {
        'count-no-win': 'withheld numbers count' + (f' and cannot win, {_PASSES}' if rules.win else ''),
        'count': 'withheld numbers count' + (_EACH_IS_NEW if is_limited else ' as all others do'),
        'refuse': 'withheld numbers are refused',
    }[rules.withheld]
    if rules.cooldown is not None:
        where = f'on any line of the group {rules.winners_of!r}' if rules.winners_of else f'on the line {line!r}'
        yield f'a winner {where} cannot win again within {_duration(rules.cooldown)} after a win{_BARRED}'


def _numbers(rules: Rules) -> Iterator[str]:
    if rules.count_all:
        yield 'calls that do not count have numbers, too' + (f', {_PASSES}' if rules.win else '')
    if rules.most_calls is not None:
        # With `count_all` the calls that do not count use up numbers, too.
        most = rules.most_calls
        counting = f'{count_of(most, "call")} count{"s" if most == 1 else ""}'
        yield f'no call after number {most} counts' if rules.count_all else f'at most {counting}'
    if rules.forget_numbers:
        yield "keyed hashes are stored in place of the callers' numbers"
    if rules.country:
        yield f'numbers and holidays are those of {rules.country}'


def _times(rules: Rules) -> Iterator[str]:
    if rules.zone != 'UTC':
        yield f'times are in {rules.zone}'
    if rules.hours:
        yield f'open {rules.hours!r}'
    if rules.opens is not None:
        yield f'opens {show(rules.opens, rules.zone)}'
    if rules.closes is not None:
        yield f'closes {show(rules.closes, rules.zone)}'
    if rules.settle:
        yield f'the result is final {_duration(rules.settle)} after the close'
    else:
        yield 'the result is final at the close'


def _duration(seconds: float) -> str:
    for unit, size in (('day', 86400), ('hour', 3600), ('minute', 60), ('second', 1)):
        if seconds >= size and seconds % size == 0:
            return count_of(int(seconds // size), unit)
    return f'{seconds!r} seconds'
