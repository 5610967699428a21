"""What the documentation shows is what happens."""

import doctest
import importlib
import importlib.util
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from click.testing import CliRunner
from sybil import Document
from sybil.parsers.markdown import PythonCodeBlockParser

from hitcounter import hits
from hitcounter.agi import Server
from hitcounter.commands import call, serve, shell
from hitcounter.commands.main import main
from hitcounter.lines.component import Lines
from hitcounter.state import State, open_database
from hitcounter.testing import CallEvent, Channel, HangUp, Played, SaidDigits, SaidLetters, SaidNumber, dial, place_call
from tests.support.places import PACKAGE, TREE, in_tree

MODULES = [path for path in sorted(PACKAGE.rglob('*.py')) if '>>> ' in path.read_text('utf-8')]
UPKEEP = {'status', 'backup', 'restore', 'verify', 'pack', 'plugins', 'forget', 'export', 'import'}
DOCUMENTS = [*sorted(TREE.glob('*.md')), *sorted((TREE / 'docs').glob('*.md')), TREE / 'docs/reference/index.md']
WITH_SNIPPETS = [path for path in DOCUMENTS if path.name != 'tutorial.md']  # tests/test_tutorial.py follows that one
FENCED = re.compile(r'^```(?:python|console|toml|ini)\n.*?^```$', re.MULTILINE | re.DOTALL)


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f'file://{tmp_path}/hits.fs'


@pytest.fixture
def port(storage: str) -> Iterator[int]:
    with (
        open_database(storage, share=True) as database,
        State(database, [hits.HitCounter]) as state,
    ):
        server = Server([hits.tell_the_number.bind(state=state)], port=0)
        server.start()
        yield server.address[1]
        server.stop()


def transcripts(path: str) -> dict[str, str]:
    """The commands that a document shows, each with what it is said to print."""
    text = (TREE / path).read_text('utf-8')
    shown = re.findall(r'^    \$ (.*)\n((?:    (?!\$ ).*\n)*)', text, re.MULTILINE)
    return {command: re.sub(r'^    ', '', output, flags=re.MULTILINE) for command, output in shown}


@pytest.mark.parametrize('caller', ['555', 'alice', 'sip-gate.7'])
def test_the_first_script_says_any_caller_id(caller: str) -> None:
    first = re.search(r'```python\n(.*?)```', (TREE / 'docs/scripts.md').read_text('utf-8'), re.DOTALL)
    assert first
    names: dict[str, Any] = {}
    exec(first[1], names)

    asterisk = dial(Channel(caller_id=caller), names['greet'])

    assert asterisk.events[-1] == SaidLetters(caller)
    assert asterisk.status == 'SUCCESS'


def test_the_transcripts_of_the_readme_are_what_the_commands_print(port: int, storage: str) -> None:
    (called, heard), (asked, told) = transcripts('README.md').items()
    assert called == 'bin/hitcounter call --extension 31415'
    result = CliRunner().invoke(call.main, ['--to', f'agi://127.0.0.1:{port}/hits', *called.split()[2:]])
    assert (result.output, result.exit_code) == (heard, 0)
    assert asked == "bin/hitcounter-shell -c 'print(hits.lines())'"
    result = CliRunner().invoke(shell.main, ['--storage', storage, '-c', 'print(hits.lines())'])
    assert (result.output, result.exit_code) == (told, 0)


def test_the_counter_of_the_book_in_the_readme_is_the_one_that_is_measured() -> None:
    (counter,) = re.findall(
        r'^    (exten => 31470,.*\n(?:     same .*\n)+)', (TREE / 'README.md').read_text('utf-8'), re.MULTILINE
    )
    shown = [line.strip() for line in counter.splitlines()]
    measured = (TREE / 'tests/asterisk/dialplan.conf').read_text('utf-8').partition(shown[0])[2].splitlines()
    assert [line.strip() for line in measured[1:3]] == shown[1:]


