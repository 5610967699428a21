"""Rules that contradict themselves are refused before a round opens; all others are not."""

import pytest

from hitcounter.errors import RulesRefused
from hitcounter.lines.rule_checks import WITHHELD, check
from hitcounter.lines.rules import Rules
from hitcounter.lines.terms import HIGHEST, At, Every, First, FirstAfter, Last

#: 2026-12-05 13:00 in Berlin, and hours after it.
NOW = 1_796_472_000.0
HOUR = 3600
_CLOSE = 'the close, 2026-12-05 13:00:00 Europe/Berlin (2026-12-05T12:00:00Z)'


def at(hour: int) -> str:
    """That hour of the day as a message shows it."""
    return f'2026-12-05 {hour}:00:00 Europe/Berlin (2026-12-05T{hour - 1}:00:00Z)'


WIN = (At(9),)


@pytest.mark.parametrize(
    'rules',
    [
        Rules(),
        Rules(WIN),
        Rules(opens=NOW, closes=NOW + 1),
        Rules(opens=NOW - HOUR),
        Rules(closes=NOW + 0.001),
        Rules((FirstAfter(NOW),)),
        Rules((FirstAfter(NOW + HOUR),), opens=NOW + HOUR, closes=NOW + HOUR + 1),
        Rules((FirstAfter(NOW + HOUR - 1),), closes=NOW + HOUR),
        Rules(WIN, most_winners=1),
        Rules(WIN, most_winners=HIGHEST),
        Rules((First(5),), most_winners=5),
        Rules((Every(5, 5), At(9), First(3)), most_winners=3),
        Rules(WIN, close_when_won=True),
        Rules((At(9), First(3), FirstAfter(NOW)), close_when_won=True),
        Rules((Every(5, 5), Last()), most_winners=3, close_when_won=True),
        Rules((First(3), Last()), most_winners=3, close_when_won=True),
        Rules((First(2), At(9), Last()), most_winners=3, close_when_won=True),
        Rules(WIN, most_calls=9),
        Rules((Every(9, 9),), most_calls=9),
        Rules((Every(100, 9),), most_calls=9),
        Rules((First(9),), most_calls=9),
        Rules((FirstAfter(NOW), Last()), most_calls=1),
        Rules(limit=1),
        Rules(limit=20, window=0.5),
        Rules(WIN, cooldown=1),
        Rules(WIN, cooldown=1, winners_of='x' * 80),
        Rules(settle=0),
        Rules(WIN, limit=1, window=HIGHEST, cooldown=HIGHEST, settle=HIGHEST),
        Rules(opens=0),
        *(Rules(withheld=withheld) for withheld in WITHHELD),
    ],
)
def test_rules_that_can_be_kept_pass(rules: Rules) -> None:
    check(rules, NOW)


WHOLE = 'give a number from 1 to 1,000,000,000, or leave it out'
SECONDS = 'give more than 0 and at most 1,000,000,000 seconds, or leave it out'
INSTANT = 'give seconds since 1970, at most 4,294,967,295'


