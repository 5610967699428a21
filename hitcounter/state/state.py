"""The state: components in a database, their updates in the writer, their queries on snapshots."""

import functools
import inspect
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager, suppress
from types import FunctionType, MappingProxyType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

import ZODB
from persistent.mapping import PersistentMapping
from ZODB.POSException import StateLoadError, StorageError

from ..deferred import deferred
from ..errors import RESTORE, ComponentError, DatabaseDamaged, NoSuchMethod, ReadOnly, StateUnavailable
from .model.blame import blaming, explained, failure
from .model.classes import MissingClasses
from .model.component import Access, Component, access_of, accesses, in_order, label_of, not_offered, outline
from .model.root import SCHEMAS, Root
from .shards import Components, Shard, Shards, noted
from .storage.away import answering_within, is_away, unavailable
from .storage.database import Database
from .transactions import bulk
from .transactions.commit import refuse_within
from .transactions.connection import ReadConnection
from .transactions.job import UPDATE_TIMEOUT
from .transactions.subscription import Subscription
from .transactions.writer import Writer
from .upkeep.migration import Comparison

C = TypeVar('C', bound=Component)
R = TypeVar('R')
P = ParamSpec('P')

#: Seconds that the first states of components may take, unless an update may take longer.
_START_TIMEOUT = 60.0

#: Seconds between two attempts of a query to reach a storage that is away.
_PAUSE = 0.05

_NOT_YET: tuple[Any, str] = (None, '')

_NOWHERE: Mapping[str, Database] = MappingProxyType({})


