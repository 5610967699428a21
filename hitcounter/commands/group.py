"""The group of all commands: our own, imported when they are run, and those of other packages."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint
from typing import Any

import click

from ..errors import EntryPointError, HitcounterError
from .advice import advised
from .ending import Ending
from .entry_points import COMMANDS, load, offers, refusal
from .own import Own


class OwnCommands(Mapping[str, click.Command]):
    """Our own commands by name; looking one up imports it."""

    def __init__(self, commands: Mapping[str, Own]) -> None:
        self.help = {name: own.help for name, own in commands.items()}
        self._commands = commands

    def __getitem__(self, name: str) -> click.Command:
        own = self._commands[name]
        command: click.Command = getattr(import_module(f'.{own.module}', __package__), own.name)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self._commands)

    def __len__(self) -> int:
        return len(self._commands)


class Group(Ending, click.Group):
    """A command that has these commands, and those that other packages offer by entry points.

    A package cannot replace one of our own commands, and one that cannot be imported does not keep others from running.
    """

    def __init__(self, name: str | None = None, *, own: Mapping[str, Own], **attributes: Any) -> None:
        self._own = OwnCommands(own)
        super().__init__(name, commands=self._own, **attributes)  # type: ignore[arg-type]  # it is only read

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported. Raises EntryPointError for one of another package that cannot be run."""
        if own := super().get_command(ctx, cmd_name):
            return own
        found = [offer for offer in offers(COMMANDS) if offer.name == cmd_name]
        return command_of(found[0], found, self._own) if found else None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HitcounterError as error:
            raise click.ClickException(advised(error)) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section('Commands'):
            formatter.write_dl(sorted(self._own.help.items()))
        if rows := list(_others(self._own, formatter.width)):
            with formatter.section('Commands of other packages'):
                formatter.write_dl(rows)


def command_of(offer: EntryPoint, others: list[EntryPoint], own: Mapping[str, object]) -> click.Command:
    """The command that `offer` names, one of `others`. Raises EntryPointError, also if its name is not its own."""
    if offer.name in own:
        raise refusal(offer, 'has the name of a hitcounter command, which runs instead: rename it')
    if [other.name for other in others].count(offer.name) > 1:
        raise refusal(offer, 'has the name of a command of another package: uninstall one of them')
    command = load(offer)
    if not isinstance(command, click.Command):
        raise refusal(offer, f'is {command!r}, not a command: mark the function with @click.command()')
    return command


def _others(own: Mapping[str, object], width: int) -> Iterator[tuple[str, str]]:
    """The commands of other packages, each with a sentence that says what it does, or why it cannot be run."""
    try:
        found = offers(COMMANDS)
    except EntryPointError as error:
        yield '', str(error)
        return
    for offer in sorted(found):
        try:
            yield offer.name, command_of(offer, found, own).get_short_help_str(width)
        except EntryPointError as error:
            yield offer.name, str(error)
