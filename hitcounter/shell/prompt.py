"""The shell at a terminal: IPython, with a prompt and commands of its own."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import islice
from tempfile import TemporaryDirectory
from traceback import walk_tb
from types import TracebackType
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher
from IPython.core.oinspect import OInfo
from IPython.terminal.ipapp import TerminalIPythonApp
from IPython.terminal.prompts import Prompts
from pygments.token import Token  # type: ignore[import-untyped]  # IPython requires it
from traitlets.config import Config
from ZODB.POSException import StorageError

from ..errors import HitcounterError, ReadOnly, StateError, StateUnavailable
from ..state import Component
from ..state.model.component import accesses
from .workspace import COUNT, OUTDATED, READING, Workspace, refusal_of

#: How the names of the modules of this package begin.
_PACKAGE = f'{__name__.partition(".")[0]}.'

#: The most keys of a mapping that the Tab key offers.
_KEYS = 200

_OF_STATE = re.compile(r'state\[(?P<component>\w+)\]\.(?P<begin>\w*)$')

#: Help that IPython does not show by itself: among keys it looks up only literal numbers.
_HELP = re.compile(r'(?P<before>\?{0,2})(?P<thing>[\w.]+\[[^\[\]]+\][\w.]*)(?P<after>\?{0,2})')

#: Errors that one sentence explains.
_EXPECTED = (HitcounterError, StorageError, KeyboardInterrupt)

#: Errors that are the user's where this package raises them; then its own lines explain nothing.
_WRONG_INPUT = (TypeError, ValueError, LookupError)

_HELP_MAGIC = 'show_help'

_INDEX = re.compile(r"""(?P<mapping>[\w.]+)\[(?P<quote>['"]?)(?P<begin>[^'"\]]*)$""")


def run_prompt(workspace: Workspace) -> None:
    """Run one piece of code after the other in IPython; each sees the database as it is then."""
    with ExitStack() as resources:
        config = Config()
        config.TerminalInteractiveShell.banner1 = _banner(workspace)
        config.TerminalInteractiveShell.enable_tip = False
        config.TerminalInteractiveShell.confirm_exit = False
        if not _has_home():
            config.TerminalIPythonApp.ipython_dir = resources.enter_context(TemporaryDirectory())
        application: Any = TerminalIPythonApp.instance(config=config)
        application.initialize([])
        _equip(application.shell, workspace)
        application.start()


def _banner(workspace: Workspace) -> str:
    components = [f'  {name}: {_first_line(part)}' for name, part in workspace.components.items()]
    if workspace.writes:
        rule = '%commit stores your changes, %abort discards them; until then you do not see those of others.'
    else:
        rule = 'For reading only: start with --write to change it. Each line sees what is stored when it begins.'
    return '\n'.join(
        [
            workspace.database.description,
            *components,
            f'  root: {", ".join(workspace.names["root"])}',
            *_elsewhere(workspace),
            '  state: the updates and queries that scripts have, as in state[HitCounter].count("31415")',
            f'{rule} %transactions lists the last transactions.',
            '',
        ]
    )


def _elsewhere(workspace: Workspace) -> Iterator[str]:
    """What lives in other databases, which `root` and `commit` do not reach."""
    for name, part in workspace.others.items():
        kind = type(part).__name__
        yield f'  {name}: {_first_line(part)} In {workspace.elsewhere[name].place}: to change it, call state[{kind}]'


def _first_line(component: Component) -> str:
    return (type(component).__doc__ or '').strip().partition('\n')[0]


def _equip(shell: Any, workspace: Workspace) -> None:
    shell.push(workspace.names)
    shell.prompts = _Prompts(shell, workspace)
    shell.Completer.custom_matchers += [_key_matcher(shell.user_ns), _access_matcher(workspace)]
    shell.register_magic_function(partial(_show_help, shell), 'line', _HELP_MAGIC)
    shell.input_transformers_cleanup.append(_help_transformed)
    shell.set_custom_exc((*_EXPECTED, *_WRONG_INPUT), _error_handler(workspace))
    watch = _Watch(workspace)
    shell.events.register('pre_run_cell', watch.begin)
    shell.events.register('post_run_cell', watch.end)
    for name, magic in _magics(shell, workspace).items():
        shell.register_magic_function(magic, 'line', name)


def _magics(shell: Any, workspace: Workspace) -> dict[str, Callable[[str], Any]]:
    def commit(line: str) -> Any:
        return workspace.commit(line)

    def abort(_: str) -> Any:
        return workspace.abort()

    def sync(_: str) -> Any:
        return workspace.sync()

    def transactions(line: str) -> Any:
        arguments = [_value(shell, word) for word in line.split()]
        count = [argument for argument in arguments if isinstance(argument, int)]
        objects = [argument for argument in arguments if not isinstance(argument, int)]
        return workspace.transactions(count[0] if count else COUNT, objects[0] if objects else None)

    def undo(line: str) -> Any:
        return workspace.undo(line.strip())

    magics = (commit, abort, sync, transactions, undo)
    for magic in magics:
        magic.__doc__ = getattr(workspace, magic.__name__).__doc__
    return {magic.__name__: magic for magic in magics}


def _show_help(shell: Any, line: str) -> None:
    """Show what IPython shows for `hits.hit?`, or `??`."""
    thing = line.rstrip('?')
    try:
        value = shell.ev(thing)
    except Exception as error:
        raise StateError(f'{thing} cannot be shown ({error}): name something that is here') from error
    found = OInfo(found=True, obj=value, namespace=None, ismagic=False, isalias=False, parent=None)
    shell.inspector.pinfo(value, thing, info=found, detail_level=len(line) - len(thing) - 1)


def _value(shell: Any, word: str) -> Any:
    try:
        return shell.ev(word)
    except Exception as error:
        raise StateError(
            f'{word!r} is neither a number nor an object here: write %transactions 20, or %transactions 20 hits'
        ) from error


def _help_transformed(lines: list[str]) -> list[str]:
    """The code that shows help, if that is what was typed, as in `state[HitCounter].hit?`, or else the same lines."""
    found = _HELP.fullmatch(''.join(lines).strip())
    marks = found['before'] or found['after'] if found else ''
    if not found or not marks:
        return lines
    return [f'get_ipython().run_line_magic({_HELP_MAGIC!r}, {found["thing"] + marks!r})\n']


class _Prompts(Prompts):
    """`read In [1]:`, `write In [2]:`, and `write* In [3]:` when there are uncommitted changes."""

    def __init__(self, shell: Any, workspace: Workspace) -> None:
        super().__init__(shell)
        self._workspace = workspace

    def in_prompt_tokens(self) -> list[tuple[Any, str]]:
        mode = 'write' if self._workspace.writes else 'read'
        changed = '*' if self._workspace.is_changed else ''
        return [(Token.Prompt, f'{mode}{changed} '), *super().in_prompt_tokens()]  # type: ignore[no-untyped-call]


class _Watch:
    """What is done before and after each piece of code."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._is_said = False

    def begin(self, cell: Any) -> None:
        self._workspace.code = cell.raw_cell or ''
        try:
            self._workspace.refresh()
        except StateUnavailable as error:
            _say(f'{refusal_of(error)}.')
        if self._workspace.database.is_outdated and not self._is_said:
            self._is_said = True
            _say(f'{OUTDATED}.')

    def end(self, _: Any) -> None:
        self._workspace.note_changes()


def _error_handler(workspace: Workspace) -> Callable[..., None]:
    def show_error(
        shell: Any, kind: type[BaseException], error: BaseException, traceback: TracebackType, *_: Any, **__: Any
    ) -> None:
        """Show an expected error in one sentence, and wrong input with the lines of the user."""
        if not isinstance(error, _EXPECTED):
            shell.showtraceback((kind, error, _of_user(traceback)))
        elif isinstance(error, KeyboardInterrupt):
            _say(f'interrupted: {error}' if str(error) else 'interrupted')
        elif isinstance(error, StorageError | StateUnavailable):
            _say(f'{refusal_of(error)}.')
        elif isinstance(error, ReadOnly) and not workspace.writes:
            _say(f'{kind.__name__}: {READING}')
        else:
            _say(f'{kind.__name__}: {error}')

    return show_error


def _of_user(traceback: TracebackType) -> TracebackType:
    """The traceback without the lines of this package, if it ends there."""
    frames = list(walk_tb(traceback))
    is_ours = [str(frame.f_globals.get('__name__')).startswith(_PACKAGE) for frame, _ in frames]
    if not is_ours[-1]:
        return traceback
    shown = None
    for frame, line in reversed(frames[: is_ours.index(True)]):
        shown = TracebackType(shown, frame, frame.f_lasti, line)
    return shown or traceback


def _say(sentence: str) -> None:
    sys.stderr.write(f'{sentence}\n')
    sys.stderr.flush()


def _key_matcher(names: dict[str, Any]) -> Any:
    """Complete the keys of whatever has `keys`; IPython itself knows only those of dictionaries."""

    @context_matcher()  # type: ignore[untyped-decorator]
    def match_keys(context: CompletionContext) -> Any:
        found = _INDEX.search(context.text_until_cursor)
        keys = _keys(names, found['mapping']) if found else []
        if not found or not keys:
            return {'completions': []}
        typed = found['quote'] + found['begin']
        kept = len(typed) - len(context.token)  # characters that IPython does not replace
        texts = [_as_typed(key, found['quote']) for key in keys]
        fitting = [text for text in texts if text.startswith(typed)]
        return {'completions': [SimpleCompletion(text[kept:], type='dict key') for text in fitting], 'suppress': True}

    return match_keys


def _access_matcher(workspace: Workspace) -> Any:
    """Complete the updates and queries of `state[Component]`, for which IPython would have to run that."""

    @context_matcher()  # type: ignore[untyped-decorator]
    def match_accesses(context: CompletionContext) -> Any:
        found = _OF_STATE.search(context.text_until_cursor)
        component = workspace.names.get(found['component']) if found else None
        if not found or not isinstance(component, type):
            return {'completions': []}
        fitting = [name for name in accesses(component) if name.startswith(found['begin'])]
        start = found['begin'].removesuffix(context.token.rpartition('.')[2])
        before = context.token[: len(context.token) - len(found['begin']) + len(start)]
        return {
            'completions': [SimpleCompletion(before + name, type='function') for name in fitting],
            'suppress': True,
        }

    return match_accesses


def _keys(names: dict[str, Any], path: str) -> list[Any]:
    first, *attributes = path.split('.')
    thing = names.get(first)
    for attribute in attributes:
        thing = getattr(thing, attribute, None)
    try:
        return list(islice(thing.keys(), _KEYS)) if thing is not None else []
    except Exception:  # noqa: BLE001 -- whatever was raised, there is nothing to offer
        return []


def _as_typed(key: Any, quote: str) -> str:
    return f'{quote}{key}{quote}' if quote and isinstance(key, str) else repr(key)


def _has_home() -> bool:
    """Whether IPython has a folder for its history, or can make one."""
    folder = os.path.expanduser(os.environ.get('IPYTHONDIR', '~/.ipython'))
    if not os.path.isabs(folder):  # the user has neither HOME nor an entry among the users of the system
        return False
    return os.access(folder if os.path.exists(folder) else os.path.dirname(folder), os.W_OK | os.X_OK)
