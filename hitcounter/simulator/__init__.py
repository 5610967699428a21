"""The simulator of Asterisk: the other side of an AGI call, for tests and for people without a PBX.

It uses only the pure part of `hitcounter.agi`, the protocol, and knows neither scripts nor servers nor databases.
"""

from . import events
from .call import SimulatedCall
from .channel import Channel, HangUp, HangUpTiming
from .client import Event, LineFromServer, LineToServer, place_call, run_call
from .events import *  # noqa: F403 -- events.__all__ is their one list
from .surroundings import Application, OtherChannel

__all__ = [
    'Application',
    'Channel',
    'Event',
    'HangUp',
    'HangUpTiming',
    'LineFromServer',
    'LineToServer',
    'OtherChannel',
    'SimulatedCall',
    'place_call',
    'run_call',
]
__all__ += events.__all__
