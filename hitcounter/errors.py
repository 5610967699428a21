"""Every error of hitcounter, one tree, named by what its catcher can do."""

from typing import ClassVar


class HitcounterError(Exception):
    """Something that hitcounter foresaw; its message is one sentence: what, where, what to do."""

    #: Whether the code that met it is wrong, so that a log shows where it was.
    is_programming_error: ClassVar[bool] = False


# The call: raised by hitcounter.agi.


class CallError(HitcounterError):
    """A call could not go on as the script meant."""


class Hangup(CallError):
    """The caller is gone: commands that need a live channel fail, those that run dead go on working."""


class ConnectionLost(CallError):
    """Asterisk closed the connection or stopped answering: nothing more can be sent on this call."""


class ProtocolError(CallError):
    """The other side does not speak AGI: the connection is of no more use."""


class CommandRefused(CallError, ValueError):
    """A command was not sent, because Asterisk would have read it as something else."""

    is_programming_error = True


class CommandFailed(CallError):
    """Asterisk refused a command (510 unknown, 520 wrong syntax) or could not do it; the call goes on."""

    is_programming_error = True


class ListenError(HitcounterError):
    """The server cannot listen where it was told to."""


class ScriptError(HitcounterError):
    """A script cannot be served: its path is wrong or another's, or it takes more than a call."""

    is_programming_error = True


# What other packages bring: raised by the commands.


class EntryPointError(HitcounterError):
    """An installed package offers a script or a component that cannot be used."""


# Records that go to a file or come from one: raised by hitcounter.hits.records.


class ExportFailed(HitcounterError):
    """The records of a component could not be written; what was written before may be incomplete."""


class ImportRefused(HitcounterError):
    """A row is not a call, or does not continue its line's numbers; rows before it may have been taken."""


# The database: raised by hitcounter.state.


class StateError(HitcounterError):
    """The state could not do as asked; what was stored before is unchanged."""


class DatabaseInUse(StateError):
    """Another process holds the database: stop that one, or let it serve this one."""


class DatabaseRefused(StateError):
    """The database cannot be opened as it is, and was left as it is."""


class DatabaseMissing(DatabaseRefused):
    """There is no database at that place yet."""


class DatabaseDamaged(DatabaseRefused):
    """The database has lost what was stored in it, or cannot be read: restore a backup."""


#: What the message of DatabaseDamaged says to do.
RESTORE = 'restore a backup'


class DatabaseOutdated(DatabaseRefused):
    """The database is as an earlier version of a component left it: migrate it."""


class CodeMissing(DatabaseRefused):
    """The database holds a component whose code is not installed here."""

    def __init__(self, component: str) -> None:
        super().__init__(
            f'the database holds the component {component!r}, whose code is missing here: install its package, or drop '
            f'it with what it stored'
        )
        #: The name of the component.
        self.component = component


class ForeignDatabase(DatabaseRefused):
    """Another user can write the database, and opening it would run what that user stored there."""

    def __init__(self, message: str, owner: str | None = None) -> None:
        super().__init__(message)
        #: The user, by name or id, who must be trusted to open it; None if it is more than one user.
        self.owner = owner


class ComponentError(StateError):
    """A component is missing, doubled, in a circle, or asked for what it does not offer."""

    is_programming_error = True


class NoSuchMethod(ComponentError, AttributeError):
    """A component has no update and no query of that name."""


class ReadOnly(StateError):
    """A query, or a session opened for reading, tried to write."""

    is_programming_error = True


class LostChange(StateError):
    """A test found a persistent object that was changed where ZODB does not see it: use a persistent kind there."""

    is_programming_error = True


class LineRefused(StateError):
    """A call was not counted, because its line is too long, or would be one line too many."""


class UpdateFailed(StateError):
    """An update was not stored: nothing of it happened."""


class OutcomeUnknown(StateError):
    """The storage went away while it stored, and did not come back in time: it may or may not have happened."""


class BulkStopped(StateError):
    """One of many updates failed: those before it are stored, it and those after it are not.

    Unless it is raised from OutcomeUnknown: then some after `stored` may be stored.
    """

    def __init__(self, stored: int, message: str) -> None:
        super().__init__(message)
        #: How many are stored, which is also the place of the one that failed, counted from 0.
        self.stored = stored


class SubscriptionLost(StateError):
    """A subscriber was too slow, and gets no further updates."""


class StateClosed(StateError):
    """The state is closed or closing, and takes no more work."""


class NoRoom(StateError):
    """The disk has too little room for what was to be done: make some."""


class BackupFailed(StateError):
    """A backup could not be made, verified or restored; what was there before is unchanged."""


class PackFailed(StateError):
    """The database was not packed, as far as can be told; what is stored in it is unchanged."""


class ClockAhead(PackFailed):
    """The last transaction has a time in the future: until then a pack that keeps some of the history is impossible."""


class PackMetDamage(PackFailed):
    """A pack met an object that is missing or cannot be read; a verification says which others refer to it."""


class MigrationFailed(StateError):
    """The database was not migrated, and is unchanged."""


# Outside of the tree, so that code which catches HitcounterError does not swallow a Ctrl-C.


class Interrupted(KeyboardInterrupt):
    """Ctrl-C came while something was being stored; the message says whether it is stored."""
