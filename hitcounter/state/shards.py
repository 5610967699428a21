"""Shards: the databases of one state, each with a writer of its own, and which components live in which.

No transaction is common to two of them. So an update, or a query, uses the components of one. Which one that is shows
when it asks for its first component: if that lives elsewhere, it is run again there, from the start.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from typing import Any, NoReturn, TypeVar, cast
from weakref import WeakKeyDictionary

from persistent.mapping import PersistentMapping
from ZODB.POSException import POSKeyError

from ..errors import ComponentError, ComponentMisplaced, ReadOnly, StateError
from .model.component import Component, not_offered
from .model.root import ELSEWHERE, INCOMPLETE, MARKS, OWNER, SCHEMAS, Root
from .storage.database import Database
from .transactions.commit import is_within

C = TypeVar('C', bound=Component)
R = TypeVar('R')

#: Why nothing spans two storages, and what to do.
_TWO_TRANSACTIONS = (
    'two storages have no common transaction, and a crash could store one half without the other: make it two, one '
    'for each storage, or keep the components in one storage'
)
#: Seconds that a function has at least for its second attempt, in the shard where its component lives.
_LEAST = 0.1

_TWO_MOMENTS = 'two storages have no common moment: ask each of them by itself'


class Components:
    """The components themselves, as one transaction sees them: `components[HitCounter]`."""

    __slots__ = ('_root',)

    def __init__(self, root: Root) -> None:
        self._root = root

    def __repr__(self) -> str:
        return f'<Components {", ".join(name for name in self._root if name not in (SCHEMAS, MARKS, ELSEWHERE))}>'

    def __getitem__(self, component: type[C]) -> C:
        try:
            return cast(C, self._root[component.name])
        except POSKeyError:  # the root itself cannot be loaded: not a missing component
            raise
        except (AttributeError, KeyError):
            raise not_offered(component, 'is not a component of this database') from None


class LivesIn(BaseException):
    """The first component that a function asked for lives in another database; nothing was read or changed."""

    def __init__(self, shard: 'Shard') -> None:
        super().__init__(shard.place)
        self.shard = shard


class _SomeComponents(Components):
    """The components of one shard, for a function that may ask for those of another."""

    __slots__ = ('_shards', '_why', 'elsewhere', 'used')

    def __init__(self, root: Root, shards: 'Shards', why: str) -> None:
        super().__init__(root)
        self._shards = shards
        self._why = why
        #: The name of the first component that was asked for.
        self.used = ''
        #: Set once it was asked for a component of another shard before any of this one.
        self.elsewhere: LivesIn | None = None

    def __getitem__(self, component: type[C]) -> C:
        here, home = self._shards.of(self._root), self._shards.home(component)
        if home is here:
            found = super().__getitem__(component)
            self.used = self.used or component.name
            return found
        if not self.used:
            self.elsewhere = LivesIn(home)
            raise self.elsewhere
        raise ComponentError(
            f'{self.used!r} lives in {here.place}, and {component.name!r} in {home.place}: {self._why}'
        )


class NoWriter:
    """Takes the place of the writer in a state that is only read."""

    def run(self, *_: object, **__: object) -> NoReturn:
        raise ReadOnly('this state is read-only: open it for writing to change it')

    def _nothing(self, _: object) -> None:
        pass

    submit = subscribe = run
    unsubscribe = refuse_own_thread = _nothing


class Shard:
    """One database of a state, the writer that changes it, and the components that live there."""

    def __init__(self, database: Database, components: list[type[Component]]) -> None:
        self.database = database
        self.components = components
        #: Its Writer, or what takes the place of one in a state that is only read.
        self.writer: Any = NoWriter()
        #: The other shards of the state.
        self.others: list[Shard] = []

    def __repr__(self) -> str:
        return f'<Shard of {self.names} in {self.place}>'

    @property
    def place(self) -> str:
        return self.database.place

    @property
    def names(self) -> str:
        return ', '.join(component.name for component in self.components) or 'no components'

    @property
    def update(self) -> Callable[..., Any]:
        """What runs the updates of its components."""
        return self.run if self.others else self.writer.run

    def run(self, function: Callable[..., R], label: str, *arguments: Any, **clock: float) -> R:
        """As the writer's. Raises ComponentError within an update of another shard."""
        self.refuse_within_others(label)
        return cast(R, self.writer.run(function, label, *arguments, **clock))

    def submit(self, function: Callable[..., R], label: str, *arguments: Any) -> Future[R]:
        """As the writer's. Raises ComponentError within an update of another shard."""
        self.refuse_within_others(label)
        return cast('Future[R]', self.writer.submit(function, label, *arguments))

    def refuse_within_others(self, label: str) -> None:
        for other in self.others:
            if is_within(other.database.db):
                raise ComponentError(
                    f'{label} lives in {self.place}, and was called within an update of {other.place}: '
                    f'{_TWO_TRANSACTIONS}'
                )


