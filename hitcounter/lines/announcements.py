"""What each caller hears: sets of announcements, by name, each a list of sound files and of values that are said.

Pure: nothing here reads a clock or a database, or speaks; `speaking` plays a set.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from ..agi import check_sound_file
from ..errors import CommandRefused, RulesRefused
from .outcome import Outcome, Result
from .suggestions import meant


class Say(NamedTuple):
    """A value that is said: `{number = "round"}`, `{digits = "line"}`, `{time = "opens"}`."""

    #: One of WAYS.
    way: str
    #: One of WAYS[way].
    value: str


class Group(NamedTuple):
    """Items in brackets of their own. If a value among them is not known, the caller hears none of them."""

    items: tuple[str | Say, ...]


#: A sound file, by its name without extension, a value that is said, or a group of these.
Item = str | Say | Group

_NUMBERS = (
    'round',  # the caller's number of the round; without a round, that of the line
    'line',  # the caller's number of the line
    'to-go',  # calls from here to the next milestone
    'calls',  # calls of this caller in the round, with this one
)

#: How values are said, and which.
WAYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {'number': _NUMBERS, 'digits': _NUMBERS, 'time': ('opens', 'closes')}
)

#: What is heard unless a line has its own, made of Asterisk's core sounds. Those of Debian in French, Italian, Russian
#: and Spanish have these files too, except for a few apologies. The words are in core-sounds-en.txt.
DEFAULTS: Mapping[str, tuple[Item, ...]] = MappingProxyType(
    {
        'counted': ('auth-thankyou', 'queue-thereare', Say('number', 'round')),  # "You are currently caller number"
        'won': ('ascending-2tone', 'auth-thankyou', 'queue-thereare', Say('number', 'round')),
        'too-late': ('vm-nobodyavail', 'vm-goodbye'),  # "Nobody is available to take your call at the moment"
        'repeat': ('auth-thankyou', 'vm-goodbye'),
        'closed': ('im-sorry', 'please-try-call-later', Say('time', 'opens')),
        'full': ('vm-nobodyavail', 'vm-goodbye'),
        'barred': ('auth-thankyou', 'vm-goodbye'),
        'withheld': ('privacy-unident', 'vm-goodbye'),  # "... does not accept unidentified calls"
        'failed': ('im-sorry', 'please-try-call-later'),
    }
)

#: The names of the sets.
SETS = tuple(DEFAULTS)

_SET_OF = {
    Result.COUNTED: 'counted',
    Result.WON: 'won',
    Result.REPEAT: 'repeat',
    Result.CLOSED: 'closed',
    Result.FULL: 'full',
    Result.BARRED: 'barred',
    Result.WITHHELD: 'withheld',
    Result.ERROR: 'failed',
}

_EXTENSION = re.compile(
    r'\.(alaw|al|alw|au|g719|g722|g723|g723sf|g726-\d\d|g729|gsm|h26[34]|ilbc|mp3|mu|ogg|opus|pcm|siren7|siren14|sln\d*'
    r'|spx|ul|ulaw|ulw|vox|wav|wav16|wav49)',
    re.IGNORECASE,
)
_LANGUAGE = re.compile('[A-Za-z0-9_-]{1,39}').fullmatch  # MAX_LANGUAGE in channel.h is 40, with its closing NUL


def set_of(outcome: Outcome) -> str:
    """The name of the set that the caller of `outcome` hears."""
    return 'too-late' if outcome.result is Result.CLOSED and outcome.is_late else _SET_OF[outcome.result]


def items_for(
    name: str, in_round: bool, sets: Mapping[str, tuple[Item, ...]], prompts: Iterable[str]
) -> tuple[Item, ...]:
    """The items of the set `name`: of the line's own `sets`, or else the default.

    A call that is counted without a round hears the `prompts`, and the number of the line.
    """
    if name in sets:
        return sets[name]
    if name == 'counted' and not in_round:
        return (*prompts, Say('number', 'line'))
    return DEFAULTS[name]


def files_of(items: Iterable[Item]) -> Iterator[str]:
    """The sound files among `items`, in order; a file may be there twice."""
    for item in items:
        if isinstance(item, Group):
            yield from files_of(item.items)
        elif isinstance(item, str):
            yield item


def ways_of(items: Iterable[Item]) -> set[str]:
    """How values are said in `items`: some of WAYS."""
    said = set()
    for item in items:
        if isinstance(item, Group):
            said |= ways_of(item.items)
        elif isinstance(item, Say):
            said.add(item.way)
    return said


# To and from TOML and JSON.


def parse_sets(table: Mapping[str, object], where: str) -> dict[str, tuple[Item, ...]]:
    """The sets that `table` has; `where` is its place in the input, as `line.contest.say`.

    Raises RulesRefused for a set or an item that is not known, and for a name that no sound file can have.
    """
    if not isinstance(table, Mapping):
        raise RulesRefused(f'{where}: {table!r} is not a table: write counted = ["hello"] and the like below [{where}]')
    return {parse_set_name(name, where): _parse_set(items, f'{where}.{name}') for name, items in table.items()}


def parse_set_name(name: object, where: str) -> str:
    """`name`, if it is that of a set. Raises RulesRefused otherwise."""
    if name in SETS:
        return str(name)
    raise RulesRefused(f'{where}: {name!r} is not a set of announcements: {meant(name, SETS)}')


def parse_language(language: object, where: str) -> str:
    """`language`, if it can be that of a channel: `de`, `en_GB`; '' leaves the channel's. Raises RulesRefused."""
    if isinstance(language, str) and (not language or _LANGUAGE(language)):
        return language
    raise RulesRefused(
        f'{where}: {language!r} is not a language of Asterisk: give the name of a folder of its sounds, as "en" or '
        f'"es_MX"'
    )


