"""Which private names, and which modules without a documented interface, of other packages the package uses.

Found in the source. What `x._name` is cannot be known for certain there: it counts as our own if the module of the
access, or a class of ours that the accessing class inherits from, defines that name.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import hitcounter

#: Private by their spelling, and documented: those of named tuples.
_PUBLIC = {'_asdict', '_replace', '_fields', '_make'}

#: Attributes of persistent objects that are documented.
_OF_PERSISTENT = ('_p_', '_v_')


def private_names() -> Iterator[tuple[str, str]]:
    """Each private foreign name, and the module of ours that uses or overrides it."""
    for module in _modules():
        tree = _parsed(module)
        defined = _defined_in(tree)
        for name in _of_modules(tree, defined):
            yield name, module.__name__
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                for name in _of_class(getattr(module, node.name), node):
                    yield name, module.__name__


def imports(*packages: str) -> Iterator[tuple[str, str]]:
    """Each name that is imported from within these foreign packages, and the module of ours that imports it."""
    for module in _modules():
        for node in ast.walk(_parsed(module)):
            if isinstance(node, ast.ImportFrom) and not node.level and (node.module or '').split('.')[0] in packages:
                for alias in node.names:
                    yield f'{node.module}.{alias.name}', module.__name__


@functools.cache
def _modules() -> list[ModuleType]:
    return [importlib.import_module(found.name) for found in pkgutil.walk_packages(hitcounter.__path__, 'hitcounter.')]


def _parsed(module: ModuleType) -> ast.Module:
    return ast.parse(Path(str(module.__file__)).read_text())


def _of_modules(tree: ast.Module, defined: set[str]) -> Iterator[str]:
    """Those that `tree` imports or reads from something that is not `self`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names if not node.level and _is_private(alias.name))
        if isinstance(node, ast.Attribute) and not _is_self(node.value) and node.attr not in defined:
            yield from filter(_is_private, [node.attr])


def _of_class(found: type, node: ast.ClassDef) -> Iterator[str]:
    """Those that a class of ours uses or overrides of its foreign bases, and those that nobody there defines."""
    bases = [base for base in found.__mro__[1:] if base is not object]
    foreign = {name for base in bases if not _is_ours(base) for name in _defined_by(base)}
    ours = _defined_in(node).union(*(_defined_by(base) for base in filter(_is_ours, bases)))
    for name in _used_in(node):
        if name in foreign or name not in ours:
            yield name


def _used_in(node: ast.ClassDef) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and _is_self(inner.value) and _is_private(inner.attr):
            yield inner.attr
        if isinstance(inner, ast.FunctionDef) and _is_private(inner.name):
            yield inner.name
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and _is_private(inner.value):
            yield inner.value


def _defined_by(found: type) -> set[str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(found)))
    except (OSError, TypeError):  # it is written in C
        return set(filter(_is_private, vars(found)))
    return _defined_in(tree)


def _defined_in(tree: ast.AST) -> set[str]:
    """The private names that functions, classes and assignments define there, and those of `__slots__`."""
    defined = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
            defined.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            defined.add(node.value)
    return set(filter(_is_private, defined))


def _is_self(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == 'super'
    return isinstance(node, ast.Name) and node.id in ('self', 'cls')


def _is_private(name: str) -> bool:
    return (
        name.isidentifier()
        and name.strip('_') != ''
        and name.startswith('_')
        and not name.endswith('_')
        and not name.startswith(_OF_PERSISTENT)
        and name not in _PUBLIC
    )


def _is_ours(found: type) -> bool:
    return found.__module__.split('.')[0] == 'hitcounter'
