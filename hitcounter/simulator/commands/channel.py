"""Commands for the channel itself, its texts, and where the dialplan continues; and those that do nothing here."""

import re
from math import inf

from ..channel import encode
from ..events import HungUp
from ..leg import CallLeg
from .command import Outcome, command, from_milliseconds, minus_one


@command('ANSWER', '...')
def answer(leg: CallLeg, arguments: list[str]) -> Outcome:
    return Outcome(events=leg.pick_up(), broken=minus_one)


@command('HANGUP', '[<channelname>]')
def hang_up(leg: CallLeg, arguments: list[str]) -> Outcome:
    if leg.is_called(arguments):
        return Outcome('1', events=(HungUp(),), hangs_up=True)
    other = leg.others.pop(arguments[0], None)
    if other is None:
        return Outcome('-1')
    return Outcome('1', events=(HungUp(),), hangs_up=True) if other.linked else Outcome('1')


@command('CHANNEL STATUS', '[<channelname>]')
def channel_status(leg: CallLeg, arguments: list[str]) -> Outcome:
    state = leg.state(arguments)
    return Outcome('-1' if state is None else str(state.value))


@command('SET CALLERID', '...')
def set_caller_id(leg: CallLeg, arguments: list[str]) -> Outcome:
    if arguments:
        leg.set_caller(arguments[0])
    return Outcome('1')


@command('SET CONTEXT', '<context>')
def set_context(leg: CallLeg, arguments: list[str]) -> Outcome:
    leg.context = arguments[0]
    return Outcome()


@command('SET EXTENSION', '<extension>')
def set_extension(leg: CallLeg, arguments: list[str]) -> Outcome:
    leg.extension = arguments[0]
    return Outcome()


@command('SET PRIORITY', '<priority>')
def set_priority(leg: CallLeg, arguments: list[str]) -> Outcome | None:
    if not leg.has(arguments[0]):
        return None
    leg.priority = arguments[0]
    return Outcome()


@command('SET AUTOHANGUP', '<seconds>')
def set_auto_hangup(leg: CallLeg, arguments: list[str]) -> Outcome | None:
    found = re.match(r'\s*(-?\d{1,9}(\.\d*)?)', arguments[0])
    if found is None:
        return None
    seconds = float(found[1])
    leg.seconds_left = seconds if seconds > 0 else inf
    return Outcome()


@command('SET MUSIC', '<on|off> ...')
@command('TDD MODE', '<on|off>')
@command('SEND TEXT', '<text>')
@command('SEND IMAGE', '<image>')
@command('NOOP', '...')
@command('ASYNCAGI BREAK', '...')
def nothing(leg: CallLeg, arguments: list[str]) -> Outcome:
    """Asterisk answers these with 0; the simulator does nothing."""
    return Outcome()


@command('VERBOSE', '<message> ...')
def verbose(leg: CallLeg, arguments: list[str]) -> Outcome:
    return Outcome('1')


@command('RECEIVE CHAR', '<timeout>')
def receive_char(leg: CallLeg, arguments: list[str]) -> Outcome:
    text = leg.receive()
    if text:
        return Outcome(str(encode(text)[0]))
    return Outcome('-1 (hangup)', seconds=from_milliseconds(arguments[0]) or inf, failed=True)


@command('RECEIVE TEXT', '<timeout>')
def receive_text(leg: CallLeg, arguments: list[str]) -> Outcome:
    text = leg.receive()
    if text is not None:
        return Outcome(f'1 ({text})')
    return Outcome('-1', seconds=from_milliseconds(arguments[0]) or inf, failed=True)