class Shards:
    """All databases of a state. `main` holds each component that is not named in `elsewhere`.

    Raises ComponentError for a name that is not a component's, and for a component that depends on one elsewhere.
    """

    def __init__(
        self,
        database: Database,
        elsewhere: Mapping[str, Database],
        components: Iterable[type[Component]],
        timeout: float,
    ) -> None:
        self._timeout = timeout
        ordered = list(components)
        refuse_unknown(elsewhere, ordered)
        self.main = Shard(database, [one for one in ordered if one.name not in elsewhere])
        by_database = {id(other): Shard(other, []) for other in elsewhere.values()}
        if id(database) in by_database:
            raise ComponentError(f'{database.place} is the database of the state: name another for a component')
        self._homes = {name: by_database[id(other)] for name, other in elsewhere.items()}
        for component in ordered:
            if component.name in self._homes:
                self._homes[component.name].components.append(component)
        #: The main one first.
        self.all = [self.main, *by_database.values()]
        for shard in self.all:
            shard.others = [other for other in self.all if other is not shard]
        self._refuse_dependencies(ordered)
        self._expected: WeakKeyDictionary[Any, Shard] = WeakKeyDictionary()

    def __iter__(self) -> Iterator[Shard]:
        return iter(self.all)

    @property
    def is_one(self) -> bool:
        return len(self.all) == 1

    def home(self, component: object) -> Shard:
        """Where `component` lives, or would live."""
        name = getattr(component, 'name', '')
        return self._homes.get(name, self.main) if isinstance(name, str) else self.main

    def of(self, root: Root) -> Shard:
        """The shard whose root it is."""
        db = root._p_jar.db()
        return next(shard for shard in self.all if shard.database.db is db)

    def _refuse_dependencies(self, components: Iterable[type[Component]]) -> None:
        for component in components:
            for needed in component.depends:
                if (there := self.home(needed)) is not (here := self.home(component)):
                    raise ComponentError(
                        f'component {component.name!r} depends on {needed.name!r}, which lives in {there.place}, and '
                        f'not in {here.place}: name one storage for both'
                    )

    # Functions over components.

    def updating(self, function: Callable[..., R]) -> Callable[..., R]:
        """`function` as a writer calls it."""
        return self._calling(function, _TWO_TRANSACTIONS)

    def asking(self, function: Callable[..., R]) -> Callable[..., R]:
        """`function` as a query calls it."""
        return self._calling(function, _TWO_MOMENTS)

    def _calling(self, function: Callable[..., R], why: str) -> Callable[..., R]:
        if self.is_one:
            return lambda root, *args, **kwargs: function(Components(root), *args, **kwargs)

        def call(root: Root, *args: Any, **kwargs: Any) -> R:
            components = _SomeComponents(root, self, why)
            result = function(components, *args, **kwargs)
            if components.elsewhere and not components.used:  # it caught what said so
                raise components.elsewhere
            return result

        return call

    def routed(self, function: object, run: Callable[[Shard, float], R]) -> R:
        """What `run` returns for the shard whose components `function` uses; LivesIn leads from one to the other.

        It also gets the seconds that are left: all of it has one clock.
        """
        if self.is_one:
            return run(self.main, self._timeout)
        deadline = time.monotonic() + self._timeout
        shard, tried = self.expected(function), set[Shard]()
        while True:
            tried.add(shard)
            try:
                return run(shard, max(deadline - time.monotonic(), _LEAST))
            except LivesIn as found:
                if found.shard in tried:
                    self._refuse_both(shard, found.shard)
                shard = self.expect(function, found.shard)

    def _refuse_both(self, one: Shard, other: Shard) -> NoReturn:
        raise ComponentError(f'{one.place} and {other.place} were both asked for components: {_TWO_TRANSACTIONS}')

    def run(self, function: object, call: Callable[..., R], label: str, *arguments: Any) -> R:
        """Run `call`, which is `function` as a writer calls it, as an update of the shard whose components it uses."""
        if self.is_one:
            return self.main.run(call, label, *arguments)
        return self.routed(function, lambda shard, left: shard.run(call, label, *arguments, seconds=left))

    def submit(self, function: object, call: Callable[..., R], label: str, *arguments: Any) -> Future[R]:
        """The same, as a future."""
        if self.is_one:
            return self.main.submit(call, label, *arguments)
        return _Errand(self, function, call, label, arguments).sent_to(self.expected(function))

    def expected(self, function: object) -> Shard:
        """The shard whose components `function` used the last time."""
        return self._expected.get(getattr(function, '__code__', None), self.main)

    def expect(self, function: object, shard: Shard) -> Shard:
        if (code := getattr(function, '__code__', None)) is not None:
            self._expected[code] = shard
        return shard

    # What the databases say of each other.

    def refuse_misplaced(self, shard: Shard, root: Root, new: Iterable[type[Component]], noted: Iterable[str]) -> None:
        """Raise ComponentMisplaced if a component would have a second state, in the database of this root or another.

        `noted` has the names of the components that live elsewhere, as the main database has noted.
        """
        notes = root.get(ELSEWHERE, {})
        for component in new:
            if component.name in notes:
                raise ComponentMisplaced(
                    f'component {component.name!r} lives in {notes[component.name]}, and not in {shard.place}: name '
                    f'its storage, or move it',
                    component.name,
                )
            if shard is not self.main and component.name in noted:
                raise ComponentMisplaced(
                    f'{shard.place} does not hold the component {component.name!r}, which has been stored in another '
                    f'place: name that storage, or copy it to this one',
                    component.name,
                )
            if shard is self.main and OWNER in notes:
                raise ComponentMisplaced(
                    f'{shard.place} only holds components for the state in {notes[OWNER]}, and {component.name!r} is '
                    f'not one of them: name that database, and this one as the storage of a component',
                    component.name,
                )

    def refuse_held(self, shard: Shard, root: Root) -> None:
        """Raise ComponentMisplaced if the database of this root holds a component of another, or one on its way."""
        for name, place in root.get(ELSEWHERE, {}).items():
            if name != OWNER and place == INCOMPLETE:
                raise ComponentMisplaced(
                    f'{shard.place} holds a copy of the component {name!r}, whose move was interrupted: do it again',
                    name,
                )
        known = {component.name: other for other in self.all for component in other.components}
        for name in root.get(SCHEMAS, ()):
            if (home := known.get(name, shard)) is not shard:
                raise ComponentMisplaced(
                    f'{shard.place} holds the component {name!r}, which is to live in {home.place}: name the storage '
                    f'that holds it, or move it',
                    name,
                )

    def note(self, shard: Shard, root: Root) -> None:
        """Write down at its root what lives elsewhere, so that a state that is not told does not begin it again."""
        if self.is_one:
            return
        if shard is self.main:
            places = {name: home.place for name, home in self._homes.items()}
        else:
            places = {OWNER: self.main.place}
        notes = root.setdefault(ELSEWHERE, PersistentMapping())
        for name, place in places.items():
            if notes.get(name) != place:
                notes[name] = place