def test_the_transcripts_of_the_shell_are_what_the_commands_print(port: int, storage: str) -> None:
    for _ in range(2):
        place_call(('127.0.0.1', port), Channel(caller_id=None))
    conversation, *commands = transcripts('docs/shell.md').items()
    assert conversation[0] == 'bin/hitcounter-shell --write'  # tests/test_shell.py leads it
    for command, told in commands:
        launcher, *arguments = shlex.split(command.replace('docs/', f'{TREE}/docs/'))
        assert launcher == 'bin/hitcounter-shell'
        result = CliRunner().invoke(shell.main, ['--storage', storage, *arguments])
        assert (result.output, result.exit_code) == (told, 0)


def test_every_option_of_the_server_is_in_the_operators_table() -> None:
    table = (TREE / 'docs' / 'operations.md').read_text('utf-8')
    documented = set(re.findall(r'^\| `(--[a-z-]+)[^`]*` \| `(HITCOUNTER_[A-Z_]+)` \|', table, re.MULTILINE))
    options = {(option.opts[0], str(option.envvar)) for option in serve.main.params if option.name != 'config'}
    assert documented == options


def test_every_option_of_every_command_is_in_the_documentation() -> None:
    text = ''.join((TREE / 'docs' / name).read_text('utf-8') for name in ('operations.md', 'shell.md', 'reports.md'))
    documented = set(re.findall(r'(?<![\w-])--?[a-z][a-z-]*', text))
    for name, command in main.commands.items():
        if name != 'call':  # its --help tells all of it
            options = {option.opts[0] for option in command.params if isinstance(option, click.Option)}
            assert options <= documented, name


def test_the_example_of_each_command_works_when_it_is_pasted(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        open_database(storage, share=True) as database,
        State(database, [hits.HitCounter]) as state,
    ):
        state[hits.HitCounter].hit('31415', hits.Caller('bob', None, '1.1'))
    tried = set()
    for example in (str(command.epilog) for name, command in main.commands.items() if name in UPKEEP):
        if 'restore' in example:
            (tmp_path / 'hits.fs').unlink()
        for command in example.removeprefix('Example: ').replace('/srv', str(tmp_path)).split(' && '):
            program, name, *arguments = shlex.split(command)
            result = CliRunner().invoke(main, [name, *arguments], env={'HITCOUNTER_STORAGE': storage})
            assert (program, result.exit_code) == ('hitcounter', 0), result.output
            tried.add(name)
    assert tried == UPKEEP


