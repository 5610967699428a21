"""Progress of a long command, on standard error."""

import sys
import time

import click

from ..counts import count_of

#: How many are done between two lines when standard error is not a terminal.
_MANY = 100_000

#: Seconds between two updates of the line on a terminal.
_PAUSE = 0.2


class Progress:
    """Shows now and then how many are done, and once more at the end. A click.progressbar would need a length."""

    def __init__(self, noun: str, done: str) -> None:
        self._noun = noun
        self._done = done
        self._count = self._shown = 0
        self._when = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def reach(self, count: int) -> None:
        self._count = count
        if self._terminal:
            if time.monotonic() - self._when > _PAUSE:
                self._when = time.monotonic()
                click.echo(f'\r{self._said()}', err=True, nl=False)
                self._shown = count
        elif count - self._shown >= _MANY:
            click.echo(self._said(), err=True)
            self._shown = count

    def finish(self) -> None:
        begin = '\r' if self._terminal and self._shown else ''
        click.echo(f'{begin}{self._said()}', err=True)

    def _said(self) -> str:
        return f'{count_of(self._count, self._noun)} {self._done}'
