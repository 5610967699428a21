"""The settings of a declared line: its hours, its time zone, and what its callers hear. Pure, and stored as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from ..errors import RulesRefused
from .announcements import Item, parse_language, parse_set_name, parse_sets, plain
from .hours import check_hours
from .identity import check_country
from .instants import check_zone
from .suggestions import meant


@dataclass(frozen=True)
class Settings:
    """How one line is served; each has a default, with which the line is served as one that nobody declared."""

    #: Opening hours, as in OpenStreetMap: `Mo-Fr 08:00-18:00; PH off`. '' is always.
    hours: str = ''
    zone: str = 'UTC'
    #: The country of public holidays and of national numbers, as `DE`; '' is none.
    country: str = ''
    #: The language of the sound files, as Asterisk names it; '' is the channel's.
    language: str = ''
    #: The sets of announcements that are played without answering.
    before_answer: tuple[str, ...] = ()
    #: What callers hear, by set; sets that are missing have defaults.
    say: Mapping[str, tuple[Item, ...]] = field(default_factory=lambda: MappingProxyType({}))


#: The names of the settings in a TOML file, and in the stored text.
NAMES = {'hours': 'hours', 'zone': 'time-zone', 'country': 'country', 'language': 'language'}

_KEYS = (*NAMES.values(), 'before-answer', 'say')


def parse_settings(table: Mapping[str, object], where: str) -> Settings:
    """The settings in a TOML table. Raises RulesRefused, which says `where`, for anything wrong."""
    for key in table:
        if key not in _KEYS:
            raise RulesRefused(f'{where} has {key!r}, which is not a setting of a line: {meant(key, _KEYS)}')
    texts = {name: _text(table, key, where) for name, key in NAMES.items() if key in table}
    settings = Settings(
        **texts,
        before_answer=_before_answer(table.get('before-answer', False), where),
        say=MappingProxyType(parse_sets(table.get('say', {}), f'{where}.say')),  # type: ignore[arg-type]  # it checks
    )
    return checked(settings, where)


def checked(settings: Settings, where: str) -> Settings:
    """`settings`. Raises RulesRefused if they do not fit together."""
    try:
        check_zone(settings.zone)
        check_country(settings.country)
        if settings.hours:
            check_hours(settings.hours, settings.zone, settings.country)
    except RulesRefused as error:
        raise RulesRefused(f'{where}: {error}') from error
    parse_language(settings.language, f'{where}, language')
    return settings


def _text(table: Mapping[str, object], key: str, where: str) -> str:
    value = table[key]
    if not isinstance(value, str):
        raise RulesRefused(f'{where} has {key} = {value!r:.80}: write a text, in quotation marks')
    return value


def _before_answer(value: object, where: str) -> tuple[str, ...]:
    """The sets that `before-answer` names; true is those of callers who are not counted."""
    if isinstance(value, bool):
        return ('closed', 'too-late', 'full', 'repeat', 'barred', 'withheld') if value else ()
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        raise RulesRefused(f'{where} has before-answer = {value!r:.80}: write true, false or a list of sets')
    return tuple(parse_set_name(name, f'{where}, before-answer') for name in names)


def canonical(settings: Settings) -> str:
    """The settings as the text that is stored."""
    table = {key: getattr(settings, name) for name, key in NAMES.items() if getattr(settings, name)}
    if settings.before_answer:
        table['before-answer'] = list(settings.before_answer)
    if settings.say:
        table['say'] = plain(settings.say)
    return json.dumps(table, sort_keys=True)


@lru_cache(1024)
def from_canonical(text: str) -> Settings:
    """The settings that `canonical` made `text` of."""
    return parse_settings(json.loads(text), 'the stored line')


DEFAULT = Settings()
