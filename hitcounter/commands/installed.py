"""hitcounter plugins: the scripts, components and commands that are installed and served."""

import json
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, PackageNotFoundError, version
from typing import Any, NamedTuple, TypeVar

import click

from ..agi.script import Scripts
from ..errors import HitcounterError
from ..state import Component
from ..state.model.component import in_order
from . import entry_points, plugins
from .base import Command
from .entry_points import COMPONENTS, SCRIPTS, offers
from .group import command_of
from .own import COMMANDS

T = TypeVar('T')

_OURS = 'hitcounter-agi'


class Plugin(NamedTuple):
    """Something that is installed: a script, a component or a command."""

    #: The path of a script, the name of a component or a command.
    name: str
    #: The function or the class.
    code: str
    #: The distribution that has it, and its version; both empty if they are unknown.
    distribution: str
    version: str
    #: The schema of a component; None for others.
    schema: int | None = None


class Installed(NamedTuple):
    """All that is installed."""

    scripts: list[Plugin]
    components: list[Plugin]
    commands: list[Plugin]
    #: Why some of it cannot be served, a sentence for each.
    refusals: list[str]


@click.command(cls=Command, epilog='Example: hitcounter plugins --json')
@click.option('--json', 'as_json', is_flag=True, help='For programs: one JSON object.')
def main(as_json: bool) -> None:
    """List the scripts, components and commands that are installed, each with its package and version.

    The scripts have their paths, and the components their schemas. Exit status 1: some of it cannot be served, and the
    last lines say why.
    """
    found = installed()
    if as_json:
        kinds = {kind: [one._asdict() for one in getattr(found, kind)] for kind in found._fields[:-1]}
        click.echo(json.dumps({**kinds, 'refusals': found.refusals}))
    else:
        for line in _lines(found):
            click.echo(line)
    sys.exit(1 if found.refusals else 0)


def installed() -> Installed:
    """All that is installed, imported to see whether it can be served."""
    refusals: list[str] = []
    others = _loaded(SCRIPTS, lambda offer, _: plugins.script_of(offer, None), refusals)
    scripts = [*((None, script) for script in plugins.own_scripts(None)), *others]
    components: list[tuple[EntryPoint | None, type[Component]]] = [
        *((None, component) for component in plugins.OWN_COMPONENTS),
        *_loaded(COMPONENTS, lambda offer, _: plugins.component_of(offer), refusals),
    ]
    commands = _loaded(entry_points.COMMANDS, lambda offer, found: command_of(offer, found, COMMANDS), refusals)
    refusals += _misfit(lambda: Scripts(script for _, script in scripts))
    refusals += _misfit(lambda: in_order(component for _, component in components))
    return Installed(
        [Plugin(script.path, _code(script.function), *_package(offer)) for offer, script in scripts],
        [Plugin(one.name, _code(one), *_package(offer), one.schema) for offer, one in components],
        [
            *(
                Plugin(name, f'{__package__}.{own.module}.{own.name}', *_package(None))
                for name, own in COMMANDS.items()
            ),
            *(Plugin(offer.name, offer.value.replace(':', '.'), *_package(offer)) for offer, _ in commands),
        ],
        refusals,
    )


def _loaded(
    group: str, load: Callable[[EntryPoint, list[EntryPoint]], T], refusals: list[str]
) -> list[tuple[EntryPoint, T]]:
    """What `load` makes of each offer in `group`; adds to `refusals` why it makes nothing of some."""
    loaded: list[tuple[EntryPoint, T]] = []
    try:
        found = offers(group)
    except HitcounterError as error:
        if str(error) not in refusals:  # the same file for every group
            refusals.append(str(error))
        return loaded
    for offer in sorted(found):
        try:
            loaded.append((offer, load(offer, found)))
        except HitcounterError as error:
            refusals.append(str(error))
    return loaded


def _misfit(together: Callable[[], object]) -> list[str]:
    """Why these cannot be served together, if so."""
    try:
        together()
    except HitcounterError as error:
        return [str(error)]
    return []


def _code(code: Any) -> str:
    """The module and the name of a class, or of a function, bound or not."""
    code = getattr(code, 'func', code)
    return f'{code.__module__}.{getattr(code, "__qualname__", type(code).__qualname__)}'


def _package(offer: EntryPoint | None) -> tuple[str, str]:
    """The distribution of `offer`, or our own, and its version."""
    if offer is not None:
        return (offer.dist.name, offer.dist.version) if offer.dist else ('', '')
    try:
        return _OURS, version(_OURS)
    except PackageNotFoundError:  # it runs from its tree
        return _OURS, ''


def _lines(found: Installed) -> Iterator[str]:
    for kind in found._fields[:-1]:
        yield f'{kind}:'
        rows = [_row(one) for one in getattr(found, kind)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            yield '  ' + '  '.join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
    for refusal in found.refusals:
        yield f'not served: {refusal}'


def _row(one: Plugin) -> tuple[str, ...]:
    schema = () if one.schema is None else (f'schema {one.schema}',)
    return (one.name or "''", *schema, one.code, f'{one.distribution} {one.version}'.strip() or 'unknown package')
