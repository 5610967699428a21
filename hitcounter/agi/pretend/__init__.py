"""A pretend Asterisk: it plays the other side of one AGI call, for tests and for people without a PBX."""

from hitcounter.agi.pretend.call import PretendCall
from hitcounter.agi.pretend.channel import Channel, HangUp, Manner, parse_caller_id
from hitcounter.agi.pretend.commands import COMMANDS
from hitcounter.agi.pretend.heard import (
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
from hitcounter.agi.pretend.lines import MAX_LINE, MAX_WORDS, parse_args
from hitcounter.agi.pretend.network import LineFromServer, LineToServer, converse, place_call

__all__ = [
    'COMMANDS',
    'MAX_LINE',
    'MAX_WORDS',
    'Answered',
    'CallerHungUp',
    'Channel',
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
