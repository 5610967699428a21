"""Entry points: what other packages offer to hitcounter, in three groups, each loaded when it is asked for."""

from importlib.metadata import EntryPoint, distributions, entry_points
from typing import Any

from ..errors import EntryPointError

SCRIPTS = 'hitcounter.scripts'
COMPONENTS = 'hitcounter.components'
COMMANDS = 'hitcounter.commands'


def offers(group: str) -> list[EntryPoint]:
    """What the installed packages offer in `group`, not loaded yet. Raises EntryPointError if that cannot be read."""
    try:
        return list(entry_points(group=group))
    except Exception as error:  # it reads the files of all packages, and raises what a malformed one leads to
        from ..state.model.blame import reason  # it imports ZODB, which only this error needs

        raise EntryPointError(
            f'the entry_points.txt of {_unreadable()} cannot be read ({reason(error)}): fix or uninstall it'
        ) from error


def _unreadable() -> str:
    """The package whose entry points cannot be read."""
    for package in distributions():
        try:
            package.entry_points  # noqa: B018 -- it is read now
        except Exception:  # noqa: BLE001 -- as `offers` does
            return f'the package {package.name}'
    return 'an installed package'


def load(offer: EntryPoint) -> Any:  # Any: whatever a package may offer
    """The object that `offer` names. Raises EntryPointError if its package cannot be imported, or does not have it."""
    try:
        return offer.load()
    except (Exception, SystemExit) as error:  # a package may raise anything while it is imported
        from ..state.model.blame import described

        raise refusal(offer, f'cannot be loaded ({described(error)}): fix or uninstall its package') from error


def refusal(offer: EntryPoint, reason: str) -> EntryPointError:
    """The error that says why `offer` is not served."""
    package = offer.dist.name if offer.dist else 'a package without a name'
    return EntryPointError(f'the entry point {offer.name} = {offer.value} ({offer.group}, of {package}) {reason}')