class State:
    """Native objects, durable and ACID: `state[HitCounter].hit(...)`.

    `state[Class]` has the updates and queries of that component, with their ordinary arguments, for any thread. An
    update that raises has changed nothing; one that returns is on disk. Their results are plain values.

    Opening it makes the first state of components that the database does not have, then starts each component after
    those it depends on; closing it stops them in reverse. Raises ComponentError if the components do not fit together
    or one cannot be started, DatabaseRefused if the database does not fit them.

    `timeout` is how many seconds the caller of an update or a query waits at most, whatever the storage does. An
    update that is not stored by then is taken back, which raises UpdateFailed; if the storage was just asked to store
    it, OutcomeUnknown. A query raises StateUnavailable.

    The components that `elsewhere` names live in those databases, each with a writer of its own. An update, or a query,
    may use components of one database only, and a component depends on none in another: raises ComponentError. Raises
    ComponentMisplaced, a DatabaseRefused, if a database does not hold what it should, or holds what it should not.

    With `read_only` it does none of this: it offers the queries of the components as they are in the database, and
    each update raises ReadOnly.
    """

    def __init__(
        self,
        database: Database,
        components: Iterable[type[Component]],
        timeout: float = UPDATE_TIMEOUT,
        *,
        elsewhere: Mapping[str, Database] = _NOWHERE,
        read_only: bool = False,
    ) -> None:
        _check_timeout(timeout)
        ordered = list(components) if read_only else in_order(components)
        for given in (database, *elsewhere.values()):
            if not isinstance(given, Database):
                raise TypeError(f'{given!r} is not an open database: give what open_database returned')
        self._database = database
        self._timeout = timeout
        self._shards = Shards(database, elsewhere, ordered, timeout)
        self._is_read_only = read_only
        self._prepared: dict[Any, tuple[Any, str]] = {}  # functions of modules, by what `update` makes of them
        self._writer = self._shards.main.writer
        with ExitStack() as started:
            if not read_only:
                for shard in reversed(self._shards.all):  # so that the main one, which leads to the others, ends first
                    shard.writer = started.enter_context(closing(Writer(shard.database, timeout)))
                self._writer = self._shards.main.writer
                with blaming('the database cannot be read'):
                    _prepare_all(self._shards, max(timeout, _START_TIMEOUT))
            self._handles = {component: _Handle(self, component) for component in ordered}
            for component in () if read_only else ordered:
                _call(component, 'start', self)
                started.callback(_call, component, 'stop', self)
            self._started = started.pop_all()

    def __getitem__(self, component: type[C]) -> C:
        try:
            return cast(C, self._handles[component])  # it has the methods that others may call
        except (KeyError, TypeError):  # the latter: what was given cannot be a key
            raise not_offered(component, 'is not a component of this state: open the state with it') from None

    def database_of(self, component: type[Component]) -> Database:
        """The database in which `component` lives."""
        return self._shards.home(component).database

    def update(self, function: Callable[Concatenate[Components, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `function(components, ...)` as one update that may span components: all of it happens, or nothing."""
        call, label = self._prepared.get(function, _NOT_YET) if type(function) is FunctionType else _NOT_YET
        if call is None:
            call, label = self._prepare(function)
        return cast(R, self._shards.run(function, call, label, args, kwargs))

    def _prepare(self, function: Callable[..., R]) -> tuple[Callable[..., R], str]:
        """How a writer calls `function`, and what it is called in the log. One of a module is prepared only once."""
        _refuse_as_function(function)
        prepared = self._shards.updating(function), label_of(function)
        if (
            type(function) is FunctionType
            and function.__closure__ is None
            and function.__globals__.get(function.__name__) is function
        ):
            self._prepared[function] = prepared
        return prepared

    def submit(self, function: Callable[Concatenate[Any, P], R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Queue an update and go on: `state.submit(HitCounter.hit, line, caller)`, or a function as for `update`.

        The future has its result, or its error, when it is on disk, or about a second after its time is over. It can be
        cancelled until it runs. What is added to it by `add_done_callback` runs in the writer, and holds up all
        updates.
        """
        call, label, shard = self._as_update(function)
        if shard is None:
            return self._shards.submit(function, call, label, args, kwargs)
        return shard.submit(call, label, args, kwargs)

    def bulk(
        self,
        function: Callable[..., object],
        arguments: Iterable[tuple[Any, ...]],
        progress: Callable[[int], object] = lambda stored: None,
    ) -> int:
        """Run an update, named as for `submit`, with each of `arguments`, in order; returns how many were stored.

        They are stored in many transactions, between which others get their turn; `progress` is called after each with
        how many are stored so far. `arguments` are taken as they are needed. Raises BulkStopped at the first that
        fails, with how many were stored before it.
        """
        call, label, shard = self._as_update(function)
        run = shard.run if shard is not None else functools.partial(self._shards.run, function)
        return bulk.store(run, call, label, arguments, progress)

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """What this state stores from now on: `with state.subscribe() as updates: for update in updates: ...`.

        Updates by other processes are not included.
        """
        subscription = self._writer.subscribe()
        try:
            for shard in self._shards.main.others:
                shard.writer.subscribe(subscription)
            yield subscription
        finally:
            for shard in self._shards:
                shard.writer.unsubscribe(subscription)

    def _as_update(self, function: Callable[..., R]) -> tuple[Callable[..., R], str, Shard | None]:
        """`function` as a writer calls it, what it is called in the log, and its shard if it is of a component."""
        name = getattr(function, '__name__', '')
        owners = [component for component in self._handles if name and getattr(component, name, None) is function]
        if not owners and access_of(function):
            raise ComponentError(
                f'{label_of(function)} is not a method of a component of this state: name it by its class, as in '
                f'submit(Polls.vote), and open the state with that class'
            )
        if not owners:
            _refuse_as_function(function)
            return self._shards.updating(function), label_of(function), None
        if accesses(owners[0]).get(name) is not Access.UPDATE:
            raise NoSuchMethod(f'{label_of(function)} is not an update: mark it as one')
        if len(owners) > 1:
            raise ComponentError(f'{label_of(function)} is of {len(owners)} components: use update with a function')
        call = _of_component(owners[0].name, name)
        return call, f'{owners[0].name}.{name}', self._shards.home(owners[0])

    def query(self, function: Callable[Concatenate[Components, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `function(components, ...)` as one query over components, in this thread."""
        _refuse_as_function(function)
        label, call = label_of(function), self._shards.asking(function)
        return self._shards.routed(function, lambda shard, left: _read(shard, left, call, label, args, kwargs))

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Have the components serve within this block, each after those that it depends on.

        hitcounter-serve does so around its calls, and so does a program that runs a Server of its own; no other process
        of the same database should. Raises ComponentError if one cannot: those that did are stopped;
        ReadOnly from a state that is only read.
        """
        if self._is_read_only:
            raise ReadOnly('this state is read-only, and its components have not started: open it for writing to serve')
        with ExitStack() as serving:
            for component in self._handles:
                _call(component, 'serve', self)
                serving.callback(_call, component, 'stop_serving', self)
            yield

    def __repr__(self) -> str:
        places = ', '.join(f'{shard.names} in {shard.database.description}' for shard in self._shards)
        return f'<State of {places}>'

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the components, store the updates that are waiting, and take no more. The database stays open.

        Raises ComponentError when a component cannot be stopped; StateError when the updates could not be stored,
        because one did not end or the writer had failed, and at once within an update or a callback of one.
        """
        for shard in self._shards:
            shard.writer.refuse_own_thread('the state')
        self._started.close()


def _call(component: type[Component], name: str, state: State) -> None:
    """Call one of the hooks of a component."""
    try:
        getattr(component, name)(state)
    except (Exception, SystemExit) as error:
        failed = failure(component, name.replace('_', ' '), error, name)
        raise ComponentError(f'{failed}: remove the cause, or correct its {name}()') from error


class _Handle:
    """The updates and queries of one component, for every thread."""

    def __init__(self, state: State, component: type[Component]) -> None:
        vars(self)['_component'] = component
        shard = state._shards.home(component)
        for name, access in accesses(component).items():
            run = shard.update if access is Access.UPDATE else functools.partial(_read, shard, state._timeout)
            vars(self)[name] = _method(run, component, name)

    def __getattr__(self, name: str) -> Any:
        raise NoSuchMethod(f'{self._component.__name__} has no update and no query {name!r}: mark its method as one')

    def __repr__(self) -> str:
        return outline(self._component)

    def _refuse_to_set(self, name: str, *_: object) -> None:  # what is set there would not be stored
        raise NoSuchMethod(f'{name!r} cannot be set or deleted from outside the component: let an update of it do that')

    __setattr__ = __delattr__ = _refuse_to_set


def _method(run: Callable[..., Any], component: type[Component], name: str) -> Callable[..., Any]:
    label = f'{component.name}.{name}'
    call = _of_component(component.name, name)

    def method(*args: Any, **kwargs: Any) -> Any:
        return run(call, label, args, kwargs)

    return _described(method, component, name)


def _described(method: Callable[..., Any], component: type[Component], name: str) -> Callable[..., Any]:
    """`method` with the name, the docstring, the signature and the source of that method of the component."""
    original = getattr(component, name)
    method.__wrapped__ = original  # type: ignore[attr-defined]  # for inspect
    method.__name__ = name
    method.__qualname__ = f'{component.name}.{name}'
    method.__doc__ = original.__doc__
    with suppress(TypeError, ValueError):  # for what Python cannot inspect
        signature = inspect.signature(original)
        without_self = list(signature.parameters.values())[1:]
        method.__signature__ = signature.replace(parameters=without_self)  # type: ignore[attr-defined]  # for inspect
    return method


def _of_component(component: str, name: str) -> Callable[..., Any]:
    return lambda root, *args, **kwargs: getattr(root[component], name)(*args, **kwargs)


def _refuse_as_function(function: Callable[..., object]) -> None:
    """Raise ComponentError for what is not a function of the components."""
    if access := access_of(function):
        raise ComponentError(
            f'{label_of(function)} is the {access.value} of a component, and not a function of several: call it as '
            f'state[Class].{getattr(function, "__name__", "method")}()'
        )
    if not callable(function):
        raise TypeError(f'{function!r} is not a function of the components: give one that takes them')
    if kind := deferred(function):
        raise ComponentError(
            f'{label_of(function)} is {kind}, which does not run when it is called: make it a plain function'
        )


def _read(
    shard: Shard,
    seconds: float,
    function: Callable[..., R],
    label: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> R:
    """What `function` returns for the root as it is now and the arguments; it may only read.

    Raises StateError within an update, whose changes it would not see; StateUnavailable if the storage is away and not
    back within `seconds`, or goes away while the function reads.
    """
    shard.refuse_within_others(label)
    database = shard.database.db
    refuse_within(database, label, 'whose changes it would not see')
    with answering_within(seconds), _connection_to(database, seconds) as session:
        try:
            return session.ask(function, label, args, kwargs)
        except StateLoadError as error:
            raise explained(error, label) from error
        except StorageError as error:
            if is_away(error):
                raise unavailable(error) from error
            raise


def _connection_to(database: ZODB.DB, seconds: float) -> ReadConnection:
    """A connection that has begun. A storage that is away is waited for, but each attempt may take its own time."""
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        try:
            return ReadConnection(database)
        except StateUnavailable as error:
            now = time.monotonic()
            if not is_away(error.__cause__) or now + (now - began) + _PAUSE > deadline:
                raise
        time.sleep(_PAUSE)


def _check_timeout(timeout: float) -> None:
    if not isinstance(timeout, int | float) or isinstance(timeout, bool):
        raise TypeError(f'timeout is {timeout!r}: give seconds, as a number')
    if not timeout > 0:
        raise ValueError(f'timeout is {timeout}: give more than 0 seconds')


def _prepare_all(shards: Shards, seconds: float) -> None:
    """Make the components that are missing, those of the main database last; refuse databases that do not fit."""
    others = shards.main.others
    places = shards.main.writer.run(noted, 'places of components', seconds=seconds) if others else ()
    for shard in shards if others else ():  # before any of them is changed
        shard.writer.run(functools.partial(_check, shards, shard, places), 'check of components', seconds=seconds)
    for shard in (*others, shards.main):
        shard.writer.run(functools.partial(_prepare, shards, shard, places), 'first state', seconds=seconds)


def _prepare(shards: Shards, shard: Shard, places: Iterable[str], root: Root) -> None:
    """Make the components of this shard that are missing; refuse a database that does not fit."""
    comparison = _compared(shards, shard, places, root)
    shards.note(shard, root)
    schemas = root.setdefault(SCHEMAS, PersistentMapping())
    for component in comparison.new:
        _begin(component, root)
        schemas[component.name] = component.schema


def _check(shards: Shards, shard: Shard, places: Iterable[str], root: Root) -> None:
    _compared(shards, shard, places, root)


def _compared(shards: Shards, shard: Shard, places: Iterable[str], root: Root) -> Comparison:
    """What the database of this shard holds and lacks. Raises if it does not fit."""
    with blaming('the database cannot be read'), MissingClasses():  # the comparison names those of components
        count = len(root)
    if not count and root._p_jar.db().objectCount() > 1:
        raise DatabaseDamaged(f'the database holds objects, but its root refers to none of them: {RESTORE}')
    shards.refuse_held(shard, root)
    comparison = Comparison(root, shard.components)
    comparison.refuse_strange()
    comparison.refuse_older()
    shards.refuse_misplaced(shard, root, comparison.new, places)
    return comparison


def _begin(component: type[Component], root: Root) -> None:
    """Make the first state of `component`. Raises ComponentError if that fails, or what it makes cannot be stored."""
    try:
        root[component.name] = component()
        root._p_jar.savepoint()  # pickles it; at the commit, ZODB would also log what cannot be pickled
    except (Exception, SystemExit) as error:
        raise ComponentError(
            f'{failure(component, "make its first state", error, "__init__")}: correct its __init__()'
        ) from error
