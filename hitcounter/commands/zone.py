"""The time zone that this machine is set to."""

import os
from contextlib import suppress
from zoneinfo import ZoneInfo

import click

from ..errors import RulesRefused
from ..lines.instants import check_zone
from ..lines.settings import DEFAULT


def of_machine() -> ZoneInfo:
    """The time zone that this machine is set to; UTC if that has no name."""
    link = os.path.realpath('/etc/localtime').rpartition('/zoneinfo/')[2]
    for name in (os.environ.get('TZ', '').removeprefix(':'), link):
        with suppress(RulesRefused):
            return check_zone(name)
    return check_zone('UTC')


def warn_of_zone(zone: str) -> None:
    """Warn of local times in `zone` if that is the default, and this machine is set to another zone."""
    here = of_machine().key
    if zone == DEFAULT.zone and here not in (zone, 'Etc/UTC'):
        click.echo(
            f'Warning: times are in {zone}, and this machine is set to {here}: give --time-zone {here} if its times '
            f'are meant',
            err=True,
        )
