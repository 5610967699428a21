"""The Asterisk Gateway Interface: call scripts, and the server that runs them. It knows nothing of storage."""

from .call import Call, Playback
from .environment import Environment
from .reply import Reply
from .script import Script, script
from .server import Drained, Server

__all__ = ['Call', 'Drained', 'Environment', 'Playback', 'Reply', 'Script', 'Server', 'script']
