"""How far a long work is, on standard error."""

import sys
import time

import click

from ..counts import count_of

#: So many of them between two lines, where standard error is not a terminal.
_MANY = 100_000

#: Seconds between two changes of the line on a terminal.
_PAUSE = 0.2


class Progress:
    """Tells at times how many of them are done, and once at the end."""

    def __init__(self, noun: str, done: str) -> None:
        self._noun = noun
        self._done = done
        self._count = self._told = 0
        self._when = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def reach(self, count: int) -> None:
        self._count = count
        if self._terminal:
            if time.monotonic() - self._when > _PAUSE:
                self._when = time.monotonic()
                click.echo(f'\r{self._said()}', err=True, nl=False)
                self._told = count
        elif count - self._told >= _MANY:
            click.echo(self._said(), err=True)
            self._told = count

    def finish(self) -> None:
        begin = '\r' if self._terminal and self._told else ''
        click.echo(f'{begin}{self._said()}', err=True)

    def _said(self) -> str:
        return f'{count_of(self._count, self._noun)} {self._done}'
