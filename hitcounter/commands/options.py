"""The options of every command, each spelled once: its flag, its variable, its key in a file, its default.

`--max-calls`, HITCOUNTER_MAX_CALLS and `max-calls` in the TOML file that `--config` names are one option; what
stands first in this list wins.
"""

import ipaddress
import logging
import math
import os
import pwd
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click
from click.core import ParameterSource

from ..agi import check_sound_file
from ..agi.protocol.command import LINE_LIMIT
from ..errors import CommandRefused, DatabaseRefused, HitcounterError
from ..owners import other_owners
from ..state.storage import database
from ..state.storage.owner import trust
from .advice import advised
from .ending import Ending
from .user import act_as_owner

F = TypeVar('F', bound=Callable[..., Any])

_PREFIX = 'HITCOUNTER_'


def _absolute(folder: str) -> str:
    try:
        return os.path.abspath(folder)
    except OSError:  # the working directory is gone, which matters only if the database is to be found there
        return folder


#: The folder whose `var/` holds the database unless --storage says otherwise.
_HOME = _absolute(os.environ.get(_PREFIX + 'HOME', '.'))

#: What can stand in the file, so that one file serves all commands: each takes its own options from it.
KEYS = frozenset(
    {
        'allow',
        'call-timeout',
        'cpu',
        'drain',
        'keep-calls',
        'line-limit',
        'listen',
        'log-level',
        'max-calls',
        'max-calls-per-peer',
        'max-lines',
        'pack-every',
        'pack-keep',
        'prompt',
        'storage',
        'trust-owner',
        'withheld',
    }
)

_UNITS = {'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 7 * 86400}


def option(flag: str, **attributes: Any) -> Callable[[F], F]:
    """A click option that can also be given by a variable and in the file."""
    key = flag.removeprefix('--')
    return click.option(
        flag,
        envvar=_PREFIX + key.replace('-', '_').upper(),
        show_envvar=True,
        show_default=attributes.pop('show_default', True),
        **attributes,
    )


class Command(Ending):
    """A command that says a foreseen error in its one sentence, and ends with status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        for other in other_owners():
            click.echo(
                f'Warning: {other} has installed files into the package hitcounter, too: uninstall it, '
                'then install hitcounter-agi again by "pip install --force-reinstall --no-deps"',
                err=True,
            )
        try:
            trusted = ctx.params.pop('trust_owner', None)
            if trusted is not None:
                trust(trusted)
            if 'storage' in ctx.params:
                ctx.params['storage'] = self.prepare(ctx, database.address_of(ctx.params['storage']))
            return super().invoke(ctx)
        except HitcounterError as error:
            for handler in logging.getLogger().handlers:
                handler.flush()  # what was said before stands before
            raise click.ClickException(advised(error)) from error

    def prepare(self, ctx: click.Context, storage: database.Address) -> database.Address:
        """Become the user who may open `storage`, before it is touched."""
        for path in storage.files:
            self.act(ctx, path)
            if ctx.get_parameter_source('storage') is not ParameterSource.DEFAULT:
                check_folder(path)
        return storage

    def act(self, ctx: click.Context, path: str) -> None:
        """Become the user who may open the file at `path`. Raises ForeignDatabase."""
        act_as_owner(path)


def check_folder(path: str) -> None:
    """Raise DatabaseRefused if the folder of the file does not exist."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise DatabaseRefused(
            f'{path!r} cannot be opened: {folder!r} is not an existing folder: make it, mount its disk, or name '
            f'another file'
        )


class Address(click.ParamType[tuple[str, int]]):
    """HOST:PORT, or [HOST]:PORT for IPv6."""

    name = 'host:port'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        host, colon, port = str(value).rpartition(':')
        bare = host.removeprefix('[').removesuffix(']')
        if not (colon and bare and port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65536):
            self.fail(f'{value!r} is not HOST:PORT, as in 127.0.0.1:4573', param, ctx)
        if ':' in bare and not host.startswith('['):
            self.fail(f'{value!r} needs brackets around the IPv6 address, as in [::1]:4573', param, ctx)
        return bare, int(port)


class Seconds(click.ParamType[float]):
    """A finite time, not below 0."""

    name = 'seconds'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds < math.inf:
            self.fail(f'{value!r} is not a number of seconds, 0 or more', param, ctx)
        return seconds


class User(click.ParamType[int]):
    """A user, by name or id; the value is the id."""

    name = 'user'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if text.isascii() and text.isdecimal() and len(text) <= 10:
            return int(text)
        try:
            return pwd.getpwnam(text).pw_uid
        except KeyError:
            self.fail(f'{text!r} is not a user of this system: give a name or an id', param, ctx)


