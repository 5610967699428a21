"""Plugins: our own scripts and component, and those that other packages offer by entry points."""

from importlib.metadata import EntryPoint

from ..agi import Script
from ..hits import HitCounter, tell_the_number
from ..state import Component, State
from .entry_points import COMPONENTS, SCRIPTS, load, offers, refusal


def scripts(state: State | None, **settings: object) -> list[Script[..., object]]:
    """Every script that is served, bound to `state`, our own also to `settings`. Raises EntryPointError, ScriptError.

    Without a state they can be looked at, but not run.
    """
    return [*own_scripts(state, **settings), *(script_of(offer, state) for offer in offers(SCRIPTS))]


def own_scripts(state: State | None, **settings: object) -> list[Script[..., object]]:
    """The script of the hit counter, under its path and under none, bound to `state` and `settings`."""
    bound = tell_the_number.bind(state=state, **settings)
    return [Script('', bound.function), bound]


def components() -> list[type[Component]]:
    """The hit counter and the components of other packages. Raises EntryPointError."""
    return [HitCounter, *map(component_of, offers(COMPONENTS))]


def script_of(offer: EntryPoint, state: State | None) -> Script[..., object]:
    """The script that `offer` names, bound to `state`. Raises EntryPointError, or ScriptError if it takes more."""
    script = load(offer)
    if not isinstance(script, Script):
        raise refusal(offer, f'is {script!r}, not a script: mark the function with @script')
    return script.bind(state=state)


def component_of(offer: EntryPoint) -> type[Component]:
    """The component that `offer` names. Raises EntryPointError."""
    component = load(offer)
    if not (isinstance(component, type) and issubclass(component, Component)):
        raise refusal(offer, f'is {component!r}, not a component: name a subclass of Component')
    return component
