"""A call: an AGI session, and in it the 47 commands of Asterisk 22 as methods."""

from .commands import ChannelCommands, DialplanCommands, SoundCommands, SpeechCommands


class Call(ChannelCommands, SoundCommands, DialplanCommands, SpeechCommands):
    """One AGI session, from the environment to the close; one thread uses it at a time.

    A method for each command, named as in Asterisk, and `command` for any other. Every command waits for its
    reply. Once the caller is gone it raises Hangup, one time, with the reply already paired; from then on the
    commands that run on a dead channel (`RUN_DEAD`) work and the others raise Hangup without asking Asterisk. All
    of them raise ConnectionLost when Asterisk is gone or does not answer in time, ProtocolError when it talks
    nonsense, CommandRefused for what may not be sent, and CommandFailed for what Asterisk refused or could not do.

    Times are seconds or timedeltas. Digits that a caller enters are in no log and in no message of CommandFailed.
    """
