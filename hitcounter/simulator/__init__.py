"""A pretend Asterisk: it plays the other side of one AGI call, for tests and for people without a PBX."""

from .call import SimulatedCall
from .channel import Channel, HangUp, HangUpTiming
from .client import Event, LineFromServer, LineToServer, converse, place_call
from .events import (
    Answered,
    CallerHungUp,
    CallEvent,
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
from .surroundings import Application, OtherChannel

__all__ = [
    'Answered',
    'Application',
    'CallEvent',
    'CallerHungUp',
    'Channel',
    'Event',
    'HangUp',
    'HangUpTiming',
    'HungUp',
    'LineFromServer',
    'LineToServer',
    'Missing',
    'OtherChannel',
    'Played',
    'Pressed',
    'Ran',
    'Recorded',
    'SaidDate',
    'SaidDateTime',
    'SaidDigits',
    'SaidLetters',
    'SaidNumber',
    'SaidPhonetically',
    'SaidTime',
    'SimulatedCall',
    'Waited',
    'converse',
    'place_call',
]
