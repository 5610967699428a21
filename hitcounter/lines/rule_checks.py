"""The checks of rules before a round opens: rules that contradict themselves, or that nobody could win by."""

from collections.abc import Iterator
from itertools import chain

from ..counts import count_of
from ..errors import RulesRefused
from .instants import check_zone, show
from .rule_language import term_text
from .rules import Rules
from .terms import HIGHEST, At, Every, First, FirstAfter, Last, Term

#: What may become of callers who withhold their number.
WITHHELD = ('count-no-win', 'count', 'refuse')

#: The first instant that no rule may name, in 2106: far enough, and within what dates can say in any time zone.
_LATEST = 2**32

#: Characters of the name of a group of lines.
_LONGEST_GROUP = 80


def check(rules: Rules, now: float) -> None:
    """Raise RulesRefused if no round can be opened by these rules at the instant `now`.

    Hours and the country are checked by those who know them: `check_hours` and `check_country`.
    """
    check_zone(rules.zone)
    # In this order: what follows may take for granted that the numbers are numbers.
    complaints = chain(_numbers(rules), _window(rules, now), _winning(rules), _callers(rules))
    if complaint := next(complaints, None):
        raise RulesRefused(complaint)


def _numbers(rules: Rules) -> Iterator[str]:
    counts = {'most-winners': rules.most_winners, 'most-calls': rules.most_calls, 'limit': rules.limit}
    for name, count in counts.items():
        if count is not None and not (type(count) is int and 1 <= count <= HIGHEST):
            yield f'{name} is {count!r}: give a number from 1 to {HIGHEST:,}, or leave it out'
    for name, seconds in {'window': rules.window, 'cooldown': rules.cooldown}.items():
        if seconds is not None and not (_is_number(seconds) and 0 < seconds <= HIGHEST):
            yield f'{name} is {seconds!r}: give more than 0 and at most {HIGHEST:,} seconds, or leave it out'
    if not (_is_number(rules.settle) and 0 <= rules.settle <= HIGHEST):
        yield f'settle is {rules.settle!r}: give 0 to {HIGHEST:,} seconds'
    instants = [('opening', rules.opens), ('close', rules.closes)]
    instants += [("moment of 'first after'", term.moment) for term in rules.win if isinstance(term, FirstAfter)]
    for name, instant in instants:
        if instant is not None and not (_is_number(instant) and 0 <= instant < _LATEST):
            yield f'the {name} is {instant!r}: give seconds since 1970, at most {_LATEST - 1:,}'


def _is_number(value: float) -> bool:
    return type(value) in (int, float)


def _window(rules: Rules, now: float) -> Iterator[str]:
    opens, closes = rules.opens, rules.closes
    if closes is not None and closes <= now:
        yield f'the close, {show(closes, rules.zone)}, is in the past: it is {show(now, rules.zone)}; give a later one'
    if opens is not None and closes is not None and closes <= opens:
        yield (
            f'the close, {show(closes, rules.zone)}, is not after the opening, {show(opens, rules.zone)}: '
            f'give a later close or an earlier opening'
        )
    for term in rules.win:
        if isinstance(term, FirstAfter):
            yield from _first_after(term, rules, now)


def _first_after(term: FirstAfter, rules: Rules, now: float) -> Iterator[str]:
    written = term_text(term, rules.zone)
    if term.moment < now:
        yield f'{written!r} is in the past: it is {show(now, rules.zone)}; give a later one'
    if rules.opens is not None and term.moment < rules.opens:
        yield f'{written!r} is before the opening, {show(rules.opens, rules.zone)}: give a time within the window'
    if rules.closes is not None and term.moment >= rules.closes:
        yield f'{written!r} is not before the close, {show(rules.closes, rules.zone)}: give a time within the window'


def _winning(rules: Rules) -> Iterator[str]:
    needing = {
        'most-winners': rules.most_winners is not None,
        'close-when-won': rules.close_when_won,
        'cooldown': rules.cooldown is not None,
    }
    for name, is_given in needing.items():
        if is_given and not rules.win:
            yield f'{name} is given, and nobody can win: say who wins, or leave {name} out'
    for term in rules.win:
        if isinstance(term, First) and rules.most_winners is not None and term.count > rules.most_winners:
            yield (
                f'{term_text(term)!r} can never have all its winners, since nobody else wins after '
                f'{count_of(rules.most_winners, "winner")}: give a smaller number, or more winners'
            )
        yield from _out_of_reach(term, rules)
    if rules.close_when_won:
        yield from _never_won_out(rules)


def _out_of_reach(term: Term, rules: Rules) -> Iterator[str]:
    """That no call which counts can ever have the number of the term's milestone."""
    match term:
        case First(number) | At(number) | Every(_, number):
            pass
        case _:
            return
    if rules.most_calls is not None and number > rules.most_calls:
        yield (
            f'{term_text(term)!r} can never be reached with at most {count_of(rules.most_calls, "call")}: '
            f'give a smaller number, or more calls'
        )


def _never_won_out(rules: Rules) -> Iterator[str]:
    """That a round which is to close with its last winner never would."""
    endless = next((term for term in rules.win if isinstance(term, Every | Last)), None)
    if endless is None:
        return
    if rules.most_winners is None:
        yield f'close-when-won needs an end of the winning, and {term_text(endless)!r} has none: give most-winners'
    elif not any(isinstance(term, Every) for term in rules.win):
        most = sum(term.most_wins or 0 for term in rules.win if not isinstance(term, Last))
        if most < rules.most_winners:
            yield (
                f"close-when-won would never close, since 'last' is won after the close, and all else at most "
                f'{count_of(most, "time")}: lower most-winners, or leave out close-when-won'
            )


def _callers(rules: Rules) -> Iterator[str]:
    if rules.window is not None and rules.limit is None:
        yield 'a window is given without a limit: say how many calls one caller may have in it'
    if rules.winners_of and rules.cooldown is None:
        yield f'the winners of {rules.winners_of!r:.82} are given without a cooldown: say how long they are barred'
    if len(rules.winners_of) > _LONGEST_GROUP or not rules.winners_of.isprintable():
        yield f'the group {rules.winners_of!r:.82} is not a name: give at most {_LONGEST_GROUP} printable characters'
    if rules.withheld not in WITHHELD:
        yield f'withheld is {rules.withheld!r:.82}: give one of {", ".join(WITHHELD)}'
