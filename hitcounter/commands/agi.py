"""hitcounter-agi: one call in a process that Asterisk starts, counted together with those of the server."""

from . import interrupt as _interrupt  # noqa: F401 -- first, for Ctrl-C while the others are imported

# isort: split

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from typing import Any, NoReturn, Self, cast

import click

from ..agi.serving.process import run, standard_stream
from ..agi.stream import FAILURE
from ..errors import StateError, StateUnavailable
from ..state import Database, State
from ..state.storage.away import answering_within, is_away
from ..state.storage.database import Address
from . import log, options, plugins, storages
from .base import Command


class _Command(Command):
    """A command that lets the dialplan see AGISTATUS=FAILURE also if it ends before its call, as by a wrong option."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().main(*arguments, **options)
        except BaseException as error:
            if not isinstance(error, SystemExit) or error.code:
                _fail()
            raise


def _fail() -> None:
    with suppress(OSError):  # it is closed
        if not os.path.sameopenfile(1, 2):  # else the call has taken standard output, or both are a terminal
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # which Asterisk answers with
            os.write(1, FAILURE)


@click.command(
    cls=_Command,
    context_settings={'allow_interspersed_args': False},  # what follows the script may be what a caller said
)
@options.config
@options.storage
@options.storage_of
@options.prompt
@options.max_lines
@options.withheld
@options.call_timeout
@options.update_timeout
@options.line_limit
@options.log_level
@options.log_format
@click.argument('script', required=False)
@click.argument('arguments', nargs=-1, type=click.UNPROCESSED)
def main(
    storage: Address,
    storage_of: dict[str, Address],
    prompt: tuple[str, ...],
    max_lines: int,
    withheld: str,
    call_timeout: float,
    update_timeout: float,
    line_limit: int,
    log_level: str,
    log_format: str,
    script: str | None,
    arguments: tuple[str, ...],
) -> None:
    """Take one call on standard input and output: count it durably, and say its number to the caller.

    In the dialplan:  exten => 31415,1,AGI(/path/to/hitcounter-agi,hits)

    SCRIPT is the path of the script to run; the default is 'hits'. Exit status 1: the call failed.
    """
    with standard_stream() as stream:
        log.set_up(log_level, log_format)
        with _opened(storage, storage_of, update_timeout) as state:
            well = run(
                plugins.scripts(state, prompts=prompt, max_lines=max_lines),
                stream,
                (script or '', *arguments),
                call_timeout=call_timeout,
                line_limit=line_limit,
                keep_withheld=withheld == 'keep',
            )
    sys.exit(0 if well else 1)


@contextmanager
def _opened(storage: Address, storage_of: dict[str, Address], update_timeout: float) -> Iterator[State]:
    """The state, or one of a storage that is away, so that the caller hears what callers of a server would hear."""
    components = plugins.components()
    with ExitStack() as opened:
        try:
            database, elsewhere = opened.enter_context(
                storages.opened(storage, storage_of, components, partial(_open, update_timeout))
            )
            state = opened.enter_context(closing(State(database, components, update_timeout, elsewhere=elsewhere)))
        except StateError as error:
            if not (isinstance(error, StateUnavailable) or is_away(error.__cause__)):
                raise
            state = cast(State, _Away(error))  # it is used in the same way
        yield state


def _open(seconds: float, address: Address) -> Database:
    with answering_within(seconds):
        return address.open()


class _Away:
    """The state of a storage that is away: whatever is asked of its components raises StateUnavailable."""

    def __init__(self, error: StateError) -> None:
        self._error = error

    def __getitem__(self, component: object) -> Self:
        return self

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        return self._refuse

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise StateUnavailable(str(self._error)) from self._error
