"""Scripts: what a call runs, found by the path of its network script."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, ParamSpec, TypeVar

from .environment import Environment

P = ParamSpec('P')
R = TypeVar('R')


@dataclass(frozen=True)
class Script(Generic[P, R]):
    """A function that handles a call, and the path under which the dialplan asks for it."""

    path: str
    function: Callable[P, R]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)


def script(path: str) -> Callable[[Callable[P, R]], Script[P, R]]:
    """Make a function the script for `agi://host/path`."""
    return lambda function: Script(path, function)


def find(scripts: Mapping[str, R], environment: Environment) -> R | None:
    """The one of `scripts` whose path the environment asks for, or None; '' is the path of `agi://host`."""
    path = environment.script.partition('?')[0].strip('/')
    return scripts.get(path)
