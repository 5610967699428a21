"""How the dialplan evaluates `${...}` and `$[...]`, as far as scripts usually need it."""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Final

from .channel import decode, encode

#: Returns a variable's value, or None.
Get = Callable[[str], str | None]

_VARIABLE: Final = re.compile(r'\$\{((?:[^{}]|\$\{[^{}]*\})*)\}')
_SLICE: Final = re.compile(r'(.*?):(-?\d+)(?::(-?\d+))?', re.DOTALL)
_TERM: Final = re.compile(r'\$\[ *(-?\d+) *([-+*=<>]|!=|<=|>=) *(-?\d+) *\]')

_OPERATORS: Final[Mapping[str, Callable[[int, int], int]]] = {
    '+': operator.add,
    '-': operator.sub,
    '*': operator.mul,
    '=': operator.eq,
    '!=': operator.ne,
    '<': operator.lt,
    '<=': operator.le,
    '>': operator.gt,
    '>=': operator.ge,
}


def expand(text: str, get: Get) -> str:
    """Expand each `${NAME}` and `${NAME:offset:length}`, nested ones too, and each `$[1 + 2]` of two integers.

    >>> expand('${GREETING:1} to ${NOBODY}$[1 + 2]', {'GREETING': 'hello'}.get)
    'ello to 3'
    """
    return _TERM.sub(_calculate, _VARIABLE.sub(lambda found: _value(expand(found[1], get), get), text))


def _value(name: str, get: Get) -> str:
    if not (sliced := _SLICE.fullmatch(name)):
        return get(name) or ''
    value = encode(get(sliced[1]) or '')[int(sliced[2]) :]
    return decode(value if sliced[3] is None else value[: int(sliced[3])])


def _calculate(found: re.Match[str]) -> str:
    return str(int(_OPERATORS[found[2]](int(found[1]), int(found[3]))))
