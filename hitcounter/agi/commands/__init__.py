"""The commands of Asterisk 22, a method for each, in families. What Asterisk's own words hide, the methods say."""

from .channel import ChannelCommands
from .dialplan import DialplanCommands
from .sound import SoundCommands, check_sound_file
from .speech import SpeechCommands

__all__ = ['ChannelCommands', 'DialplanCommands', 'SoundCommands', 'SpeechCommands', 'check_sound_file']
