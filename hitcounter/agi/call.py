"""A call: one AGI session, with the 47 commands of Asterisk 22 as methods."""

from .commands import ChannelCommands, DialplanCommands, SoundCommands, SpeechCommands


class Call(ChannelCommands, SoundCommands, DialplanCommands, SpeechCommands):
    """One AGI session, from the environment to the close; one thread uses it at a time.

    There is a method for each command, named as in Asterisk, and `command` for any other. Every command waits for its
    reply. After a hangup, one command raises Hangup, with its reply already paired; from then on the commands that run
    on a dead channel (`RUN_DEAD`) work, and the others raise Hangup without asking Asterisk. Every command raises
    ConnectionLost if Asterisk is gone or does not answer in time, ProtocolError if the answer is not AGI,
    CommandRefused for what must not be sent, and CommandFailed for what Asterisk refused or could not do.

    Times are seconds or timedeltas. Neither a log nor a message of CommandFailed shows the digits that a caller enters.
    """
