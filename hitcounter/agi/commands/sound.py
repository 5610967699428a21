"""Commands that play and say something, and commands that listen to the caller's keys and voice.

`escape_digits` are the keys that end a command, some of `0123456789*#ABCD`. Keys pressed while no command listens are
lost.
"""

import logging
from typing import Literal

from ...errors import CommandRefused, ProtocolError
from ..exchange import COMMAND_TIMEOUT, Exchange
from ..protocol.arguments import (
    Moment,
    Seconds,
    c_int,
    keys,
    milliseconds,
    samples,
    timestamp,
    whole,
    whole_seconds,
    word,
)
from ..protocol.command import compose
from ..protocol.reply import Reply
from ..protocol.results import ControlledPlayback, Digits, Playback, Recording, RecordingEnd, digit_of, number_of

logger = logging.getLogger(__name__)

#: Seconds within which HANGUP follows the reply to a command that a hangup ended.
_HANGUP_AFTER_REPLY = 0.05

#: Digits that GET DATA has room for, with its closing NUL (`handle_getdata` in res_agi.c).
_MAX_DIGITS = 1023

_SKIP = '3000'
_CONTROLS = (_SKIP, '#', '*', '', '0')  # the defaults of CONTROL STREAM FILE


class SoundCommands(Exchange):
    """What is played, said, recorded and pressed in a call."""

    def stream_file(self, name: str, *, escape_digits: str = '', offset: int = 0) -> Playback:
        """Play the sound file `name`, given without its extension, from sample `offset` on.

        A key among `escape_digits` ends it. If Asterisk does not have the file, no error is raised: `played` is False.
        """
        arguments = (name, keys(escape_digits), samples(offset)) if offset else (name, keys(escape_digits))
        reply = self.command('STREAM FILE', *arguments)
        return Playback(digit_of(reply.result), reply.endpos or 0, self._was_played(name, reply))

    def control_stream_file(
        self,
        name: str,
        *,
        escape_digits: str = '',
        skip: Seconds = 3.0,
        forward: str = '#',
        rewind: str = '*',
        pause: str = '',
        offset: Seconds = 0.0,
    ) -> ControlledPlayback:
        """Play the sound file `name` from `offset` on, and let the caller rewind or forward it by `skip`, and pause it.

        Asterisk replaces an empty `forward` or `rewind` key by `#` and `*`.
        """
        controls = [str(milliseconds(skip)), keys(forward), keys(rewind), keys(pause), str(milliseconds(offset))]
        while controls and controls[-1] == _CONTROLS[len(controls) - 1]:
            controls.pop()
        reply = self.command('CONTROL STREAM FILE', name, keys(escape_digits), *controls)
        position = None if reply.endpos is None or reply.endpos < 0 else reply.endpos / 1000
        return ControlledPlayback(digit_of(reply.result), position, self._was_played(name, reply))

    # Keys.

    def wait_for_digit(self, timeout: Seconds | None = None) -> str | None:
        """The next key that the caller presses; None if none comes in time. Without a `timeout` it waits for ever."""
        if timeout is None:
            return digit_of(self.command('WAIT FOR DIGIT', '-1').result)
        wait = milliseconds(timeout)
        return digit_of(self.command('WAIT FOR DIGIT', str(wait), timeout=wait / 1000 + COMMAND_TIMEOUT).result)

    def get_option(self, name: str, escape_digits: str, *, timeout: Seconds | None = None) -> Playback:
        """Play the sound file `name`, then wait for a key among `escape_digits`, which also ends the playing.

        Only the first key counts: a wrong one ends the wait without a digit. Without a `timeout` Asterisk waits as
        the channel is set up, usually 5 seconds.
        """
        waits = () if timeout is None else (str(milliseconds(timeout)),)
        reply = self.command('GET OPTION', name, keys(escape_digits), *waits)
        return Playback(digit_of(reply.result), reply.endpos or 0, self._was_played(name, reply))

    def get_data(self, name: str, *, timeout: Seconds | None = None, max_digits: int | None = None) -> Digits:
        """Play the sound file `name`, and collect digits until there are `max_digits`, or a `#`, or a time-out.

        `timeout` is the time for each digit; without one, Asterisk waits as the channel is set up. `name` may be
        empty. `played` is False if Asterisk cannot play it, and also if the caller hangs up meanwhile, which the
        next command reports.
        """
        if max_digits is not None and not 1 <= whole(max_digits) <= _MAX_DIGITS:
            raise CommandRefused(f'max_digits is {max_digits}: give 1 to {_MAX_DIGITS}')
        wait = 0 if timeout is None else max(milliseconds(timeout), 1)
        words = [name]
        if timeout is not None or max_digits is not None:
            words.append(str(wait))
        if max_digits is not None:
            words.append(str(max_digits))
        known = wait and max_digits and not name
        limit = wait / 1000 * (max_digits or 0) + COMMAND_TIMEOUT if known else None
        reply = self.command('GET DATA', *words, timeout=limit)
        if not self._was_played(name, reply):
            return Digits('', timed_out=False, played=False)
        return Digits(reply.result, timed_out=reply.data == 'timeout', played=True)

    def _was_played(self, name: str, reply: Reply) -> bool:
        """Whether the sound file `name` was played; logs if not. A hangup has the same reply, but HANGUP follows it."""
        if reply.result != '-1':
            return True
        if name and not (reply.endpos or 0) > 0 and not self.wait_for_hangup(_HANGUP_AFTER_REPLY):
            logger.warning(
                '%s: Asterisk could not play %r: is the sound file on its machine, and may it read it?',
                self.environment.unique_id,
                '(not shown)' if self.caller_withheld else name,  # the script may have chosen it for this caller
            )
        return False

    # The caller's voice.

    def record_file(
        self,
        name: str,
        sound_format: str,
        *,
        escape_digits: str = '',
        timeout: Seconds | None = None,
        offset: int = 0,
        beep: bool = False,
        silence: Seconds | None = None,
    ) -> Recording:
        """Record the caller into the file `name`, given without its extension, as `sound_format`: `wav`, `gsm`.

        A key among `escape_digits` ends it, or `timeout`, or that much `silence`, in whole seconds. With an `offset`
        it continues at that sample of the file. The result says how it ended. Most recordings end by a hangup, so
        this does not raise Hangup: the next command that needs the caller does.
        """
        limit = None if timeout is None else milliseconds(timeout)
        words = [name, sound_format, keys(escape_digits), '-1' if limit is None else str(limit)]
        if offset or beep or silence is not None:
            words.append(samples(offset))
        if beep:
            words.append('beep')
        if silence is not None:
            words.append(f's={whole_seconds(silence)}')
        patience = None if limit is None else limit / 1000 + COMMAND_TIMEOUT
        reply = self._exchange('RECORD FILE', tuple(words), patience)
        if reply.data != 'hangup':
            self._checked('RECORD FILE', reply)
        return _recording(reply.result, reply.data, reply.endpos or 0, limited=limit is not None)

    # Saying. Each returns the escape digit that ended it, or None.

    def say_number(self, number: int, *, escape_digits: str = '', gender: str | None = None) -> str | None:
        """Say `number` in the channel's language; returns the escape digit that ended it, or None."""
        said = c_int(number)
        arguments = (said, keys(escape_digits)) if gender is None else (said, keys(escape_digits), gender)
        return digit_of(self.command('SAY NUMBER', *arguments).result)

    def say_digits(self, digits: str | int, *, escape_digits: str = '') -> str | None:
        """Say `digits` one by one; `*`, `#` and `-` among them are said, other characters are not.

        Asterisk takes them only if they begin with a digit, and answers 520 otherwise: CommandFailed.
        """
        return digit_of(self.command('SAY DIGITS', word(digits), keys(escape_digits)).result)

    def say_alpha(
        self, text: str, *, escape_digits: str = '', case: Literal['all', 'lower', 'upper'] | None = None
    ) -> str | None:
        """Spell `text`; for the letters of `case`, Asterisk also says whether they are upper or lower case."""
        if case not in (None, 'all', 'lower', 'upper'):
            raise CommandRefused(f"{case!r} is not a case that Asterisk can say: give 'all', 'lower' or 'upper'")
        cases = () if case is None else (case[0].upper(),)
        return digit_of(self.command('SAY ALPHA', text, keys(escape_digits), *cases).result)

    def say_phonetic(self, text: str, *, escape_digits: str = '') -> str | None:
        """Spell `text` by a spelling alphabet: Alpha, Bravo."""
        return digit_of(self.command('SAY PHONETIC', text, keys(escape_digits)).result)

    def say_date(self, moment: Moment, *, escape_digits: str = '') -> str | None:
        """Say the day, by Asterisk's own time zone. After January 2038 only `say_datetime` can."""
        return digit_of(self.command('SAY DATE', c_int(timestamp(moment)), keys(escape_digits)).result)

    def say_time(self, moment: Moment, *, escape_digits: str = '') -> str | None:
        """Say the time of day, by Asterisk's own time zone. After January 2038 only `say_datetime` can."""
        return digit_of(self.command('SAY TIME', c_int(timestamp(moment)), keys(escape_digits)).result)

    def say_datetime(
        self, moment: Moment, *, escape_digits: str = '', pattern: str | None = None, timezone: str | None = None
    ) -> str | None:
        """Say the day and the time, by Asterisk's time zone or one like `America/New_York`.

        `pattern` is as in Asterisk's voicemail.conf: the English default is `ABdY 'digits/at' IMp`.
        """
        if pattern is None and timezone is not None:
            raise CommandRefused('Asterisk takes a time zone only after a pattern: give both')
        options = tuple(option for option in (pattern, timezone) if option is not None)
        return digit_of(self.command('SAY DATETIME', str(timestamp(moment)), keys(escape_digits), *options).result)


def check_sound_file(name: str) -> None:
    """Raise CommandRefused if `name` cannot be the name of a sound file that `stream_file` plays."""
    compose('STREAM FILE', name, '')


def _recording(result: str, word: str | None, endpos: int, *, limited: bool) -> Recording:
    try:
        end = RecordingEnd(word)
    except ValueError:
        raise ProtocolError(f'{word!r} ends no recording') from None
    if end is RecordingEnd.TIMEOUT:
        return Recording(end, None, endpos, number_of(result) / 1000 if limited else 0.0)
    return Recording(end, digit_of(result), endpos, 0.0)