@pytest.mark.parametrize('path', WITH_SNIPPETS, ids=lambda path: path.name)
def test_every_snippet_runs(path: Path, fastagi: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    document = Document.parse(str(path), PythonCodeBlockParser())
    module = ModuleType(path.stem)
    monkeypatch.setitem(sys.modules, path.stem, module)  # where the pickles of its components look for it
    document.namespace = vars(module)
    for example in document.examples():
        example.evaluate()
    for name, test in document.namespace.items():
        if name.startswith('test_'):
            test(fastagi)


@pytest.mark.parametrize('path', MODULES, ids=lambda path: path.stem)
def test_the_examples_in_docstrings_give_what_they_show(path: Path) -> None:
    module = importlib.import_module('.'.join(path.relative_to(PACKAGE.parent).with_suffix('').parts))
    failed, attempted = doctest.testmod(module)
    assert attempted
    assert not failed


def test_every_snippet_is_fenced_and_thus_run() -> None:
    for path in DOCUMENTS:
        text = FENCED.sub('', path.read_text('utf-8'))
        assert not re.search(r'^ *(>>> |import |from \w+ import |def |class |@\w|```)', text, re.MULTILINE), path


def load_example(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location(name, TREE / 'examples' / f'{name}.py')
    assert spec
    assert spec.loader
    example = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, example)  # where the pickles of its components look for it
    spec.loader.exec_module(example)
    return example


def test_the_example_has_one_winner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = load_example('hundredth_caller', monkeypatch)
    with (
        open_database(f'file://{tmp_path}/game.fs', share=True) as database,
        State(database, [hits.HitCounter, Lines]) as state,
    ):
        for _ in range(2):
            example.prepare(state)
        line = example.serve_line.bind(desk=example.Desk(state))
        calls = [
            dial(Channel(url=f'agi://127.0.0.1/hits/{example.LINE}', caller_id=str(caller)), line)
            for caller in range(1, 103)
        ]
        (win,) = state[Lines].wins(example.LINE, 1)
        assert len(state[Lines].rounds(example.LINE)) == 1
    heard = [call.events[1] for call in calls]
    assert heard[:99] == [SaidNumber(99 - index) for index in range(99)]
    assert heard[99:] == [Played('auth-thankyou'), Played('vm-goodbye'), Played('vm-goodbye')]
    assert win.identity == '100'
    assert [call.variables['HITCOUNTER_RESULT'] for call in calls[98:101]] == ['COUNTED', 'WON', 'CLOSED']


NUMBER = '4539148803436467'


@pytest.mark.parametrize(
    ('keys', 'told', 'account'),
    [
        (NUMBER + '1', [Played('account-enter'), SaidDigits(NUMBER)], NUMBER),
        (NUMBER + '2', [Played('account-enter'), SaidDigits(NUMBER)], None),
        ('4539148803436468' + NUMBER + '1', [Played('account-no-such'), SaidDigits(NUMBER)], NUMBER),
        ('453914880343#' + NUMBER + '1', [Played('account-no-such'), SaidDigits(NUMBER)], NUMBER),
        ('', [Played('account-nothing-heard')], None),
    ],
)
def test_the_example_takes_an_account_number(
    fastagi: Callable[..., tuple[str, int]],
    monkeypatch: pytest.MonkeyPatch,
    keys: str,
    told: list[CallEvent],
    account: str | None,
) -> None:
    example = load_example('account_number', monkeypatch)
    channel = Channel(url='agi://pbx/account', digits=keys)
    for asterisk in (
        dial(channel, example.ask_for_account),
        place_call(fastagi([example.ask_for_account]), channel),
    ):
        assert all(heard in asterisk.events for heard in told)
        assert asterisk.variables.get('ACCOUNT') == account
        assert (asterisk.events[-1] == Played('vm-goodbye')) == (account is None)
        assert asterisk.status == 'SUCCESS'


def test_who_leaves_while_asked_for_an_account_number_has_given_none(monkeypatch: pytest.MonkeyPatch) -> None:
    example = load_example('account_number', monkeypatch)
    for command in ('ANSWER', 'GET DATA', 'SAY DIGITS', 'SET VARIABLE'):
        asterisk = dial(Channel(digits=NUMBER + '1', hang_up=HangUp(command)), example.ask_for_account)
        assert asterisk.status == 'HANGUP'
        assert ('ACCOUNT' in asterisk.variables) == (command == 'SET VARIABLE')


def anchors(document: Path) -> set[str]:
    """The headings of a document, as a link names them."""
    text = re.sub(r'^ *```.*?^ *```$', '', document.read_text('utf-8'), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r'^#+ (.*)$', text, re.MULTILINE)
    return {re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-') for heading in headings}


def test_links_between_documents_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for path, heading in re.findall(r'\]\((?!http)([^)#]*)#?([^)]*)\)', document.read_text('utf-8')):
            target = in_tree(os.path.relpath(document.parent / path, TREE)) if path else document
            assert target.exists(), (document, path)
            assert not heading or heading in anchors(target), (document, path, heading)


def test_every_file_of_code_that_the_documentation_names_is_there() -> None:
    for document in DOCUMENTS:
        for name in re.findall(r'`((?:[\w-]+/)+[\w-]+\.py)`', document.read_text('utf-8')):
            assert in_tree(name).exists() or (PACKAGE / name).exists(), (document, name)


def test_the_excerpt_of_a_package_of_ones_own_is_of_the_example() -> None:
    document = (TREE / 'docs/installation.md').read_text('utf-8')
    shown = re.search(r'^    \[project\]\n(?:(?:    .*)?\n)+', document, re.MULTILINE)
    assert shown
    written = (TREE / 'examples/votes/pyproject.toml').read_text('utf-8')
    assert re.sub('^    ', '', shown[0], flags=re.MULTILINE).strip() in written
