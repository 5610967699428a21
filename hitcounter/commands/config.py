"""Where an option comes from: its flag, its variable, or its key in the TOML file that --config names.

`--max-calls`, HITCOUNTER_MAX_CALLS and `max-calls` in the file are one option; the earliest in this list wins.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from .toml_file import read_toml

F = TypeVar('F', bound=Callable[..., Any])

#: The beginning of each variable.
PREFIX = 'HITCOUNTER_'

#: The keys that the file may have. One file serves all commands: each takes its own options from it.
KEYS: set[str] = set()


def option(flag: str, *names: str, key: str = '', **attributes: Any) -> Callable[[F], F]:
    """A click option that can also be given by a variable and in the file, by `key` if that is not its flag."""
    key = key or flag.removeprefix('--')
    KEYS.add(key)
    return click.option(
        flag,
        *names,
        envvar=_variable(key),
        show_envvar=True,
        show_default=attributes.pop('show_default', True),
        **attributes,
    )


def _variable(key: str) -> str:
    return PREFIX + key.replace('-', '_').upper()


def _read_config(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    try:
        values = read_toml(path)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    values = {key.replace('_', '-'): value for key, value in values.items()}
    unknown = sorted(set(values) - KEYS)
    if unknown:
        raise click.BadParameter(f'{str(path)!r} has {unknown[0]!r}, which is not one of {", ".join(sorted(KEYS))}')
    own = {parameter.envvar: parameter for parameter in ctx.command.params}
    ctx.default_map = {}
    for key, value in values.items():
        if parameter := own.get(_variable(key)):
            ctx.default_map[parameter.name] = _checked(ctx, parameter, f'{str(path)!r} has {key} = {value!r}', value)


def _checked(ctx: click.Context, parameter: click.Parameter, where: str, value: Any) -> Any:
    """A value of the file as an option takes it: text, or several for an option that may be repeated."""
    if isinstance(value, dict) and getattr(parameter.type, 'is_pair', False):  # a table in place of KEY=VALUE
        value = [f'{name}={one}' for name, one in value.items()]
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str | int | float) and not isinstance(one, bool) for one in values):
        raise click.BadParameter(f'{where}: write a string or a number')
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
    envvar=PREFIX + 'CONFIG',
    show_envvar=True,
    callback=_read_config,
    is_eager=True,
    expose_value=False,
    help='Read options from this TOML file, for example: listen = "127.0.0.1:4573"',
)
