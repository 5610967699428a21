"""The base of the commands that open a database, or may fail in a way that was foreseen."""

import logging
import os
import sys
from typing import Any

import click
from click.core import ParameterSource

from ..errors import DatabaseRefused, HitcounterError, RulesRefused
from ..owners import other_owners
from ..state.storage.database import Address, address_of
from ..state.storage.owner import trust
from . import log
from .advice import advised
from .ending import Ending
from .user import act_as_owner


class Command(Ending):
    """A command that reports a foreseen error in one sentence, and exits with status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        is_json = ctx.params.get('log_format') == 'json'
        for other in other_owners():
            warning = (
                f'{other} has installed files into the package hitcounter, too: uninstall it, then install '
                f'hitcounter-agi again by "pip install --force-reinstall --no-deps"'
            )
            click.echo(log.as_json('WARNING', warning) if is_json else f'Warning: {warning}', err=True)
        try:
            trusted = ctx.params.pop('trust_owner', None)
            if trusted is not None:
                trust(trusted)
            if 'storage' in ctx.params:
                ctx.params['storage'] = self.prepare(ctx, address_of(ctx.params['storage']))
            if 'storage_of' in ctx.params:
                named = {name: address_of(uri) for name, uri in ctx.params['storage_of'].items()}
                ctx.params['storage_of'] = self.prepare_others(named)
            return super().invoke(ctx)
        except RulesRefused as error:
            raise click.UsageError(str(error), ctx) from error
        except HitcounterError as error:
            for handler in logging.getLogger().handlers:
                handler.flush()  # so that the error is the last line
            if not is_json:
                raise click.ClickException(advised(error)) from error
            click.echo(log.as_json('CRITICAL', advised(error)), err=True)
            sys.exit(1)

    def prepare(self, ctx: click.Context, storage: Address) -> Address:
        """Become the user who may open `storage`, before it is touched."""
        for path in storage.files:
            self.act(ctx, path)
            if ctx.get_parameter_source('storage') is not ParameterSource.DEFAULT:
                check_folder(path)
        return storage

    def prepare_others(self, storage_of: dict[str, Address]) -> dict[str, Address]:
        """The same for the storages of single components, which may belong to no other user."""
        for address in storage_of.values():
            for path in address.files:
                self.act(click.get_current_context(), path)
                check_folder(path)
        return storage_of

    def act(self, ctx: click.Context, path: str) -> None:
        """Become the user who may open the file at `path`. Raises ForeignDatabase."""
        act_as_owner(path)


class Commands(Ending, click.Group):
    """A command that has others."""


class CommandOnTwo(Command):
    """A command that also opens the database of its argument `to`, which may belong to no other user."""

    def prepare(self, ctx: click.Context, storage: Address) -> Address:
        prepared = super().prepare(ctx, storage)
        self.prepare_others({'to': address_of(ctx.params['to'])})
        return prepared


def check_folder(path: str) -> None:
    """Raise DatabaseRefused if the folder of the file does not exist."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise DatabaseRefused(
            f'{path!r} cannot be opened: {folder!r} is not an existing folder: create it, mount its disk, or name '
            f'another file'
        )
