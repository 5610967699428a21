"""A pretend Asterisk: it plays the other side of one AGI call, for tests and for people without a PBX."""

from .call import PretendCall
from .channel import Channel, HangUp, Manner, parse_caller_id
from .commands import COMMANDS
from .heard import (
    Answered,
    CallerHungUp,
    Heard,
    HungUp,
    Missing,
    Played,
    Pressed,
    Recorded,
    SaidDate,
    SaidDateTime,
    SaidDigits,
    SaidLetters,
    SaidNumber,
    SaidPhonetically,
    SaidTime,
    Waited,
)
from .leg import KEYPAD
from .lines import MAX_LINE, MAX_WORDS, parse_args
from .network import Event, LineFromServer, LineToServer, converse, place_call

__all__ = [
    'COMMANDS',
    'KEYPAD',
    'MAX_LINE',
    'MAX_WORDS',
    'Answered',
    'CallerHungUp',
    'Channel',
    'Event',
    'HangUp',
    'Heard',
    'HungUp',
    'LineFromServer',
    'LineToServer',
    'Manner',
    'Missing',
    'Played',
    'Pressed',
    'PretendCall',
    'Recorded',
    'SaidDate',
    'SaidDateTime',
    'SaidDigits',
    'SaidLetters',
    'SaidNumber',
    'SaidPhonetically',
    'SaidTime',
    'Waited',
    'converse',
    'parse_args',
    'parse_caller_id',
    'place_call',
]
