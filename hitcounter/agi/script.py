"""Scripts: what a call runs, chosen by the path of its network script."""

import functools
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, ParamSpec, TypeVar

from ..deferred import deferred, never_run
from ..errors import ConnectionLost, Hangup, HitcounterError, LineRefused, ProtocolError, ScriptError
from . import call_log
from .call import Call
from .call_log import ENDED, FAILED, HUNG_UP, Ending, failure
from .protocol.request import path_of, segments_of

logger = logging.getLogger(__name__)

P = ParamSpec('P')
R_co = TypeVar('R_co', covariant=True)

#: Paths whose scripts are cached; a dialplan asks for few.
REMEMBERED = 256

_NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Script(Generic[P, R_co]):
    """A function that handles a call, and the path by which the dialplan asks for it.

    The path `vote/{line}` has a parameter, which stands for one segment that is not empty: `call.parameters['line']`.
    The other segments are compared after decoding; '' is the path of `agi://host`. Raises ScriptError for other
    paths, and for functions that do not run when they are called: async functions and generator functions.
    """

    path: str
    function: Callable[P, R_co]

    def __post_init__(self) -> None:
        _check(self.path)
        _check_function(self.function, self.path)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        return self.function(*args, **kwargs)

    def __str__(self) -> str:
        """The path and the function, for the message of an error about both."""
        function = getattr(self.function, 'func', self.function)  # bound or not
        name = getattr(function, '__qualname__', type(function).__qualname__)
        return f'{self.path!r} ({function.__module__}.{name})'

    def bind(self, **arguments: object) -> 'Script[[Call], R_co]':
        """This script with `arguments` bound, so that it takes only the call. Raises ScriptError if they do not fit."""
        self.check(**arguments)
        function: Callable[..., R_co] = self.function
        return Script(self.path, functools.partial(function, **arguments))

    def check(self, **arguments: object) -> None:
        """Raise ScriptError unless the function accepts a call and `arguments`."""
        try:
            inspect.signature(self.function).bind(None, **arguments)
        except (TypeError, ValueError) as error:
            given = ' and '.join(['a call', *arguments])
            raise ScriptError(
                f'the script {self} cannot be run with {given}: {error}; bind() exactly the arguments that it takes'
            ) from error


def script(path: str) -> Callable[[Callable[P, R_co]], Script[P, R_co]]:
    """Make a function the script for `agi://host/path`. Raises ScriptError as Script does."""
    _check(path)
    return lambda function: Script(path, function)


class Scripts:
    """The scripts of a server. Segment by segment from the left, a literal segment wins over a parameter.

    Raises ScriptError if two have the same path, or one takes more than a call.
    """

    def __init__(self, scripts: Iterable[Script[..., object]]) -> None:
        if isinstance(scripts, Script | str) or not isinstance(scripts, Iterable):
            raise ScriptError(f'{scripts!r} is not a list of scripts: give them as in [greet]')
        shapes: dict[tuple[str, ...], Script[..., object]] = {}
        for script in scripts:
            if not isinstance(script, Script):  # easily forgotten if types are not checked
                raise ScriptError(f'{script!r} is not a script: mark the function with @script')
            script.check()
            shape = tuple('{}' if _is_parameter(segment) else segment for segment in _pattern(script.path))
            if shape in shapes:
                raise ScriptError(f'two scripts have the same path, {shapes[shape]} and {script}: change one of them')
            shapes[shape] = script
        routes = [(_pattern(script.path), script) for script in shapes.values()]
        self._routes = sorted(routes, key=lambda route: [_is_parameter(segment) for segment in route[0]])
        self._remembered = functools.lru_cache(REMEMBERED)(self._search)

    def find(self, network_script: str) -> tuple[Script[..., object] | None, Mapping[str, str]]:
        """The requested script, or None, and its parameters."""
        return self._remembered(path_of(network_script))

    def _search(self, path: str) -> tuple[Script[..., object] | None, Mapping[str, str]]:
        asked = segments_of(path)
        for pattern, script in self._routes:
            parameters = _match(pattern, asked)
            if parameters is not None:
                return script, MappingProxyType(parameters)
        return None, _NO_PARAMETERS


