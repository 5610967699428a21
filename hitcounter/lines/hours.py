"""Opening hours of a line, as in OpenStreetMap. Pure: the instant is given."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from ..errors import RulesRefused
from .instants import check_zone


def check_hours(text: str, zone: str, country: str) -> None:
    """Raise RulesRefused unless these are opening hours."""
    _parsed(text, zone, country)


def is_open(text: str, zone: str, country: str, instant: float) -> bool:
    """Whether it is open at that instant, in seconds since 1970, UTC."""
    return bool(_parsed(text, zone, country).is_open(datetime.fromtimestamp(instant, UTC).astimezone(check_zone(zone))))


def next_opening(text: str, zone: str, country: str, instant: float) -> float | None:
    """When it opens next, for telling callers; None if that is not known."""
    return None


@lru_cache(256)
def _parsed(text: str, zone: str, country: str) -> Any:  # the library has no base class to name here
    from opening_hours import OpeningHours  # here, since it is large

    try:
        return OpeningHours(text, timezone=check_zone(zone), country=country or None)
    except Exception as error:
        raise RulesRefused(f'{text!r:.80} are not opening hours ({error}): see OpenStreetMap') from error
