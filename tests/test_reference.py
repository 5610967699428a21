"""The reference that docs/make_reference.py makes is complete."""

import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from types import ModuleType

import click
import pytest

from hitcounter import agi, errors, state, testing
from hitcounter.agi import Call
from hitcounter.simulator.commands import COMMANDS
from tests.support.places import TREE


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location('make_reference', TREE / 'docs' / 'make_reference.py')
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def made() -> ModuleType:
    return load()


@pytest.fixture(scope='module')
def pages(made: ModuleType) -> dict[str, str]:
    found: dict[str, str] = made.pages()
    return found


def headings(page: str) -> list[str]:
    return re.findall(r'^###? (.*)$', page, re.MULTILINE)


@pytest.mark.parametrize('module', [agi, state, testing], ids=lambda module: module.__name__)
def test_every_name_that_a_module_offers_is_on_its_page(pages: dict[str, str], module: ModuleType) -> None:
    page = pages[f'{module.__name__.removeprefix("hitcounter.")}.md']
    assert set(module.__all__) <= set(headings(page))


def test_every_error_is_on_its_page_with_its_docstring(pages: dict[str, str]) -> None:
    classes = [value for value in vars(errors).values() if inspect.isclass(value)]
    assert len(classes) > 10
    for error in classes:
        assert f'\n## {error.__name__}\n' in pages['errors.md']
        assert (inspect.getdoc(error) or 'without a docstring') in pages['errors.md']


def documented_methods() -> Iterator[str]:
    """Each method of a public class, with the class that has its place in the reference."""
    classes = [value for module in (agi, state, testing) for value in map(vars(module).get, module.__all__)]
    names = {value.__name__ for value in classes if inspect.isclass(value)}
    for value in filter(inspect.isclass, classes):
        for name, member in inspect.getmembers(value, inspect.isroutine):
            ours = (getattr(member, '__module__', '') or '').startswith('hitcounter.')
            if ours and not name.startswith('_') and inspect.getdoc(member):
                owner = member.__qualname__.partition('.')[0]
                yield f'{owner if owner in names else value.__name__}.{name}'


def test_every_method_with_a_docstring_is_on_a_page(pages: dict[str, str]) -> None:
    methods = set(documented_methods())
    assert {'Call.stream_file', 'State.update'} <= methods
    assert methods <= {heading for page in pages.values() for heading in headings(page)}


def test_the_help_of_every_command_is_on_the_page_as_it_is_printed(made: ModuleType, pages: dict[str, str]) -> None:
    commands: dict[str, click.Command] = made.commands()
    assert {'serve', 'shell', 'call', 'agi', 'status', 'backup', 'migrate'} <= set(commands)
    for name, command in commands.items():
        assert f'## hitcounter {name}\n' in pages['commands.md']
        options = [opt for option in command.params if isinstance(option, click.Option) for opt in option.opts]
        section = pages['commands.md'].partition(f'## hitcounter {name}\n')[2].partition('\n## ')[0]
        assert all(option in section for option in options)


def test_no_path_of_this_machine_is_on_a_page(pages: dict[str, str]) -> None:
    for page in pages.values():
        assert str(TREE) not in page
        assert sys.prefix not in page
        assert not re.search(r' at 0x[0-9a-f]+', page)


def test_every_agi_command_is_in_the_table_and_leads_to_its_method(pages: dict[str, str]) -> None:
    rows = re.findall(r'^\| `([A-Z ]+)` \| \[(\w+)\]\(agi.md#call(\w+)\) \|', pages['agi-commands.md'], re.MULTILINE)
    assert {command for command, _, _ in rows} == set(COMMANDS)
    for _, method, anchor in rows:
        assert method == anchor
        assert hasattr(Call, method)
        assert f'### Call.{method}\n' in pages['agi.md']


def test_the_fixtures_of_the_plugin_are_on_their_page(pages: dict[str, str]) -> None:
    assert {'fastagi', 'finding_lost_changes'} <= set(headings(pages['fixtures.md']))


def test_the_index_names_each_page_and_no_other(pages: dict[str, str]) -> None:
    index = (TREE / 'docs' / 'reference' / 'index.md').read_text('utf-8')
    assert set(re.findall(r'^- `([\w.-]+)`', index, re.MULTILINE)) == set(pages)


def test_the_pages_are_written_and_replace_those_from_before(
    made: ModuleType, pages: dict[str, str], tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made, 'FOLDER', tmp_path)
    (made.FOLDER / 'gone.md').write_text('of a module that is gone')
    (made.FOLDER / 'index.md').write_text('the index')
    made.main()
    assert {path.name for path in made.FOLDER.iterdir()} == {*pages, 'index.md'}
