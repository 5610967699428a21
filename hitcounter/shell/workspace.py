"""What the user of the shell works with: the names there, and one transaction that is committed or aborted."""

import getpass
import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any, TypeVar

from ..errors import ReadOnly, StateError
from ..state import Component, Database, ReadConnection, State, WriteConnection
from ..state.upkeep.history import Transactions, history, transactions, undo

R = TypeVar('R')

#: So much of a line of code is kept as the description of its transaction.
_DESCRIPTION = 100

#: So many transactions are shown unless more are asked for.
COUNT = 20

#: What is to be said when the session cannot show what is stored.
OUTDATED = 'the file has changed since this shell opened it, which shows it as it was: start the shell again'

#: What is to be said when the process that serves the database is gone.
GONE = 'the process that serves the database is gone, or hangs: go on when it is back'


class Workspace:
    """One session on an open database. Its public methods are functions of the shell."""

    def __init__(self, database: Database, *, writes: bool) -> None:
        self.database = database
        #: The code that runs; what it commits is described by its first line.
        self.code = ''
        self._changed_by = ''
        #: Whether it may change the database.
        self.writes = writes
        with ExitStack() as resources:
            self.session = resources.enter_context(closing(_session(database, writes=writes)))
            self.components = {name: part for name, part in self.session.root.items() if isinstance(part, Component)}
            #: What the user finds there.
            self.names = self._names()
            self._resources = resources.pop_all()

    def _names(self) -> dict[str, Any]:
        classes = [type(part) for part in self.components.values()]
        late = _LateState(lambda: self._open_state(classes))
        functions = [self.commit, self.run, self.abort, self.sync, self.transactions, self.undo]
        return {
            **{component.__name__: component for component in classes},
            **self.components,
            'root': self.session.root,
            'state': late if self.writes else State(self.database, classes, read_only=True),
            **{function.__name__: function for function in functions},
        }

    @property
    def is_changed(self) -> bool:
        """Whether there are changes to be committed."""
        return self.writes and self.session.is_changed

    def close(self) -> None:
        """Forget what was not committed, and leave the database."""
        self._resources.close()

    def note_changes(self) -> None:
        """Remember the code that just ran if it was the first to change something."""
        if not self.is_changed:
            self._changed_by = ''
        elif not self._changed_by:
            self._changed_by = self.code

    def commit(self, description: str = '') -> None:
        """Store the changes. The history shows `description`, or else the first line that changed something."""
        session = self._writing()
        self._describe(session, description or self._changed_by)
        session.commit()

    def run(self, function: Callable[[Any], R], description: str = '') -> R:
        """Call `function(root)`, store what it changed, and return what it returned.

        It waits for its turn, and is called again if another process changed the same objects all the same. So it
        comes through beside calls, where `commit()` would find again and again that these were first.
        """
        session = self._writing()

        def described(root: Any) -> R:
            self._describe(session, description)
            return function(root)

        return session.run(described)

    def abort(self) -> None:
        """Forget the changes, and see what others have stored."""
        if isinstance(self.session, WriteConnection):
            self.session.abort()
        else:
            self.session.refresh()

    def sync(self) -> None:
        """See what others have stored since."""
        if self.is_changed:
            raise StateError('there are changes, which this would forget: commit() or abort() them')
        self.session.refresh()
        if self.database.is_outdated:
            raise StateError(OUTDATED)

    def transactions(self, count: int = COUNT, thing: Any = None) -> Transactions:
        """The last `count` transactions, or those that changed `thing` itself: id, time, who, bytes, what."""
        if thing is None:
            return transactions(self.database.db, count)
        return history(self.database.db, thing, count)

    def undo(self, id: str) -> None:
        """Take back what one transaction changed, at once; `transactions()` tells its id."""
        if not self.writes:
            raise ReadOnly('this shell only reads: start it with --write to undo a transaction')
        if self.is_changed:
            raise StateError('there are changes, which come first: commit() or abort() them')
        undo(self.database, id, _user())
        self.session.refresh()

    def _writing(self) -> WriteConnection:
        if not isinstance(self.session, WriteConnection):
            raise ReadOnly('this shell only reads: start it with --write to change the database')
        return self.session

    def _describe(self, session: WriteConnection, description: str) -> None:
        lines = (description or self.code).strip().splitlines() or ['']
        session.describe(_user(), f'shell: {lines[0][:_DESCRIPTION]}')

    def _open_state(self, components: list[type[Component]]) -> State:
        return self._resources.enter_context(closing(State(self.database, components)))


def _session(database: Database, *, writes: bool) -> ReadConnection:
    if writes:
        # It leaves no marks, which would stand in the history and in the way of undo.
        return WriteConnection(database.db, turn=database.new_turn())
    return ReadConnection(database.db)


class _LateState:
    """A state that is opened when it is first used, for that starts a thread and takes a component at its word."""

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


def _user() -> str:
    """The name by which the user logged in, or the id of one who has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # since Python 3.13 OSError
        return str(os.getuid())
