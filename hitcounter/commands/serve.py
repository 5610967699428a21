"""hitcounter-serve: the FastAGI server with the hit counter's script and those of other packages, on one database."""

from ..counts import count_of
from . import interrupt as _interrupt  # noqa: F401 -- first, for Ctrl-C while the others are imported

# isort: split

import gc
import logging
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from typing import Any

import click

from .. import hits
from ..agi import Server
from ..agi.serving import acceptor, running_calls
from ..errors import ClockAhead, HitcounterError, ListenError, PackFailed
from ..state import Component, Database, State
from ..state.forgetting import can_forget, forget
from ..state.storage.database import Address
from ..state.storage.periodic import PeriodicTask
from ..state.transactions.writer import CLOSE_GRACE
from ..state.upkeep.clocks import ClockLog
from ..state.upkeep.packing import check_clock, pack_if_due
from . import log, options, plugins, storages
from .advice import advised
from .base import Command
from .process import ServerProcess

logger = logging.getLogger(__name__)

#: Beginnings of the names of the threads that the server cannot do without; the last one is ZEO's.
_VITAL = (acceptor.NAME, running_calls.NAME, 'state writer', 'StorageServer(')

#: After so many new objects Python collects the youngest, after so many of these collections the older ones as well,
#: and then all. A call has about thirty such objects.
_COLLECTIONS = (5_000, 50, 100)

#: Seconds between two checks whether there is something to pack or to forget, or clocks differ.
_LOOK = 60.0


@click.command(cls=Command)
@options.config
@options.listen
@options.allow
@options.storage
@options.storage_of
@options.prompt
@options.max_calls
@options.max_calls_per_peer
@options.pack_every
@options.pack_keep
@options.keep_calls
@options.max_lines
@options.withheld
@options.call_timeout
@options.update_timeout
@options.line_limit
@options.drain
@options.cpu
@options.log_level
@options.log_format
def main(
    listen: tuple[str, int],
    storage: Address,
    storage_of: dict[str, Address],
    prompt: tuple[str, ...],
    pack_every: float,
    pack_keep: float,
    keep_calls: float | None,
    max_lines: int,
    withheld: str,
    update_timeout: float,
    drain: float,
    cpu: int | None,
    log_level: str,
    log_format: str,
    **limits: Any,  # of a Server, which has them under these names
) -> None:
    """Serve calls: count each one durably, and say its number to the caller.

    In the dialplan:  exten => 31415,1,AGI(agi://127.0.0.1)

    After SIGTERM, SIGHUP or Ctrl-C, calls may go on for --drain seconds; a second signal ends them at once. If the
    storage does not answer then, the process ends all the same, at the latest --update-timeout and half a minute later.
    """
    os.umask(0o077)
    _choose_core(cpu)
    _allow_descriptors()
    with _naming_options():
        life = ServerProcess(_VITAL, drain)
    with life.reporting_death(), _naming_options(), ExitStack() as opened:
        with life.starting():
            log.set_up(log_level, log_format)
            components = plugins.components()
            databases, state = opened.enter_context(_opened(storage, storage_of, components, update_timeout))
            opened.enter_context(_upkeep(databases, state, components, pack_every, pack_keep, keep_calls))
            server = Server(
                plugins.scripts(state, prompts=prompt, max_lines=max_lines),
                *listen,
                keep_withheld=withheld == 'keep',
                **limits,
            )
            opened.callback(server.stop)
            _collect_rarely()
            server.start()
        _serve(server, databases, life, drain, update_timeout + CLOSE_GRACE)


@contextmanager
def _opened(
    storage: Address, storage_of: Mapping[str, Address], components: Sequence[type[Component]], update_timeout: float
) -> Iterator[tuple[list[Database], State]]:
    """The databases, the main one first, and the state of their components, which serve within the block."""
    with ExitStack() as opened:
        sharing = partial(Address.open, share=True)
        main, elsewhere = opened.enter_context(storages.opened(storage, storage_of, components, sharing))
        state = opened.enter_context(closing(State(main, components, update_timeout, elsewhere=elsewhere)))
        opened.enter_context(state.serving())
        databases = list(dict.fromkeys([main, *elsewhere.values()]))
        for database in databases:
            _warn_of_the_clock(database)
        yield databases, state


