"""Every error of hitcounter, in one tree; each is named by what the code that catches it can do."""

from typing import ClassVar


class HitcounterError(Exception):
    """An error that hitcounter foresaw; its message is one sentence: what, where, what to do."""

    #: Whether the calling code is wrong, so that a log shows its traceback.
    is_programming_error: ClassVar[bool] = False


# The call: raised by hitcounter.agi.


class CallError(HitcounterError):
    """A call could not go on as the script intended."""


class Hangup(CallError):
    """The caller is gone: commands that need a live channel fail, but those for a dead channel still work."""


class ConnectionLost(CallError):
    """Asterisk closed the connection or stopped answering: nothing more can be sent on this call."""


class ProtocolError(CallError):
    """The other side does not speak AGI: the connection cannot be used any more."""


class CommandRefused(CallError, ValueError):
    """A command was not sent, because Asterisk would have read it as something else."""

    is_programming_error = True


class CommandFailed(CallError):
    """Asterisk refused a command (510 unknown, 520 wrong syntax) or could not do it; the call goes on."""

    is_programming_error = True


class UrlRefused(CallError):
    """The URL in the dialplan asks for something that the script does not know; nothing was done."""


class ListenError(HitcounterError):
    """The server cannot listen on the address that it was given."""


class ScriptError(HitcounterError):
    """A script cannot be served: its path is wrong or taken, or it has more parameters than a call."""

    is_programming_error = True


# What other packages bring: raised by the commands.


class EntryPointError(HitcounterError):
    """An installed package offers a script or a component that cannot be used."""


# Records that go to a file or come from one: raised by hitcounter.hits.records.


class ExportFailed(HitcounterError):
    """The records of a component could not be written; what was written before may be incomplete."""


class ImportRefused(HitcounterError):
    """A row is not a call, or does not continue its line's numbers; rows before it may have been imported."""


# Lines and rounds: raised by hitcounter.lines.


class RulesRefused(HitcounterError, ValueError):
    """A rule, a window, a time zone or a setting of a line is wrong; nothing was stored."""


class RoundRefused(HitcounterError):
    """A round cannot be opened or closed as things are; nothing was stored."""


# The database: raised by hitcounter.state.


class StateError(HitcounterError):
    """The state could not do what was asked; what was stored before is unchanged."""


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


class ComponentMisplaced(DatabaseRefused):
    """A component would have two states, in two storages: name the storage that holds it, or move it."""

    def __init__(self, message: str, component: str) -> None:
        super().__init__(message)
        #: The name of the component.
        self.component = component


class ForeignDatabase(DatabaseRefused):
    """Another user can write the database, and opening it would run what that user stored there."""

    def __init__(self, message: str, owner: str | None = None) -> None:
        super().__init__(message)
        #: The user, by name or id, who must be trusted to open it; None if it is more than one user.
        self.owner = owner


class ComponentError(StateError):
    """A component is missing, duplicated, part of a circle, or asked for what it does not offer."""

    is_programming_error = True


class NoSuchMethod(ComponentError, AttributeError):
    """A component has no update and no query of that name."""


class ReadOnly(StateError):
    """A query, or a session opened for reading, tried to write."""

    is_programming_error = True


class LostChange(StateError):
    """A test found a persistent object that was changed where ZODB does not see it: use a persistent type there."""

    is_programming_error = True


class LineRefused(StateError):
    """A call was not counted, because its line cannot be called that, or would be one line too many."""


class StateUnavailable(StateError):
    """The storage is away or cannot be read, so that nothing could be read: try again when it is back."""


class UpdateFailed(StateError):
    """An update was not stored, nor any part of it, and never will be."""


class OutcomeUnknown(StateError):
    """The storage did not say in time whether it stored an update: it may or may not be stored."""


class BulkStopped(StateError):
    """One of many updates failed: those before it are stored, it and those after it are not.

    If it is raised from OutcomeUnknown, some after the first `stored` may be stored as well.
    """

    def __init__(self, stored: int, message: str) -> None:
        super().__init__(message)
        #: How many are stored; also the position of the one that failed, counted from 0.
        self.stored = stored


class SubscriptionLost(StateError):
    """A subscriber was too slow, and gets no further updates."""


class StateClosed(StateError):
    """The state is closed or closing, and takes no more work."""


class NoRoom(StateError):
    """There is too little room on the disk: free some."""


class BackupFailed(StateError):
    """A backup could not be made, verified or restored; what was there before is unchanged."""


class PackFailed(StateError):
    """The database was not packed, as far as is known; what is stored in it is unchanged."""


class ClockAhead(PackFailed):
    """The last transaction has a time in the future: until then a pack that keeps some of the history is impossible."""


class PackMetDamage(PackFailed):
    """A pack met an object that is missing or cannot be read; a verification says which others refer to it."""


class CopyFailed(StateError):
    """A database was not copied; what was copied of it cannot be opened, and a further copy begins from the start."""


class MoveFailed(StateError):
    """A component was not moved to another database; a move that was interrupted can be done again."""


class MigrationFailed(StateError):
    """The database was not migrated, and is unchanged."""


# Outside of the tree, so that code which catches HitcounterError does not swallow a Ctrl-C.


class Interrupted(KeyboardInterrupt):
    """Ctrl-C came while something was being stored; the message says whether it is stored."""