@pytest.mark.parametrize(
    ('rules', 'message'),
    [
        (
            Rules(zone='Europe/Berlim'),
            "'Europe/Berlim' is not a time zone: the nearest names are Europe/Berlin, Europe/Dublin, Europe/Rome",
        ),
        (Rules(WIN, most_winners=0), f'most-winners is 0: {WHOLE}'),
        (Rules(WIN, most_winners=True), f'most-winners is True: {WHOLE}'),
        (Rules(WIN, most_winners=HIGHEST + 1), f'most-winners is 1000000001: {WHOLE}'),
        (Rules(most_calls=0), f'most-calls is 0: {WHOLE}'),
        (Rules(most_calls='9'), f"most-calls is '9': {WHOLE}"),
        (Rules(limit=0), f'limit is 0: {WHOLE}'),
        (Rules(limit=-1), f'limit is -1: {WHOLE}'),
        (Rules(limit=1.0), f'limit is 1.0: {WHOLE}'),
        (Rules(limit=1, window=0), f'window is 0: {SECONDS}'),
        (Rules(limit=1, window=float('nan')), f'window is nan: {SECONDS}'),
        (Rules(limit=1, window=HIGHEST + 1), f'window is 1000000001: {SECONDS}'),
        (Rules(WIN, cooldown=-1), f'cooldown is -1: {SECONDS}'),
        (Rules(WIN, cooldown='30d'), f"cooldown is '30d': {SECONDS}"),
        (Rules(settle=-0.5), 'settle is -0.5: give 0 to 1,000,000,000 seconds'),
        (Rules(settle=float('inf')), 'settle is inf: give 0 to 1,000,000,000 seconds'),
        (Rules(settle=None), 'settle is None: give 0 to 1,000,000,000 seconds'),
        (Rules(opens=-1), f'the opening is -1: {INSTANT}'),
        (Rules(opens=float('nan')), f'the opening is nan: {INSTANT}'),
        (Rules(closes=1e300), f'the close is 1e+300: {INSTANT}'),
        (Rules(closes='22:15'), f"the close is '22:15': {INSTANT}"),
        (Rules((FirstAfter(2.0**32),)), f"the moment of 'first after' is 4294967296.0: {INSTANT}"),
        (Rules(closes=NOW), f'{_CLOSE}, is in the past: it is {at(13)}; give a later one'),
        (
            Rules(opens=NOW + HOUR, closes=NOW + HOUR),
            f'the close, {at(14)}, is not after the opening, {at(14)}: give a later close or an earlier opening',
        ),
        (
            Rules((FirstAfter(NOW - HOUR),)),
            f"'first after 2026-12-05T12:00:00+01:00' is in the past: it is {at(13)}; give a later one",
        ),
        (
            Rules((Last(), FirstAfter(NOW + HOUR)), opens=NOW + 2 * HOUR),
            f"'first after 2026-12-05T14:00:00+01:00' is before the opening, {at(15)}: give a time within the window",
        ),
        (
            Rules((FirstAfter(NOW + HOUR),), closes=NOW + HOUR),
            f"'first after 2026-12-05T14:00:00+01:00' is not before the close, {at(14)}: give a time within the window",
        ),
        (
            Rules(most_winners=1),
            'most-winners is given, and nobody can win: say who wins, or leave most-winners out',
        ),
        (
            Rules(close_when_won=True),
            'close-when-won is given, and nobody can win: say who wins, or leave close-when-won out',
        ),
        (Rules(cooldown=1), 'cooldown is given, and nobody can win: say who wins, or leave cooldown out'),
        (
            Rules((At(1), First(5)), most_winners=4),
            "'first 5' can never have all its winners, since nobody else wins after 4 winners: give a smaller number, "
            'or more winners',
        ),
        (
            Rules((At(10),), most_calls=9),
            "'at 10' can never be reached with at most 9 calls: give a smaller number, or more calls",
        ),
        (
            Rules((Every(2, 2),), most_calls=1),
            "'every 2' can never be reached with at most 1 call: give a smaller number, or more calls",
        ),
        (
            Rules((At(9), Every(2, 10)), most_calls=9),
            "'every 2 from 10' can never be reached with at most 9 calls: give a smaller number, or more calls",
        ),
        (
            Rules((First(10),), most_calls=9),
            "'first 10' can never be reached with at most 9 calls: give a smaller number, or more calls",
        ),
        (
            Rules((At(9), Every(100, 100)), close_when_won=True),
            "close-when-won needs an end of the winning, and 'every 100' has none: give most-winners",
        ),
        (
            Rules((Last(),), close_when_won=True),
            "close-when-won needs an end of the winning, and 'last' has none: give most-winners",
        ),
        (
            Rules((At(9), First(1), Last()), most_winners=3, close_when_won=True),
            "close-when-won would never close, since 'last' is won after the close, and all else at most 2 times: "
            'lower most-winners, or leave out close-when-won',
        ),
        (
            Rules(window=60.0),
            'a window is given without a limit: say how many calls one caller may have in it',
        ),
        (
            Rules(WIN, winners_of='wxyz'),
            "the winners of 'wxyz' are given without a cooldown: say how long they are barred",
        ),
        (
            Rules(WIN, cooldown=1, winners_of='x' * 81),
            f'the group {"x" * 81!r:.82} is not a name: give at most 80 printable characters',
        ),
        (
            Rules(WIN, cooldown=1, winners_of='a\nb'),
            "the group 'a\\nb' is not a name: give at most 80 printable characters",
        ),
        (Rules(withheld='ask'), "withheld is 'ask': give one of count-no-win, count, refuse"),
        (Rules(withheld=''), "withheld is '': give one of count-no-win, count, refuse"),
    ],
)
def test_rules_that_contradict_themselves_are_refused(rules: Rules, message: str) -> None:
    if rules.zone == 'UTC':
        rules = Rules(**{**vars(rules), 'zone': 'Europe/Berlin'})
    with pytest.raises(RulesRefused) as refusal:
        check(rules, NOW)
    assert str(refusal.value) == message
