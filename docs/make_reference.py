"""Makes the pages of docs/reference from the code: the public names, the commands with their --help, the AGI commands.

docs/build runs it before it builds the site. Nothing here is typed by hand, so nothing here can be out of date.
"""

import ast
import enum
import functools
import importlib
import inspect
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import click

from hitcounter.agi import Call, Script
from hitcounter.agi.protocol.command import runs_dead
from hitcounter.commands.main import main as command_line
from hitcounter.simulator.commands import COMMANDS as AGI_COMMANDS

FOLDER = Path(__file__).parent / 'reference'

#: What other packages import. Each of them is a page.
MODULES = ('hitcounter.agi', 'hitcounter.agi.ivr', 'hitcounter.state', 'hitcounter.hits', 'hitcounter.testing',
           'hitcounter.errors')  # fmt: skip

_WIDTH = 100
_PATH = re.compile(r'\b(?:[a-z_]\w*\.)+(?=[A-Za-z_]\w*)')  # of a module, before a name
_COMMENTED = re.compile(r'((?:^[ ]*#: .*\n)+)[ ]*(?:self\.)?(\w+)\s*(?::[^=\n]+)?(?:=.*)?$', re.MULTILINE)


def pages() -> dict[str, str]:
    """The text of each page, by the name of its file."""
    made = {f'{name.removeprefix("hitcounter.")}.md': '\n'.join(_module(name)) for name in MODULES}
    made['commands.md'] = '\n'.join(_commands())
    made['agi-commands.md'] = '\n'.join(_agi_commands())
    made['fixtures.md'] = '\n'.join(_fixtures())
    return made


