"""What the user of the shell works with: the names there, and one transaction that is committed or aborted."""

import getpass
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from types import MappingProxyType
from typing import Any, TypeVar

from ..errors import ReadOnly, StateError
from ..state import Component, Database, ReadConnection, State, WriteConnection
from ..state.storage.away import is_away
from ..state.transactions.job import UPDATE_TIMEOUT
from ..state.upkeep.history import Transactions, history, transactions, undo

R = TypeVar('R')

#: How many characters of a line of code describe its transaction.
_DESCRIPTION = 100

#: How many transactions are shown if no number is given.
COUNT = 20

#: The message when the shell cannot show what is stored.
OUTDATED = 'the file has changed since this shell opened it, which shows it as it was: start the shell again'

#: The message when a change is refused because the shell was started without --write.
READING = 'this shell only reads: start it with --write to change the database'

#: The message when the storage is away.
GONE = 'the process that serves the database is gone or not responding: try again when it is back'


def refusal_of(error: BaseException) -> str:
    """What to say of an error of the storage."""
    if is_away(error) or is_away(error.__cause__):
        return GONE
    return str(error) if isinstance(error, StateError) else f'the storage refuses ({type(error).__name__}: {error})'


class Answer(str):
    """What a function of the shell did, in a sentence that a prompt shows without quotation marks."""

    __slots__ = ()

    __repr__ = str.__str__


class Workspace:
    """One connection to an open database. The functions of the shell are methods of it.

    `timeout` is that of `state`, in seconds.
    """

    def __init__(
        self,
        database: Database,
        timeout: float = UPDATE_TIMEOUT,
        *,
        writes: bool,
        elsewhere: Mapping[str, Database] = MappingProxyType({}),
    ) -> None:
        self.database = database
        self._timeout = timeout
        #: The databases of the components that live elsewhere, by their names.
        self.elsewhere = elsewhere
        #: The code that is running; its first line describes what it commits.
        self.code = ''
        self._changed_by = ''
        #: Whether the shell may change the database.
        self.writes = writes
        with ExitStack() as resources:
            self.session = resources.enter_context(closing(_session(database, writes=writes)))
            self.components = {name: part for name, part in self.session.root.items() if isinstance(part, Component)}
            self._others = [
                resources.enter_context(ReadConnection(other.db)) for other in dict.fromkeys(elsewhere.values())
            ]
            #: Those that live elsewhere; here they can only be read, or changed by `state`.
            self.others = {
                name: part
                for other in self._others
                for name, part in other.root.items()
                if isinstance(part, Component) and name in elsewhere
            }
            #: The names at the prompt, and in a script, with what they stand for.
            self.names = self._names()
            self._resources = resources.pop_all()

    def _names(self) -> dict[str, Any]:
        parts = {**self.components, **self.others}
        classes = [type(part) for part in parts.values()]
        late = _LateState(lambda: self._open_state(classes))
        functions = [self.commit, self.run, self.abort, self.sync, self.transactions, self.undo]
        return {
            **{component.__name__: component for component in classes},
            **parts,
            'root': self.session.root,
            'state': late if self.writes else self._state(classes, read_only=True),
            **{function.__name__: function for function in functions},
        }

    def _state(self, classes: list[type[Component]], *, read_only: bool = False) -> State:
        there = {
            component.name: self.elsewhere[component.name] for component in classes if component.name in self.others
        }
        return State(self.database, classes, self._timeout, elsewhere=there, read_only=read_only)

    @property
    def is_changed(self) -> bool:
        """Whether there are uncommitted changes."""
        return self.writes and self.session.is_changed

    def close(self) -> None:
        """Discard uncommitted changes, and close the connection."""
        self._resources.close()

    def refresh(self) -> None:
        """See what others have stored, except in a database with uncommitted changes."""
        self.session.refresh()
        for other in self._others:
            other.refresh()

    def note_changes(self) -> None:
        """Remember the code that just ran if it was the first to change something."""
        if not self.is_changed:
            self._changed_by = ''
        elif not self._changed_by:
            self._changed_by = self.code

    def commit(self, description: str = '') -> Answer:
        """Store the changes. Their transaction has this description; the default is the line that made them."""
        session = self._writing()
        is_changed = self.is_changed
        described = self._describe(session, description or self._changed_by)
        session.commit()
        return Answer(f'stored as {described!r}' if is_changed else 'there were no changes to store')

    def run(self, function: Callable[[Any], R], description: str = '') -> R:
        """Call `function(root)`, store what it changed, and return what it returned.

        It waits for its turn, and calls the function again if another process changed the same objects first. So it
        succeeds beside calls, where `commit()` might fail each time.
        """
        session = self._writing()

        def described(root: Any) -> R:
            self._describe(session, description)
            return function(root)

        return session.run(described)

    def abort(self) -> Answer:
        """Discard the changes, and see what others have stored."""
        is_changed = self.is_changed
        if isinstance(self.session, WriteConnection):
            self.session.abort()
        else:
            self.session.refresh()
        return Answer('the changes are discarded' if is_changed else 'there were no changes to discard')

    def sync(self) -> Answer:
        """See what others have stored since."""
        if self.is_changed:
            raise StateError('there are uncommitted changes: commit() or abort() them first')
        self.refresh()
        if self.database.is_outdated:
            raise StateError(OUTDATED)
        return Answer('you see what is stored now')

    def transactions(self, count: int = COUNT, thing: Any = None) -> Transactions:
        """The last `count` transactions, or those that changed the object `thing` itself.

        Each has an id, time (UTC), user (empty for the server), description and size (bytes).
        """
        if thing is None:
            return transactions(self.database.db, count)
        return history(self._database_of(thing), thing, count)

    def _database_of(self, thing: Any) -> Any:
        """The database that the object `thing` is in, by its connection; the main one for what is in none."""
        connection = getattr(thing, '_p_jar', None)
        return self.database.db if connection is None else connection.db()

    def undo(self, id: str) -> Answer:
        """Undo one transaction, and store that at once; `transactions()` shows its id."""
        if not self.writes:
            raise ReadOnly(READING)
        if self.is_changed:
            raise StateError('there are uncommitted changes: commit() or abort() them first')
        described = undo(self.database, id, login_name())
        self.session.refresh()
        return Answer(f'stored as {described!r}')

    def _writing(self) -> WriteConnection:
        if not isinstance(self.session, WriteConnection):
            raise ReadOnly(READING)
        return self.session

    def _describe(self, session: WriteConnection, description: str) -> str:
        lines = (description or self.code).strip().splitlines() or ['']
        described = f'shell: {lines[0][:_DESCRIPTION]}'
        session.describe(login_name(), described)
        return described

    def _open_state(self, components: list[type[Component]]) -> State:
        return self._resources.enter_context(closing(self._state(components)))


def _session(database: Database, *, writes: bool) -> ReadConnection:
    if writes:
        # Without marks, which would fill the history and prevent an undo.
        return WriteConnection(database.db, turn=database.new_turn())
    return ReadConnection(database.db)


class _LateState:
    """A state that is opened when it is first used, because that starts a thread and runs code of the components."""

    def __init__(self, open_state: Callable[[], State]) -> None:
        self._open = open_state
        self._state: State | None = None

    def __getitem__(self, component: type[Component]) -> Any:
        return self._opened()[component]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened(), name)

    def __dir__(self) -> list[str]:
        return dir(State)

    def _opened(self) -> State:
        if self._state is None:
            self._state = self._open()
        return self._state


def login_name() -> str:
    """The login name of the user, or the id of a user without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # since Python 3.13 OSError
        return str(os.getuid())