@contextmanager
def _upkeep(
    databases: list[Database],
    state: State,
    components: Sequence[type[Component]],
    pack_every: float,
    pack_keep: float,
    keep_calls: float | None,
) -> Iterator[None]:
    """Compare clocks, pack the databases and forget calls in threads of their own, within the block."""
    ending = threading.Event()
    with ExitStack() as threads:
        for database in (database for database in databases if database.has_clock):
            comparison = ClockLog(database)
            comparison.compare()
            threads.enter_context(closing(PeriodicTask('clock comparison', _LOOK, comparison.compare)))
        for database in databases:
            if pack_every and database.is_packed_when_due:
                packing = partial(_pack, database, pack_every, pack_keep)
                threads.enter_context(closing(PeriodicTask('packing', min(pack_every, _LOOK), packing)))
        if keep_calls is not None:
            for component in filter(can_forget, components):  # each by itself, so that none stops another's
                forgetting = partial(_forget, state, component, keep_calls, ending.is_set)
                name = f'forgetting of {component.name}'
                threads.enter_context(closing(PeriodicTask(name, min(keep_calls + 1, _LOOK), forgetting)))
        for database in databases:
            threads.callback(database.end_packing)  # before the threads are waited for
        threads.callback(ending.set)
        yield


def _serve(server: Server, databases: list[Database], life: ServerProcess, drain: float, closing_time: float) -> None:
    """Serve until the process is to end, then let the calls end."""
    for database in databases:
        if database.is_new:
            logger.info('%s is a new database', database.description)
    where = ' and '.join(database.description for database in databases)
    logger.info('listening on %s:%d, database %s', *server.address, where)
    life.wait(server.cut)
    logger.info('stopping: calls may go on for %g s, or until a second signal', drain)
    drained = server.stop(drain)
    life.end_within(closing_time)
    logger.info(
        'stopped: %s ended, %d closed, %d forced', count_of(drained.ended, 'call'), drained.closed, drained.forced
    )


@contextmanager
def _naming_options() -> Iterator[None]:
    """Name the options that cure what keeps the server from starting."""
    try:
        yield
    except ListenError as error:
        raise ListenError(f'{error} (--listen, --allow)') from error
    except RuntimeError as error:
        if 'start new thread' not in str(error):
            raise
        raise HitcounterError('the system allows no more threads: raise the limit of this user or service') from error


def _warn_of_the_clock(database: Database) -> None:
    try:
        check_clock(database)
    except ClockAhead as error:
        logger.warning('%s', advised(error))


def _pack(database: Database, every: float, keep: float) -> None:
    try:
        pack_if_due(database, every, keep)
    except PackFailed as error:
        raise PackFailed(advised(error)) from error


def _forget(state: State, component: type[Component], keep: float, is_ending: Callable[[], bool]) -> None:
    if forgotten := forget(state, component, time.time() - keep, is_ending):
        is_ours = component is hits.HitCounter
        what = count_of(forgotten, 'call') if is_ours else f'{count_of(forgotten, "record")} of {component.name}'
        logger.info('forgot %s of more than %g s ago', what, keep)


def _choose_core(cpu: int | None) -> None:
    try:
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
    except OSError as error:
        raise HitcounterError(f'there is no core {cpu} to run on: choose one of {os.sched_getaffinity(0)}') from error
    if len(os.sched_getaffinity(0)) == 1:
        # A thread that wakes up there could only interrupt the one that holds the GIL, and then wait for it.
        with suppress(OSError):  # forbidden here: only slower
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _allow_descriptors() -> None:
    """Each call needs one, and the usual limit is meant for programs that hold few."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _collect_rarely() -> None:
    """Let no call wait while Python looks through thousands of others for what is garbage: little of it is."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTIONS)
