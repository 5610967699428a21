"""hitcounter accounts: add, list, unlock and remove accounts."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from hitcounter.commands import log, options, storages
from hitcounter.commands.base import Command, Commands
from hitcounter.state import State
from hitcounter.state.storage.database import Address

from .component import Accounts, check_number, time_or_none
from .errors import AccountRefused
from .pins import check_pin, hash_new
from .sessions import remove as remove_account


class _Number(click.ParamType[str]):
    """The number of an account."""

    name = 'number'

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            check_number(value)
        except AccountRefused as error:
            self.fail(str(error), param, ctx)
        return value


_number = click.argument('number', type=_Number())


@click.group(cls=Commands)
def accounts() -> None:
    """Add, list, unlock and remove the accounts that can log in by phone. The server may be running."""


@accounts.command(cls=Command, epilog='Example: hitcounter accounts add 1234')
@options.config
@options.storage
@options.storage_of
@click.option('--pin-stdin', is_flag=True, help='Read the PIN from the first line of standard input.')
@_number
def add(storage: Address, storage_of: dict[str, Address], pin_stdin: bool, number: str) -> None:
    """Add the account NUMBER, and ask for its PIN twice."""
    with _refusing():
        pin = sys.stdin.readline().rstrip('\r\n') if pin_stdin else _ask_for_pin()
        check_pin(pin, number)
        hashed = hash_new(pin)
        with _opened(storage, storage_of) as state:
            state[Accounts].add(number, hashed)
    click.echo(f'account {number} added')


def _ask_for_pin() -> str:
    if not (sys.stdin and sys.stdin.isatty()):
        raise click.UsageError(
            'the PIN cannot be asked for without a terminal: give --pin-stdin, and write it to standard input'
        )
    return str(click.prompt('PIN', hide_input=True, confirmation_prompt='The same PIN again'))


@accounts.command('list', cls=Command)
@options.config
@options.storage
@options.storage_of
def list_accounts(storage: Address, storage_of: dict[str, Address]) -> None:
    """List the accounts and their locks.

    Each with its last log-in, the wrong PINs since then or since the last lock, and the end of that lock, in UTC.
    """
    with _opened(storage, storage_of) as state:
        rows = state[Accounts].accounts()
    for row in rows:
        shown = time_or_none(row.last_login) or 'never', row.wrong, time_or_none(row.locked_until) or '-'
        click.echo('{:<12}  last log-in {}  wrong PINs {}  locked until {}'.format(row.number, *shown))


@accounts.command(cls=Command, epilog='Example: hitcounter accounts unlock 1234')
@options.config
@options.storage
@options.storage_of
@_number
def unlock(storage: Address, storage_of: dict[str, Address], number: str) -> None:
    """End the lock of the account NUMBER, and forget its wrong PINs."""
    with _refusing(), _opened(storage, storage_of) as state:
        state[Accounts].unlock(number)
    click.echo(f'account {number} unlocked')


@accounts.command(cls=Command, epilog='Example: hitcounter accounts remove 1234')
@options.config
@options.storage
@options.storage_of
@_number
def remove(storage: Address, storage_of: dict[str, Address], number: str) -> None:
    """Remove the account NUMBER, and end its sessions."""
    with _refusing(), _opened(storage, storage_of) as state:
        state.update(remove_account, number)
    click.echo(f'account {number} removed')


@contextmanager
def _opened(storage: Address, storage_of: dict[str, Address]) -> Iterator[State]:
    log.set_up('error')
    with storages.state_of(storage, storage_of, options.UPKEEP_TIMEOUT) as (_, state):
        yield state


@contextmanager
def _refusing() -> Iterator[None]:
    """Report what is refused as wrong input: in one sentence, with status 2."""
    try:
        yield
    except AccountRefused as error:
        raise click.UsageError(str(error)) from error
