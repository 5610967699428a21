"""What is installed: our own component, and the scripts and components that other packages offer by entry points."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from ..agi import Script
from ..errors import EntryPointError
from ..hits import HitCounter
from ..state import Component
from ..state.model.blame import reason, told

_SCRIPTS = 'hitcounter.scripts'
_COMPONENTS = 'hitcounter.components'


def scripts(**arguments: object) -> list[Script[..., object]]:
    """Those of the group hitcounter.scripts, bound to `arguments`. Raises EntryPointError for what is none."""
    bound: list[Script[..., object]] = []
    for offer, script in _offers(_SCRIPTS):
        if not isinstance(script, Script):
            raise _refusal(offer, f'is {script!r}, not a script: mark the function with @script')
        bound.append(script.bind(**arguments))
    return bound


def components() -> list[type[Component]]:
    """The hit counter, and those of the group hitcounter.components. Raises EntryPointError for what is none."""
    found: list[type[Component]] = [HitCounter]
    for offer, component in _offers(_COMPONENTS):
        if not (isinstance(component, type) and issubclass(component, Component)):
            raise _refusal(offer, f'is {component!r}, no component: name a subclass of Component')
        found.append(component)
    return found


def _offers(group: str) -> Iterator[tuple[EntryPoint, Any]]:  # Any: whatever a package may offer
    try:
        offers = entry_points(group=group)
    except Exception as error:  # it reads the files of all packages, and raises what a malformed one leads to
        raise EntryPointError(
            f'the entry_points.txt of some installed package cannot be read ({reason(error)}): fix or uninstall it'
        ) from error
    for offer in offers:
        try:
            loaded = offer.load()
        except (Exception, SystemExit) as error:  # a package may raise anything while it is imported
            raise _refusal(offer, f'cannot be loaded ({told(error)}): fix or uninstall its package') from error
        yield offer, loaded


def _refusal(offer: EntryPoint, reason: str) -> EntryPointError:
    package = offer.dist.name if offer.dist else 'a package without a name'
    return EntryPointError(f'the entry point {offer.name} = {offer.value} ({offer.group}, of {package}) {reason}')
