"""How a command ends: with status 130 after Ctrl-C, and with a sentence if it cannot write to standard output."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import click

from .interrupt import INTERRUPTED


class Ending(click.Command):
    """A command that ends this way; the base class of all commands."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """As in click, but says so, with status 1, if standard output cannot be written, as on a full disk."""
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
            if not arguments and 'args' not in options:  # the process is done: no traceback from now on
                signal.signal(signal.SIGINT, signal.SIG_DFL)
            raise
        return done

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        with _interruptible():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with _interruptible():
            return super().invoke(ctx)


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
    """Say that Ctrl-C came, and whether what was being stored is stored."""
    click.echo(': '.join(filter(None, ['interrupted', str(interrupt)])), err=True)


def _is_of_output(error: OSError) -> bool:
    """Whether it was raised while standard output was written, and not another file."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return (trace is not None and trace.tb_frame.f_code is click.echo.__code__) or _flush() is not None


def _flush() -> OSError | None:
    """Write what is buffered. If that fails, drop it, or Python would try again at exit, and return the error."""
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
    if not isinstance(error, BrokenPipeError):  # the reader has closed the pipe
        with suppress(OSError):
            click.echo(f'Error: standard output cannot be written ({error.strerror}): choose another place', err=True)
    sys.exit(1)
