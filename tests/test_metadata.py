"""What setup.cfg and setup.py tell pip is true."""

import ast
import configparser
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import metadata, packages_distributions
from pathlib import Path
from types import ModuleType

import pytest

import hitcounter
from tests.support.places import TREE

PACKAGE = Path(str(hitcounter.__file__)).parent  # beside the tests, or where pip has installed it
POSTGRESQL = PACKAGE / 'state' / 'storage' / 'postgresql'
README = (TREE / 'README.md').read_text('utf-8')
METADATA = configparser.ConfigParser()
METADATA.read(TREE / 'setup.cfg')


def requirements(section: str, key: str) -> dict[str, str]:
    """The bounds of each distribution that is required, by its normalized name."""
    lines = METADATA[section][key].strip().splitlines()
    return {_normalized(name): bounds for name, _, bounds in (line.partition(' ') for line in lines)}


def _normalized(name: str) -> str:
    return re.sub('[-_.]+', '-', name).lower()


def imported(paths: Iterable[Path]) -> set[str]:
    """The modules that these files import from elsewhere, each with all of its dotted name."""
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text('utf-8'))):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(str(node.module))
    return {module for module in found if module.partition('.')[0] not in sys.stdlib_module_names}


def distributions(module: str) -> set[str]:
    """Those that bring the module, which is in a namespace of several if the first part of its name is."""
    top, _, rest = module.partition('.')
    found = {_normalized(name) for name in packages_distributions()[top]}
    within = {name for name in found if name.removeprefix(f'{top}-') == rest.partition('.')[0]}
    return within or found


def test_every_package_that_is_imported_is_required() -> None:
    required = requirements('options', 'install_requires').keys() | {'hitcounter-agi', 'pytest'}
    modules = imported(set(PACKAGE.rglob('*.py')) - set(POSTGRESQL.rglob('*.py')))
    missing = {module for module in modules if not distributions(module) & required}
    assert 'click' in modules
    assert not missing


def test_every_package_that_postgresql_needs_is_in_its_extra() -> None:
    pytest.importorskip('relstorage', reason='needs RelStorage: pip install hitcounter-agi[postgresql]')
    extra = requirements('options.extras_require', 'postgresql').keys()
    required = requirements('options', 'install_requires').keys() | extra
    modules = imported(POSTGRESQL.rglob('*.py'))
    missing = {module for module in modules if not distributions(module) & required}
    assert 'relstorage' in {module.partition('.')[0] for module in modules}
    assert not missing


def test_every_requirement_has_a_lower_bound() -> None:
    everything = requirements('options', 'install_requires') | requirements('options.extras_require', 'test')
    without = {name for name, bounds in everything.items() if not bounds.startswith('>=')}
    assert everything
    assert not without


def test_the_server_and_a_process_for_a_call_do_not_load_what_the_shell_postgresql_or_some_lines_need() -> None:
    code = 'import sys, hitcounter.commands.agi, hitcounter.commands.serve; print(*sys.modules)'
    loaded = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.split()
    assert 'hitcounter.commands.agi' in loaded
    of_the_shell, of_postgresql = {'IPython', 'pygments', 'traitlets', 'prompt_toolkit'}, {'psycopg2', 'relstorage'}
    of_some_lines = {'opening_hours', 'phonenumbers'}
    assert not (of_the_shell | of_postgresql | of_some_lines) & set(loaded)


def test_the_version_is_one_that_pip_takes_without_being_told_to_take_early_ones() -> None:
    assert re.fullmatch(r'[0-9]+(\.[0-9]+)*(\.post[0-9]+)?', METADATA['metadata']['version'])


def test_the_classifiers_name_linux_and_each_python_from_the_required_one_to_this_one() -> None:
    classifiers = METADATA['metadata']['classifiers'].strip().splitlines()
    assert METADATA['options']['python_requires'] == '>=3.11'
    assert 'Operating System :: POSIX :: Linux' in classifiers
    for minor in range(11, max(14, sys.version_info.minor) + 1):
        assert f'Programming Language :: Python :: 3.{minor}' in classifiers


@pytest.fixture(scope='module')
def setup_py() -> ModuleType:
    spec = importlib.util.spec_from_file_location('setup_py', TREE / 'setup.py')
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def links(text: str) -> list[str]:
    return re.findall(r'\]\(([^)]+)\)', text)


def test_the_links_of_the_readme_lead_to_this_version_in_the_repository(setup_py: ModuleType) -> None:
    within = [link for link in links(README) if not link.startswith('https://')]
    described = links(setup_py.description(README, 'https://code.example/hitcounter', '1.2'))
    assert within
    for link in within:
        assert f'https://code.example/hitcounter/blob/v1.2/{link}' in described
    assert all(link.startswith('https://') for link in described)


def test_without_a_repository_the_description_has_no_links_into_it(setup_py: ModuleType) -> None:
    described = setup_py.description('See [docs/a.md](docs/a.md#b) and [ZODB](https://zodb.org).', '', '1.2')
    assert described == 'See docs/a.md and [ZODB](https://zodb.org).'


def test_the_links_of_the_package_are_in_the_repository_that_setup_cfg_names(setup_py: ModuleType) -> None:
    urls = setup_py.project_urls('https://code.example/hitcounter', '1.2')
    assert urls['Changes'] == 'https://code.example/hitcounter/blob/v1.2/CHANGES.md'
    assert urls.keys() == {'Documentation', 'Changes', 'Source', 'Issues'}
    assert setup_py.project_urls('', '1.2') == {}


def test_what_is_installed_says_it(setup_py: ModuleType) -> None:
    repository, version = METADATA['hitcounter']['repository'], METADATA['metadata']['version']
    installed = metadata('hitcounter-agi')
    urls = setup_py.project_urls(repository, version)
    assert installed['Version'] == version
    assert installed['License-Expression'] == 'MIT'
    assert installed['Keywords'].count(',') > 5
    assert installed.get_all('Project-URL', []) == [f'{name}, {url}' for name, url in urls.items()]
    assert installed['Description-Content-Type'] == 'text/markdown'
    assert all(link.startswith('https://') for link in links(str(installed.json['description'])))
