"""The script that checks which sound files of a line the Asterisk has that calls it, without playing them."""

import logging
import time
from collections.abc import Iterable, Iterator
from posixpath import split

from ..agi import Call, script
from ..hits import PROMPTS
from ..state import State
from .announcements import SETS, Item, files_of, items_for, ways_of
from .component import Lines
from .settings import Settings
from .speaking import set_language

logger = logging.getLogger(__name__)

#: Where to begin in a sound file so that nothing of it is played: Asterisk opens it, and answers at once.
_PAST_THE_END = 2**31 - 1

#: What Asterisk falls back to.
_ENGLISH = 'en'

#: Files that Asterisk needs in order to say a value; without them a language has no voice for it.
_OF_WAYS = {'number': 'digits/1', 'digits': 'digits/1', 'time': 'digits/day-0'}

#: Bytes of HITCOUNTER_MISSING, within what a variable passes everywhere; the log has all names.
_LONGEST = 900


@script('sounds/{line}')
def check_sounds(call: Call, state: State, prompts: Iterable[str] = PROMPTS) -> None:
    """Check each sound file that callers of the line may hear, and say how many are missing.

    Sets HITCOUNTER_CHECKED, how many were checked, and HITCOUNTER_MISSING, the names of the missing ones with & between
    them. A name that begins with the language is a file that Asterisk has in English only.
    """
    line, lines = call.parameters['line'], state[Lines]
    settings = lines.view(line).settings
    call.answer()
    set_language(call, settings.language)
    names = sounds_of(settings, prompts)
    missing = tuple(missing_of(call, names, settings.language or call.environment.language))
    for name in missing:
        logger.warning('%s: line %r needs the sound file %r, which Asterisk does not have', _id(call), line, name)
    lines.sounds_checked(line, time.time(), missing)
    call.result = f'{len(missing)} of {len(names)} missing'
    call.set_variables({'HITCOUNTER_CHECKED': len(names), 'HITCOUNTER_MISSING': _joined(missing)})
    call.say_number(len(missing))


def _id(call: Call) -> str:
    return call.environment.unique_id


def sounds_of(settings: Settings, prompts: Iterable[str]) -> list[str]:
    """The sound files that callers of a line with these `settings` may hear, each once."""
    prompts = tuple(prompts)
    items = [item for name in SETS for item in _ever(name, settings, prompts)]
    return list(dict.fromkeys([*files_of(items), *(_OF_WAYS[way] for way in sorted(ways_of(items)))]))


def _ever(name: str, settings: Settings, prompts: tuple[str, ...]) -> Iterator[Item]:
    """The items of the set `name`, outside of rounds and in them."""
    for in_round in (False, True):
        yield from items_for(name, in_round, settings.say, prompts)


def missing_of(call: Call, names: Iterable[str], language: str) -> Iterator[str]:
    """Those of the sound files `names` that Asterisk does not have, or only in English where another is spoken."""
    for name in names:
        if not _has(call, name):
            yield name
        elif not _speaks(language, _ENGLISH) and _is_in_english_only(call, name, language):
            yield _in(language, name)


def _has(call: Call, name: str) -> bool:
    """Whether Asterisk can play the sound file `name` in the channel's language, or in the one it falls back to."""
    playback = call.stream_file(name, offset=_PAST_THE_END)
    if not playback.played:
        call.channel_status()  # a hangup has the same reply, and is raised here
    return playback.played and playback.endpos > 0  # an empty file plays well, and nobody hears it


def _is_in_english_only(call: Call, name: str, language: str) -> bool:
    """Whether the caller hears English: there is a file in it, and none in the language."""
    own = (_in(spoken, name) for spoken in (language, language.partition('_')[0]))
    return not any(_has(call, each) for each in own) and _has(call, _in(_ENGLISH, name))


def _speaks(language: str, other: str) -> bool:
    return language.partition('_')[0] == other


def _in(language: str, name: str) -> str:
    """The name that finds the sound file `name` in `language` alone, as `build_filename` in file.c makes it."""
    if not name.startswith('/'):
        return f'{language}/{name}'
    folder, last = split(name)
    return f'{folder}/{language}/{last}'


def _joined(names: Iterable[str]) -> str:
    """The `names` with & between them, as many as fit."""
    joined = ''
    for name in names:
        longer = f'{joined}&{name}' if joined else name
        if len(longer.encode('utf-8', 'surrogateescape')) > _LONGEST:
            break
        joined = longer
    return joined
