"""A pretend Asterisk: it plays the other side of one AGI call, for tests and for people without a PBX."""

from .call import PretendCall
from .channel import Channel, HangUp, Manner
from .heard import (
    Answered,
    CallerHungUp,
    Heard,
    HungUp,
    Missing,
    Played,
    Pressed,
    Ran,
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
from .network import Event, LineFromServer, LineToServer, converse, place_call
from .world import Application, OtherChannel

__all__ = [
    'Answered',
    'Application',
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
    'OtherChannel',
    'Played',
    'Pressed',
    'PretendCall',
    'Ran',
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
    'place_call',
]