def public_names(module: ModuleType) -> list[str]:
    """What a module offers: its `__all__`, or else what it defines itself, in its own order."""
    if hasattr(module, '__all__'):
        return list(module.__all__)
    own = ast.parse(inspect.getsource(module)).body
    defined = [node.name for node in own if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    assigned = [target.id for node in own if isinstance(node, ast.Assign) for target in node.targets
                if isinstance(target, ast.Name)]  # fmt: skip
    return [name for name in (*assigned, *defined) if not name.startswith('_') and name != 'logger']


def public_members(cls: type) -> dict[str, object]:
    """The methods and properties of a class with a docstring, its own before those of bases that have no page."""
    found: dict[str, object] = {}
    for base in _own_bases(cls):
        for name, member in vars(base).items():
            function = _function_of(member)
            is_member = inspect.isroutine(function) or isinstance(function, property)
            if is_member and inspect.getdoc(function) and not name.startswith('_'):
                found.setdefault(name, member)
    return found


def _own_bases(cls: type) -> list[type]:
    """The class, and those of our bases that are on no page themselves."""
    ours = [base for base in cls.__mro__ if base.__module__.startswith('hitcounter.')]
    return [base for base in ours if base is cls or base not in _public_classes()]


@functools.cache
def _public_classes() -> frozenset[type]:
    modules = [importlib.import_module(name) for name in MODULES]
    values = [getattr(module, name) for module in modules for name in public_names(module)]
    return frozenset(value for value in values if inspect.isclass(value))


def _function_of(member: object) -> object:
    return member.__func__ if isinstance(member, classmethod | staticmethod) else member


# A module.


def _module(name: str) -> Iterator[str]:
    module = importlib.import_module(name)
    yield f'# {name}\n'
    yield f'{_text(module)}\n'
    for public in public_names(module):
        yield from _name(module, public, getattr(module, public))


def _name(module: ModuleType, name: str, value: object) -> Iterator[str]:
    yield f'## {name}\n'
    if inspect.isclass(value):
        yield from _class(value)
    elif isinstance(value, Script):
        yield f'The script `{value.path}`.\n'
        yield _signature(name, value.function)
        yield f'{_text(value.function)}\n'
    elif inspect.isroutine(value):
        yield _signature(name, value)
        yield f'{_text(value)}\n'
    else:
        shown = _PATH.sub('', repr(value)).replace(' | ', '\n    | ')
        yield f'```python\n{name} = {shown}\n```\n'
        yield f'{_comments(inspect.getsource(module)).get(name, "")}\n'


def _class(cls: type) -> Iterator[str]:
    name = cls.__name__
    bases = [base for base in cls.__bases__ if base in _public_classes() or issubclass(base, BaseException)]
    if bases:
        yield f'Base: {", ".join(f"`{base.__name__}`" for base in bases)}.\n'
    if not issubclass(cls, BaseException | enum.Enum):
        yield _signature(name, cls)
    yield f'{_text(cls)}\n'
    members = public_members(cls)
    fields = {key: text for key, text in _fields(cls).items() if key not in members}
    yield from (f'- `{field}`: {text}' for field, text in fields.items())
    yield ''
    for key, member in members.items():
        yield f'### {name}.{key}\n'
        if not isinstance(member, property):
            yield _signature(f'{name}.{key}', _function_of(member))
        yield f'{_text(_function_of(member))}\n'


def _fields(cls: type) -> dict[str, str]:
    """The attributes that a class says something about, each with that, and the members of an Enum."""
    if issubclass(cls, enum.Enum):
        return {member.name: f'`{member.value!r}`' for member in cls}
    fields: dict[str, str] = {}
    for base in reversed(_own_bases(cls)):
        fields |= _comments(_source(base))
    return fields


def _source(cls: type) -> str:
    try:
        return inspect.getsource(cls)
    except OSError:  # the base of a NamedTuple has none
        return ''


def _comments(source: str) -> dict[str, str]:
    """The comment `#:` before each name that is assigned to."""
    return {
        name: ' '.join(line.strip().removeprefix('#: ') for line in comment.splitlines())
        for comment, name in _COMMENTED.findall(source)
        if not name.startswith('_')
    }


def _text(thing: object) -> str:
    """The docstring, with its examples fenced."""
    text = inspect.getdoc(thing) or ''
    return re.sub(r'^(>>> (?:.+\n?)+)', r'```python\n\1\n```\n', text, flags=re.MULTILINE)


def _signature(name: str, function: object) -> str:
    """The signature as it is written; on several lines if it is long."""
    try:
        signature = inspect.signature(function)  # type: ignore[arg-type]  # any callable
    except (TypeError, ValueError):
        return ''
    parameters = [parameter for parameter in signature.parameters.values() if parameter.name not in ('self', 'cls')]
    written = name + _short(signature.replace(parameters=parameters))
    if len(written) > _WIDTH:
        written = name + _long(signature.replace(parameters=parameters))
    return f'```python\n{written}\n```\n'


def _short(signature: inspect.Signature) -> str:
    """On one line, without the modules of types; a value without a literal is its name, or `...`."""
    written = _PATH.sub('', str(signature)).replace('mappingproxy({})', '{}')
    written = re.sub(r'<(\w+\.\w+): [^>]*>', r'\1', written)
    return re.sub(r'<function .*? at \w+>|<\w+>', '...', written)


def _long(signature: inspect.Signature) -> str:
    """One parameter a line, as ruff writes it."""
    before, keyword_only = [], False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            before.append('*')
            keyword_only = True
        keyword_only |= parameter.kind is parameter.VAR_POSITIONAL
        before.append(_short(inspect.Signature([parameter]))[1:-1].removeprefix('*, '))
    returned = _short(inspect.Signature(return_annotation=signature.return_annotation))[2:]
    return '(\n' + ''.join(f'    {line},\n' for line in before) + f'){returned}'


# The commands.


def commands() -> dict[str, click.Command]:
    """Our own commands, in their order."""
    context = click.Context(command_line)
    named = ((name, command_line.get_command(context, name)) for name in command_line.list_commands(context))
    return {name: command for name, command in named if command and _is_ours(command)}


def _is_ours(command: click.Command) -> bool:
    return getattr(command.callback, '__module__', '').startswith('hitcounter.')


def help_of(name: str, command: click.Command) -> str:
    """What `hitcounter NAME --help` prints."""
    return command.get_help(click.Context(command, info_name=f'hitcounter {name}', terminal_width=_WIDTH))


def _commands() -> Iterator[str]:
    yield '# Commands\n'
    yield f'{_text(command_line.callback)} Each command explains itself by `--help`, as here.\n'
    for name, command in commands().items():
        yield f'## hitcounter {name}\n'
        yield f'```text\n{help_of(name, command)}\n```\n'


# The AGI commands.


def method_of(command: str) -> str:
    """The method of Call for one of Asterisk's commands."""
    return command.lower().replace(' ', '_')


def _agi_commands() -> Iterator[str]:
    yield '# AGI commands\n'
    yield f'The {len(AGI_COMMANDS)} commands of Asterisk, and the method of [Call](agi.md#call) for each.'
    yield 'A command that *runs dead* works after the caller has hung up.\n'
    yield '| command | method | runs dead | what it does |'
    yield '|---|---|---|---|'
    for command in sorted(AGI_COMMANDS):
        name = method_of(command)
        summary = ' '.join(_text(getattr(Call, name)).partition('\n\n')[0].split()).replace('|', r'\|')
        anchor = f'agi.md#call{name}'
        yield f'| `{command}` | [{name}]({anchor}) | {"yes" if runs_dead(command) else ""} | {summary} |'
    yield ''


# The fixtures.


def fixtures() -> dict[str, str]:
    """The fixtures for pytest by name, each with its docstring; pytest itself is not needed to read them."""
    spec = find_spec('hitcounter.pytest_plugin')
    assert spec
    assert spec.origin
    functions = [
        node for node in ast.parse(Path(spec.origin).read_text('utf-8')).body if isinstance(node, ast.FunctionDef)
    ]
    marked = [node for node in functions if any('fixture' in ast.unparse(one) for one in node.decorator_list)]
    return {node.name.lstrip('_'): ast.get_docstring(node) or '' for node in marked}


def _fixtures() -> Iterator[str]:
    yield '# Fixtures for pytest\n'
    yield 'They come with the package, and are there without an import.\n'
    for name, text in fixtures().items():
        yield f'## {name}\n\n{text}\n'


def main() -> None:
    """Write all pages into the folder, which then has no others but its index."""
    for old in FOLDER.glob('*.md'):
        if old.name != 'index.md':
            old.unlink()
    for name, text in pages().items():
        (FOLDER / name).write_text(re.sub(r'\n{3,}', '\n\n', text).rstrip() + '\n', 'utf-8')


if __name__ == '__main__':
    main()
