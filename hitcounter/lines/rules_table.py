"""The rules of a round as people write them, on a command line or in a TOML file: a table of texts and numbers."""

from collections.abc import Callable, Mapping
from datetime import date, time
from types import MappingProxyType
from typing import Any

from ..durations import parse_duration
from ..errors import RulesRefused
from .identity import check_country
from .instants import check_zone, parse_instant
from .rule_checks import WITHHELD, check
from .rule_language import parse_win
from .rules import Rules
from .settings import DEFAULT, Settings
from .suggestions import meant
from .terms import HIGHEST

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


#: Where each key of a table is given, as messages name the place; a key that is not in it is its own place.
Places = Mapping[str, str]

_NO_PLACES: Places = MappingProxyType({})


def parse_rules(table: Mapping[str, object], line: Settings, now: float, places: Places = _NO_PLACES) -> Rules:
    """The rules in `table`, of a line with these settings, for a round that is opened `now`.

    Raises RulesRefused for anything that is wrong or does not fit together.
    """
    rules = _read_rules(table, line, now, places)
    check(rules, now)
    return rules


def check_values(table: Mapping[str, object], now: float, places: Places = _NO_PLACES) -> None:
    """Raise RulesRefused if a value is wrong whatever the settings of the line are."""
    _read_rules(table, DEFAULT, now, places)


def _read_rules(table: Mapping[str, object], line: Settings, now: float, places: Places) -> Rules:
    for key in table:
        if key not in KEYS:
            raise RulesRefused(f'{places.get(key, repr(key)[:80])} is not a rule of a round: {meant(key, KEYS)}')
    read = _Reader(table, places)
    zone = read('time-zone', lambda value: check_zone(_text(value)).key, line.zone)
    opens = read('from', lambda value: parse_instant(_time(value), zone, day=now), None)
    closes = read('until', lambda value: parse_instant(_time(value), zone, day=now if opens is None else opens), None)
    limit, is_once = read('limit', _count, None), read('once-per', _once_per, False)
    cooldown = read('cooldown', _span, None)
    limit = 1 if is_once and limit is None else limit
    return Rules(
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
        withheld=read('withheld', _withheld, 'count' if limit is None and cooldown is None else 'count-no-win'),
        country=read('country', _country, line.country),
        forget_numbers=read('forget', _forget, False),
        settle=read('settle', _duration, Rules.settle),
        hours='' if opens is not None or closes is not None else line.hours,
    )


class _Reader:
    """Reads the values of a table."""

    def __init__(self, table: Mapping[str, object], places: Places) -> None:
        self._table, self._places = table, places

    # What comes back is of the type that `parse` gives or `default` has: Any, since few rules have one type for both.
    def __call__(self, key: str, parse: Callable[[object], Any], default: Any) -> Any:
        """The value of `key`, parsed; `default` if there is none. Raises RulesRefused, which names the place."""
        if self._table.get(key) is None:
            return default
        try:
            return parse(self._table[key])
        except ValueError as error:
            raise RulesRefused(f'{self._places.get(key, key)}: {error}') from error


def _text(value: object) -> str:
    if isinstance(value, date | time):  # which TOML has without quotation marks
        raise ValueError(f'{value} is not a text: write it in quotation marks')
    if not isinstance(value, str):
        raise ValueError(f'{value!r:.80} is not a text: write one, in quotation marks')
    if not value:
        raise ValueError(f'{value!r} is empty: write a value, or leave it out')
    return value


def _time(value: object) -> str:
    """The text of a time, which TOML may also have without quotation marks."""
    return value.isoformat() if isinstance(value, date | time) else _text(value)


def _count(value: object) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal() and 1 <= int(text[:12]) <= HIGHEST):
        raise ValueError(f'{value!r:.80} is not a count: write a whole number from 1 to {HIGHEST:,}, as in 100')
    return int(text)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f'{value!r:.80} is neither true nor false: write one of them, without quotation marks')
    return value


def _duration(value: object) -> float:
    if not isinstance(value, str):
        raise ValueError(f'{value!r:.80} is not a duration: write it with its unit, in quotation marks, as in "30s"')
    seconds = parse_duration(value)
    if seconds > HIGHEST:
        raise ValueError(f'{value!r} is too long: write at most {HIGHEST:,}s')
    return seconds


def _span(value: object) -> float:
    seconds = _duration(value)
    if not seconds:
        raise ValueError(f'{value!r} is nothing: write a longer time, as in 1d, or leave it out')
    return seconds


def _window(value: object) -> float | None:
    return None if value == 'round' else _span(value)


def _once_per(value: object) -> bool:
    if value != 'caller':
        raise ValueError(f'{value!r:.80} is not known: write caller')
    return True


def _withheld(value: object) -> str:
    if value not in WITHHELD:
        *others, last = WITHHELD
        raise ValueError(f'{value!r:.80} is not known: write {", ".join(others)} or {last}')
    return str(value)


def _forget(value: object) -> bool:
    if value != 'numbers':
        raise ValueError(f'{value!r:.80} is not known: write numbers, so that keyed hashes are stored in their place')
    return True


def _country(value: object) -> str:
    code = _text(value)
    check_country(code)
    return code
