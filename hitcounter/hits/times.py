"""Times as text, ISO 8601 in UTC, which reads back as the same number; and the hours that calls are counted in."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from math import floor

_EXACT = Context(prec=500)
_HOUR = 3600
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(str):
    """A time as `format_time` writes it; a CSV export does not quote it."""

    __slots__ = ()


def format_time(seconds: float) -> Moment:
    """The time in ISO 8601, UTC, with at least six decimals, and as many as it takes to read back the same number."""
    exact = Decimal(repr(seconds))
    whole = floor(exact)
    digits = f'{_EXACT.subtract(exact, whole):f}'.partition('.')[2]
    return Moment(f'{_BEGIN + timedelta(seconds=whole):%Y-%m-%dT%H:%M:%S}.{digits:0<6}Z')


def parse_time(text: str) -> float:
    """The seconds since 1970, UTC, from which `format_time` makes `text`. Raises ValueError for any other text."""
    found = re.fullmatch(r'(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,400})?Z', text, re.ASCII)
    if not found:
        raise ValueError(f'{text!r} is not a time such as 2026-01-31T12:00:00.000000Z')
    whole = (datetime.fromisoformat(found[1] + '+00:00') - _BEGIN) // timedelta(seconds=1)
    return float(_EXACT.add(whole, Decimal(found[2] or 0)))


def hour_of(seconds: float) -> int:
    """The second since 1970, UTC, at which the hour of that time began."""
    return int(seconds) // _HOUR * _HOUR
