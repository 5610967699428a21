"""The applications for EXEC: those of the channel, and a few of Asterisk's own."""

import re
from collections.abc import Callable
from typing import Final

from ..events import HungUp, Missing, Played, Pressed, Ran, SaidDigits, SaidNumber
from ..leg import KEYPAD, RATE, CallLeg
from ..lines import separate_args
from ..surroundings import Application
from .command import Outcome, as_c_int, code_of, minus_one, scan, silence
from .saying import say

#: Variables that MSet sets at once; the last one takes the rest (`pbx_builtin_setvar_multiple` in pbx_variables.c).
_MOST_PAIRS: Final = 99


def run_application(leg: CallLeg, name: str, options: str) -> Outcome:
    """Run an application by its name, in any case; the result is -2 if there is none."""
    given = {key.lower(): application for key, application in leg.channel.applications.items()}
    application = given.get(f'{name}({options})'.lower(), given.get(name.lower()))
    if application is not None:
        return _of_the_channel(leg, name, options, application)
    own = APPLICATIONS.get(name.lower())
    return Outcome('-2') if own is None else own(leg, options)


def _of_the_channel(leg: CallLeg, name: str, options: str, application: Application) -> Outcome:
    for variable, value in application.variables.items():
        leg.set(variable, value)
    return Outcome(str(application.result), events=(Ran(name, options),), seconds=application.seconds, broken=minus_one)


def _app_answer(leg: CallLeg, options: str) -> Outcome:
    return Outcome(events=leg.pick_up(), broken=minus_one)


def _app_background(leg: CallLeg, options: str) -> Outcome:
    return _play_all(leg, options, KEYPAD)


def _app_fail(leg: CallLeg, options: str) -> Outcome:
    return Outcome('-1')


def _app_hang_up(leg: CallLeg, options: str) -> Outcome:
    return Outcome('-1', events=(HungUp(),), hangs_up=True)


def _app_mset(leg: CallLeg, options: str) -> Outcome:
    for pair in separate_args(options, ',', _MOST_PAIRS):
        name, *values = separate_args(pair, '=', 2) or ['']
        if values:
            leg.set(name, *values)
    return Outcome()


def _app_nothing(leg: CallLeg, options: str) -> Outcome:
    return Outcome()


def _app_playback(leg: CallLeg, options: str) -> Outcome:
    return _play_all(leg, options, '')


def _app_say_digits(leg: CallLeg, options: str) -> Outcome:
    return say(leg, SaidDigits(options), options, '')


def _app_say_number(leg: CallLeg, options: str) -> Outcome:
    number = scan(options)
    return Outcome() if number is None else say(leg, SaidNumber(as_c_int(number)), options, '')


def _app_set(leg: CallLeg, options: str) -> Outcome:
    name, _, value = options.partition('=')
    leg.set(name, value)
    return Outcome()


def _app_wait(leg: CallLeg, options: str) -> Outcome:
    seconds = float(options) if re.fullmatch(r'\d{1,9}(\.\d*)?|\.\d+', options) else 0.0
    return Outcome(events=silence(seconds), seconds=seconds, broken=minus_one)


APPLICATIONS: Final[dict[str, Callable[[CallLeg, str], Outcome]]] = {
    'answer': _app_answer,
    'background': _app_background,
    'goto': _app_nothing,
    'hangup': _app_hang_up,
    'log': _app_nothing,
    'mset': _app_mset,
    'noop': _app_nothing,
    'playback': _app_playback,
    'progress': _app_nothing,
    'return': _app_fail,
    'ringing': _app_nothing,
    'saydigits': _app_say_digits,
    'saynumber': _app_say_number,
    'set': _app_set,
    'verbose': _app_nothing,
    'wait': _app_wait,
}
"""Asterisk's own applications, by name in lower case; Asterisk has many more."""


def _play_all(leg: CallLeg, options: str, listened: str) -> Outcome:
    """Play `one&two,options`, as Playback and Background do: they answer first."""
    names = options.partition(',')[0].split('&')
    prompts = tuple(Played(name) if leg.has_prompt(name) else Missing(name) for name in names)
    played = [prompt.name for prompt in prompts if isinstance(prompt, Played)]
    leg.set('PLAYBACKSTATUS', 'SUCCESS' if played else 'FAILED')
    digit, seconds = leg.press(listened, sum(map(leg.samples, played)) / RATE)
    events = leg.pick_up() + prompts + ((Pressed(digit),) if digit else ())
    return Outcome(code_of(digit), events, seconds, broken=minus_one)
