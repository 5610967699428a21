"""How a command ends: with a status of its own after Ctrl-C, and a sentence if standard output takes nothing."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import click

from .interrupt import INTERRUPTED


class Ending(click.Command):
    """A command that ends in these ways; a base of each."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """As in click. If standard output cannot be written, as on a full disk, that is said, with status 1."""
        try:
            done = super().main(*arguments, **options)
        except OSError as error:
            if not _is_of_output(error):
                raise
            _give_up(error)
        except SystemExit as leaving:
            failure = _flush()
            if failure and not leaving.code:
                _give_up(failure)
            if not arguments and 'args' not in options:  # a process of its own, all done: nothing is to be shown
                signal.signal(signal.SIGINT, signal.SIG_DFL)
            raise
        return done

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        with _interruptible():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with _interruptible():
            return super().invoke(ctx)


class Group(Ending, click.Group):
    """A command that has others."""


@contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as interrupt:
        with suppress(OSError):
            click.echo(err=True)  # after the ^C of the terminal
            if str(interrupt):
                say_interrupted(interrupt)
        sys.exit(INTERRUPTED)


def say_interrupted(interrupt: KeyboardInterrupt) -> None:
    """Say that Ctrl-C came, and what became of what was being stored."""
    click.echo(': '.join(filter(None, ['interrupted', str(interrupt)])), err=True)


def _is_of_output(error: OSError) -> bool:
    """Whether it came up where standard output was written, and not a file."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return (trace is not None and trace.tb_frame.f_code is click.echo.__code__) or _flush() is not None


def _flush() -> OSError | None:
    """Write what is left; why that cannot be done, and then it is dropped, or Python would try again at the exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        with open(os.devnull, 'wb') as nowhere, suppress(OSError):
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return error
    return None


def _give_up(error: OSError) -> NoReturn:
    _flush()
    if not isinstance(error, BrokenPipeError):  # who read it has had enough
        with suppress(OSError):
            click.echo(f'Error: standard output cannot be written ({error.strerror}): choose another place', err=True)
    sys.exit(1)