def noted(root: Root) -> dict[str, str]:
    """The places of the components that live elsewhere, by their names, as the database has noted."""
    return {name: place for name, place in root.get(ELSEWHERE, {}).items() if name != OWNER}


def refuse_unknown(names: Iterable[str], components: Iterable[type[Component]]) -> None:
    """Raise ComponentError for the first of `names` that is not the name of one of `components`."""
    known = sorted(getattr(component, 'name', repr(component)) for component in components)
    for name in names:
        if name not in known:
            raise ComponentError(f'{name!r} is not a component, and has no storage: there are {", ".join(known)}')


class _Errand:
    """A submitted function on its way to the shard whose components it uses; its future is the caller's."""

    def __init__(
        self, shards: Shards, function: object, call: Callable[..., Any], label: str, arguments: tuple[Any, ...]
    ) -> None:
        self._shards = shards
        self._function = function
        self._call = call
        self._label = label
        self._arguments = arguments
        self._tried: set[Shard] = set()
        self._is_running = False
        self._future: Future[Any] = Future()

    def sent_to(self, shard: Shard) -> Future[Any]:
        self._tried.add(shard)
        shard.submit(self._run, self._label, *self._arguments).add_done_callback(self._settle)
        return self._future

    def _run(self, root: Root, *args: Any, **kwargs: Any) -> Any:
        if self._is_cancelled():
            raise CancelledError
        return self._call(root, *args, **kwargs)

    def _is_cancelled(self) -> bool:
        """Whether it was cancelled before it ran; it cannot be from now on."""
        if not self._is_running and not self._future.cancelled():
            self._is_running = self._future.set_running_or_notify_cancel()
        return not self._is_running

    def _settle(self, done: 'Future[Any]') -> None:
        """In the thread of a writer: go on to another shard, or give the caller's future what became of it."""
        error = done.exception()
        if self._is_cancelled():
            return
        if isinstance(error, LivesIn):
            try:
                self._go_on(error.shard)
                return
            except StateError as refused:
                error = refused
        if error is not None:
            self._future.set_exception(error)
        else:
            self._future.set_result(done.result())

    def _go_on(self, shard: Shard) -> None:
        if shard in self._tried:
            raise ComponentError(f'{self._label} asked for components of two storages: {_TWO_TRANSACTIONS}')
        self.sent_to(self._shards.expect(self._function, shard))
