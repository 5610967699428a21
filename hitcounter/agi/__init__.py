"""The Asterisk Gateway Interface: call scripts, and the server that runs them. It does not know any storage."""

from .audio import Audio
from .call import Call
from .commands import check_sound_file
from .protocol.environment import Environment, Presentation
from .protocol.reply import Reply
from .protocol.results import (
    ChannelState,
    ControlledPlayback,
    Digits,
    Playback,
    Recognition,
    RecognitionEnd,
    Recording,
    RecordingEnd,
    Utterance,
)
from .script import Script, script
from .serving.server import Drained, Server

__all__ = [
    'Audio',
    'Call',
    'ChannelState',
    'ControlledPlayback',
    'Digits',
    'Drained',
    'Environment',
    'Playback',
    'Presentation',
    'Recognition',
    'RecognitionEnd',
    'Recording',
    'RecordingEnd',
    'Reply',
    'Script',
    'Server',
    'Utterance',
    'check_sound_file',
    'script',
]