def run_script(call: Call, script: Script[..., object] | None) -> Ending:
    """Run the call's script, if there is one; returns how the call ended.

    A connection that is lost after the hangup, as AGIEXITONHANGUP has it, counts as the hangup.
    """
    if script is None:
        return failure(f'failed ({call_log.missing(call)})')
    try:
        result = script.function(call)  # not through __call__, which would take a page of each thread's stack
        if result is not None:
            refuse_what_never_ran(result, script)
        call.expect_silence()
    except BaseException as error:  # noqa: BLE001 -- a script may raise what it likes, SystemExit too; it ends its own call
        return _ending_by(error, call, script)
    if call.noticed_hangup:
        return HUNG_UP
    if call.lost:  # and the script ignored the error
        return failure(f'lost ({call_log.why_lost(call)})')
    return ENDED


def _ending_by(error: BaseException, call: Call, script: Script[..., object]) -> Ending:
    """How a call ends whose script raised `error`, which is logged unless Asterisk or the caller ended the call."""
    match error:
        case Hangup():
            return HUNG_UP
        case ConnectionLost() if call.noticed_hangup:
            return HUNG_UP
        case ProtocolError() | ConnectionLost():
            return failure(f'lost ({call_log.message_of(error, call)})')
        case LineRefused():  # what a caller dials makes one line, and not an error of the server
            return failure(f'failed ({call_log.message_of(error, call)})')
        case HitcounterError(is_programming_error=False):  # the caller cannot be served, but no code is wrong
            logger.error('%s: %s', call.environment.unique_id, call_log.message_of(error, call))
        case _:
            call_log.log_failure(call, script.path, error)
    return FAILED


def refuse_what_never_ran(result: object, script: object) -> None:
    """Raise ScriptError if `result` shows that the script was an async or a generator function inside a decorator."""
    if never_run(result):
        raise ScriptError(
            f'the script {script} returned a {type(result).__name__}, and did not run: make the decorated function a '
            f'plain one'
        )


def _pattern(path: str) -> tuple[str, ...]:
    return tuple(path.split('/')) if path else ()


def _is_parameter(segment: str) -> bool:
    return segment[:1] == '{'


def _match(pattern: tuple[str, ...], asked: tuple[str, ...]) -> dict[str, str] | None:
    """The values of the parameters of `pattern` in the segments `asked`; None if they do not match."""
    if len(pattern) != len(asked):
        return None
    parameters = {}
    for expected, segment in zip(pattern, asked, strict=True):
        if not _is_parameter(expected):
            if segment != expected:
                return None
        elif segment:
            parameters[expected[1:-1]] = segment
        else:
            return None
    return parameters


def _check_function(function: object, path: str) -> None:
    if not callable(function):
        raise ScriptError(f'the script {path!r} cannot run {function!r}: give it a function of the call')
    if kind := deferred(function):
        raise ScriptError(
            f'the script {path!r} is {kind} ({getattr(function, "__qualname__", function)}), which does not run when '
            f'it is called: make it a plain function'
        )


def _check(path: str) -> None:
    if not isinstance(path, str):
        raise ScriptError(f'{path!r} is not the path of a script: write it as in @script("hits")')
    pattern = _pattern(path)
    if '' in pattern:
        raise ScriptError(f'the path {path!r} has an empty segment: leave out its first, last or second slash')
    parameters = [segment for segment in pattern if '{' in segment or '}' in segment]
    for parameter in parameters:
        if not (parameter[0] + parameter[-1] == '{}' and parameter[1:-1].isidentifier()):
            raise ScriptError(f'the path {path!r} has the segment {parameter!r}: write a parameter as {{line}}, alone')
        if parameters.count(parameter) > 1:
            raise ScriptError(f'the path {path!r} has the parameter {parameter!r} twice: rename one')
