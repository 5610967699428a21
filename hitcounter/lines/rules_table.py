"""The rules of a round as people write them, on a command line or in a TOML file: a table of texts and numbers."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from ..durations import parse_duration
from ..errors import RulesRefused
from .identity import check_country
from .instants import check_zone, parse_instant
from .rule_checks import check
from .rule_language import parse_win
from .rules import Rules
from .settings import Settings

#: The keys of a table; each is also an option of `hitcounter round open`.
KEYS = (
    'win',
    'from',
    'until',
    'most-winners',
    'close-when-won',
    'most-calls',
    'count-all',
    'once-per',
    'limit',
    'window',
    'cooldown',
    'winners-of',
    'withheld',
    'forget',
    'settle',
    'time-zone',
    'country',
)


def parse_rules(table: Mapping[str, Any], line: Settings, now: float) -> Rules:
    """The rules in `table`, of a line with these settings, for a round that is opened `now`.

    Raises RulesRefused for anything that is wrong or does not fit together.
    """
    for key in table:
        if key not in KEYS:
            near = get_close_matches(key, KEYS, 1)
            meant = f'did you mean {near[0]!r}?' if near else f'it is one of {", ".join(KEYS)}'
            raise RulesRefused(f'{key!r:.80} is not a rule of a round: {meant}')
    read = _Reader(table)
    zone = read('time-zone', _text, line.zone)
    country = read('country', _text, line.country)
    check_zone(zone)
    if country:
        check_country(country)
    opens = read('from', lambda value: parse_instant(_text(value), zone, day=now), None)
    closes = read('until', lambda value: parse_instant(_text(value), zone, day=now if opens is None else opens), None)
    limit, is_once = read('limit', _count, None), read('once-per', _once_per, False)
    cooldown = read('cooldown', _duration, None)
    limit = 1 if is_once and limit is None else limit
    rules = Rules(
        win=read('win', lambda value: parse_win(_text(value), zone=zone, day=now if opens is None else opens), ()),
        opens=opens,
        closes=closes,
        zone=zone,
        most_winners=read('most-winners', _count, None),
        close_when_won=read('close-when-won', _flag, False),
        most_calls=read('most-calls', _count, None),
        count_all=read('count-all', _flag, False),
        limit=limit,
        window=read('window', _window, None),
        cooldown=cooldown,
        winners_of=read('winners-of', _text, ''),
        withheld=read('withheld', _text, 'count' if limit is None and cooldown is None else 'count-no-win'),
        country=country,
        forget_numbers=read('forget', _forget, False),
        settle=read('settle', _duration, Rules.settle),
        hours='' if opens is not None or closes is not None else line.hours,
    )
    check(rules, now)
    return rules


class _Reader:
    """Reads the values of a table."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._table = table

    def __call__(self, key: str, parse: Callable[[Any], Any], default: Any) -> Any:
        """The value of `key`, parsed; `default` if there is none. Raises RulesRefused, which names the key."""
        if self._table.get(key) is None:
            return default
        try:
            return parse(self._table[key])
        except ValueError as error:
            raise RulesRefused(f'{key}: {error}') from error


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f'{value!r:.80} is not a text: write one, in quotation marks')
    return value


def _count(value: Any) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal() and 1 <= int(text[:12]) <= 10**9):
        raise ValueError(f'{value!r:.80} is not a count: write a whole number from 1 to 1000000000')
    return int(text)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f'{value!r:.80} is neither true nor false: write one of them, without quotation marks')
    return value


def _duration(value: Any) -> float:
    return parse_duration(_text(value))


def _window(value: Any) -> float | None:
    seconds = None if value == 'round' else _duration(value)
    if seconds == 0:
        raise ValueError(f'{value!r} is not a window: write one such as 1d, or round')
    return seconds


def _once_per(value: Any) -> bool:
    if value != 'caller':
        raise ValueError(f'{value!r:.80} is unknown: write "caller"')
    return True


def _forget(value: Any) -> bool:
    if value != 'numbers':
        raise ValueError(f'{value!r:.80} is unknown: write "numbers", so that keyed hashes are stored in their place')
    return True