class Duration(click.ParamType[float]):
    """A time with its unit, in seconds."""

    name = 'duration'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r' *([0-9]{1,9}(?:\.[0-9]{1,9})?) *([smhdw]) *', str(value))
        if found is None:
            self.fail(f'{value!r} is not a duration: write a number and s, m, h, d or w, as in 12h or 90d', param, ctx)
        return float(found[1]) * _UNITS[found[2]]


class Network(click.ParamType[Any]):
    """An address or a network of addresses, IPv4 or IPv6."""

    name = 'network'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return ipaddress.ip_network(value)
        except ValueError as error:
            self.fail(f'{value!r} is not a network such as 192.0.2.0/24: {error}', param, ctx)


def _read_config(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    try:
        values = tomllib.loads(path.read_text('utf-8'))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.BadParameter(f'{str(path)!r} is not TOML: {error}') from error
    except OSError as error:
        raise click.BadParameter(f'{str(path)!r} cannot be read: {error.strerror}') from error
    values = {key.replace('_', '-'): value for key, value in values.items()}
    unknown = sorted(set(values) - KEYS)
    if unknown:
        raise click.BadParameter(f'{str(path)!r} has {unknown[0]!r}, which is none of {", ".join(sorted(KEYS))}')
    own = {parameter.name: parameter for parameter in ctx.command.params}
    ctx.default_map = {}
    for key, value in values.items():
        if parameter := own.get(key.replace('-', '_')):
            ctx.default_map[parameter.name] = _checked(ctx, parameter, f'{str(path)!r} has {key} = {value!r}', value)


def _checked(ctx: click.Context, parameter: click.Parameter, where: str, value: Any) -> Any:
    """A value of the file as an option takes it: text, or several for an option that may be repeated."""
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str | int | float) and not isinstance(one, bool) for one in values):
        raise click.BadParameter(f'{where}: write a text or a number')
    if isinstance(value, list) and not parameter.multiple:
        raise click.BadParameter(f'{where}: write one value, without brackets')
    texts = [str(one) for one in values]
    try:
        return parameter.type_cast_value(ctx, texts if parameter.multiple else texts[0])
    except click.BadParameter as error:
        raise click.BadParameter(f'{where}: {error.message}') from error


config = click.option(
    '--config',
    type=click.Path(path_type=Path),
    envvar=_PREFIX + 'CONFIG',
    show_envvar=True,
    callback=_read_config,
    is_eager=True,
    expose_value=False,
    help='A TOML file with such options, for example: listen = "127.0.0.1:4573"',
)


def prompt(default: tuple[str, ...]) -> Callable[[F], F]:
    """The option of the sounds that a caller hears first; `default` are those if it is not given."""
    return option(
        '--prompt',
        metavar='NAME',
        multiple=True,
        default=default,
        callback=_playable,
        help='A sound file before the number; repeatable.',
    )


def _playable(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        try:
            check_sound_file(name)
        except CommandRefused as error:
            raise click.BadParameter(str(error)) from error
    return names


def storage(command: F) -> F:
    """The options for the database, and for the users whose databases are opened."""
    return _storage(_trust_owner(command))


_storage = option(
    '--storage',
    metavar='URI',
    default=f'file://{quote(_HOME)}/var/hitcounter.fs',
    show_default='the file var/hitcounter.fs',
    help='The database: file:///srv/hits.fs, memory:, or another URI of zodburi.',
)

_trust_owner = option(
    '--trust-owner',
    metavar='USER',
    type=User(),
    help='Also open a database of this user, a name or an id: what that user stored in it can run any code.',
)

line_limit = option(
    '--line-limit',
    metavar='BYTES',
    type=click.IntRange(128),
    default=LINE_LIMIT,
    help='What Asterisk takes in one command; 2047 for Asterisk 16.',
)

pack_keep = option(
    '--pack-keep', type=Duration(), default='7d', help='How much of its history the database keeps when it is packed.'
)


def keep_calls(*, required: bool) -> Callable[[F], F]:
    """The option of how long the records of calls are kept."""
    return option(
        '--keep-calls',
        type=Duration(),
        required=required,
        show_default=False,
        help='How long records of calls are kept; their numbers and the counts stay.',
    )


max_lines = option(
    '--max-lines',
    type=click.IntRange(0),
    default=0,
    help='The most lines; calls to a further one are refused. 0: any number.',
)

withheld = option(
    '--withheld',
    type=click.Choice(['hide', 'keep']),
    default='hide',
    help='What to do about callers who withhold their number: hide who they are, or keep it, as an emergency line may.',
)

call_timeout = option('--call-timeout', type=Seconds(), default=3600.0, help='How long one call may last.')

log_level = option(
    '--log-level',
    type=click.Choice(['debug', 'info', 'warning', 'error']),
    default='info',
    help='What is logged: debug shows each command, info each call.',
)
