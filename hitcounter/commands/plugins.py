"""Plugins: our own scripts and components, and those that other packages offer by entry points."""

from importlib.metadata import EntryPoint

from ..agi import Script
from ..hits import HitCounter
from ..lines.calling import Desk
from ..lines.component import Lines
from ..lines.script import serve_line
from ..lines.sounds import check_sounds
from ..state import Component, State
from .entry_points import COMPONENTS, SCRIPTS, load, offers, refusal

#: The components of our own.
OWN_COMPONENTS: tuple[type[Component], ...] = (HitCounter, Lines)


def scripts(state: State | None, **settings: object) -> list[Script[..., object]]:
    """Every script that is served, bound to `state`, our own also to `settings`. Raises EntryPointError, ScriptError.

    Without a state they can be looked at, but not run.
    """
    return [*own_scripts(state, **settings), *(script_of(offer, state) for offer in offers(SCRIPTS))]


def own_scripts(state: State | None, **settings: object) -> list[Script[..., object]]:
    """The script of all lines, by its path and by two paths that name no line, and the one that checks sound files.

    All are bound to `state`, the first also to `settings`, and the other to the prompts among them.
    """
    bound = serve_line.bind(desk=state and Desk(state), **settings)
    prompts = {name: value for name, value in settings.items() if name == 'prompts'}
    return [
        Script('', bound.function),
        Script('hits', bound.function),
        bound,
        check_sounds.bind(state=state, **prompts),
    ]


def components() -> list[type[Component]]:
    """The hit counter, its lines, and the components of other packages. Raises EntryPointError."""
    return [*OWN_COMPONENTS, *map(component_of, offers(COMPONENTS))]


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