def plain(sets: Mapping[str, Sequence[Item]]) -> dict[str, list[object]]:
    """`sets` as `parse_sets` takes them, made of lists, tables and texts."""
    return {name: [_plain(item) for item in items] for name, items in sets.items()}


def _plain(item: Item) -> object:
    match item:
        case Group(items):
            return [_plain(each) for each in items]
        case Say(way, value):
            return {way: value}
    return item


def _parse_set(items: object, where: str) -> tuple[Item, ...]:
    if not isinstance(items, list | tuple):
        raise RulesRefused(f'{where}: {items!r} is not a list of items: write it in brackets, as ["hello"]')
    return tuple(_parse_item(item, f'{where}, item {position}') for position, item in enumerate(items, 1))


def _parse_item(item: object, where: str) -> Item:
    if not isinstance(item, list):
        return _parse_one(item, where)
    if not item:
        raise RulesRefused(f'{where}: the group [] is empty: remove it')
    return Group(tuple(_parse_one(each, f'{where}.{position}') for position, each in enumerate(item, 1)))


def _parse_one(item: object, where: str) -> str | Say:
    if isinstance(item, str):
        return _parse_file(item, where)
    if isinstance(item, Mapping):
        return _parse_say(item, where)
    kind = 'a group within a group' if isinstance(item, list) else 'not an item of an announcement'
    raise RulesRefused(
        f'{where}: {item!r} is {kind}: write the name of a sound file, or what is said, as {{number = "round"}}'
    )


def _parse_say(item: Mapping[object, object], where: str) -> Say:
    if len(item) != 1:
        raise RulesRefused(f'{where}: {dict(item)!r} has {len(item)} keys: write one, as {{number = "round"}}')
    ((way, value),) = item.items()
    if not isinstance(way, str) or way not in WAYS:
        raise RulesRefused(f'{where}: {way!r} is not a way to say a value: {meant(way, tuple(WAYS))}')
    if not isinstance(value, str) or value not in WAYS[way]:
        raise RulesRefused(f'{where}: {value!r} is not a value that is said as a {way}: {meant(value, WAYS[way])}')
    return Say(way, value)


def _parse_file(name: str, where: str) -> str:
    folder, _, last = name.rpartition('.')
    if folder and '://' not in name and _EXTENSION.fullmatch(f'.{last}'):
        raise RulesRefused(
            f'{where}: the sound file {name!r} has an extension, with which Asterisk does not find it: write {folder!r}'
        )
    if '&' in name:
        raise RulesRefused(f'{where}: {name!r} has an &: write each sound file as an item of its own')
    if not name.strip() or name.strip() != name:
        raise RulesRefused(f'{where}: {name!r} is not the name of a sound file: write it without blanks around it')
    try:
        check_sound_file(name)
    except CommandRefused as error:
        raise RulesRefused(f'{where}: {name[:80]!r} is not the name of a sound file: {error}') from error
    return name
