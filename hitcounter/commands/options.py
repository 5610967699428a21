"""The options of the commands, each spelled once: its flag, its type, its default, its help."""

import ipaddress
import math
import os
import pwd
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import quote

import click

from ..agi import check_sound_file
from ..agi.protocol.command import LINE_LIMIT
from ..agi.serving.server import MAX_CALLS, PORT
from ..durations import parse_duration
from ..errors import CommandRefused
from .config import KEYS as KEYS
from .config import PREFIX
from .config import config as config
from .config import option as option

F = TypeVar('F', bound=Callable[..., Any])


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
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Network(click.ParamType[Any]):
    """An address or a network of addresses, IPv4 or IPv6."""

    name = 'network'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return ipaddress.ip_network(value)
        except ValueError as error:
            self.fail(f'{value!r} is not a network such as 192.0.2.0/24: {error}', param, ctx)


class StorageOf(click.ParamType[tuple[str, str]]):
    """NAME=URI: a component, and the storage that it lives in."""

    name = 'name=uri'
    #: Whether a table of the TOML file may give them.
    is_pair = True

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, uri = str(value).partition('=')
        if not (name and equals and uri):
            from ..state.storage.uri import public  # here, since the database takes long to import

            self.fail(f'{public(str(value))!r} is not NAME=URI, as in wallboard=file:///srv/wallboard.fs', param, ctx)
        return name, uri


listen = option(
    '--listen', type=Address(), default=f'127.0.0.1:{PORT}', help='The address where Asterisk finds the server.'
)

allow = option(
    '--allow', type=Network(), multiple=True, help='A network whose peers may call, besides this machine; repeatable.'
)


def _playable(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        try:
            check_sound_file(name)
        except CommandRefused as error:
            raise click.BadParameter(str(error)) from error
    return names


def _prompts() -> tuple[str, ...]:
    from ..hits import PROMPTS  # here, since the database that it counts in takes long to import

    return PROMPTS


prompt = option(
    '--prompt',
    metavar='NAME',
    multiple=True,
    default=_prompts,
    show_default='hello, number',
    callback=_playable,
    help='A sound file to play before the number; repeatable.',
)


def storage(command: F) -> F:
    """The options for the database, and for the users whose databases are opened."""
    return _storage(trust_owner(command))


def _default_storage() -> str:
    """The file in the `var/` of the folder that HITCOUNTER_HOME names, or of the working directory."""
    home = os.environ.get(f'{PREFIX}HOME', '.')
    with suppress(OSError):  # the working directory is gone, which matters only if the database is in it
        home = os.path.abspath(home)
    return f'file://{quote(home)}/var/hitcounter.fs'


_storage = option(
    '--storage',
    metavar='URI',
    default=_default_storage,
    show_default='the file var/hitcounter.fs',
    help='The database: file:///srv/hits.fs, memory:, or any other URI that zodburi opens.',
)


def _once(_: click.Context, __: click.Parameter, pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise click.BadParameter(f'{name!r} has {count} storages: name one for each component')
    return dict(pairs)


storage_of = option(
    '--storage-of',
    type=StorageOf(),
    metavar='NAME=URI',
    multiple=True,
    callback=_once,
    help='The database of one component, if it does not live in that of --storage; repeatable.',
)

trust_owner = option(
    '--trust-owner',
    metavar='USER',
    type=User(),
    help='Also open a database that belongs to this user (a name or an id), who can then run any code as you.',
)


#: Seconds that a command of upkeep gives each of its updates: no caller waits for them.
UPKEEP_TIMEOUT = 60.0


def _update_timeout() -> float:
    from ..state.transactions.job import UPDATE_TIMEOUT  # here, since it takes long to import

    return UPDATE_TIMEOUT


def _positive(_: click.Context, __: click.Parameter, seconds: float) -> float:
    if not seconds:
        raise click.BadParameter('an update cannot be stored in no time: give more than 0s, as in 8s')
    return seconds


update_timeout = option(
    '--update-timeout',
    type=Duration(),
    default=_update_timeout,
    show_default='8s',
    callback=_positive,
    help='How long a caller waits for an update, or a query, whatever the storage does; then it is taken back.',
)

line_limit = option(
    '--line-limit',
    metavar='BYTES',
    type=click.IntRange(128),
    default=LINE_LIMIT,
    help='The longest command that Asterisk accepts; 2047 for Asterisk 16.',
)

pack_every = option(
    '--pack-every',
    type=Duration(),
    default='7d',
    help='How often to pack the database file; it is also packed when it has doubled. 0d: never.',
)

pack_keep = option('--pack-keep', type=Duration(), default='7d', help='How much history a pack keeps.')


keep_calls = option(
    '--keep-calls',
    type=Duration(),
    show_default=False,
    help='How long to keep who called; numbers and counts stay for ever.',
)

max_calls = option('--max-calls', type=click.IntRange(1), default=MAX_CALLS, help='The most calls at the same time.')

max_calls_per_peer = option(
    '--max-calls-per-peer',
    type=click.IntRange(1),
    help='The most calls at the same time from one address; default: any number.',
)

max_lines = option(
    '--max-lines',
    type=click.IntRange(0),
    default=0,
    help='How many lines there may be; calls to a further one are refused. 0: any number.',
)

withheld = option(
    '--withheld',
    type=click.Choice(['hide', 'keep']),
    default='hide',
    help='What to do with callers who withhold their number: hide who they are, or keep it, as an emergency line may.',
)

call_timeout = option('--call-timeout', type=Seconds(), default=3600.0, help='How long one call may last.')

drain = option('--drain', type=Seconds(), default=30.0, help='How long calls may go on after a signal to stop.')

cpu = option('--cpu', type=click.IntRange(0), help='The one core to run on, which is twice as fast as several.')

log_level = option(
    '--log-level',
    type=click.Choice(['debug', 'info', 'warning', 'error']),
    default='info',
    help='What is logged: debug shows each command, info each call.',
)

log_format = option(
    '--log-format',
    type=click.Choice(['text', 'json']),
    default='text',
    help='How a line of the log looks: text for people, json for programs, one object for each line.',
)
