"""What setup.cfg tells pip is true."""

import ast
import configparser
import re
import sys
from importlib.metadata import packages_distributions

from tests.support.places import TREE

METADATA = configparser.ConfigParser()
METADATA.read(TREE / 'setup.cfg')


def requirements(section: str, key: str) -> dict[str, str]:
    """The bounds of each distribution that is required, by its normalized name."""
    lines = METADATA[section][key].strip().splitlines()
    return {_normalized(name): bounds for name, _, bounds in (line.partition(' ') for line in lines)}


def _normalized(name: str) -> str:
    return re.sub('[-_.]+', '-', name).lower()


def imported() -> set[str]:
    """The modules that the package imports from elsewhere, each with all of its dotted name."""
    found = set()
    for path in (TREE / 'hitcounter').rglob('*.py'):
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
    missing = {module for module in imported() if not distributions(module) & required}
    assert not missing


def test_every_requirement_has_a_lower_bound() -> None:
    everything = requirements('options', 'install_requires') | requirements('options.extras_require', 'test')
    without = {name for name, bounds in everything.items() if not bounds.startswith('>=')}
    assert everything
    assert not without


def test_the_version_is_one_that_pip_takes_without_being_told_to_take_early_ones() -> None:
    assert re.fullmatch(r'[0-9]+(\.[0-9]+)*(\.post[0-9]+)?', METADATA['metadata']['version'])


def test_the_classifiers_name_linux_and_each_python_from_the_required_one_to_this_one() -> None:
    classifiers = METADATA['metadata']['classifiers'].strip().splitlines()
    assert METADATA['options']['python_requires'] == '>=3.11'
    assert 'Operating System :: POSIX :: Linux' in classifiers
    for minor in range(11, max(14, sys.version_info.minor) + 1):
        assert f'Programming Language :: Python :: 3.{minor}' in classifiers
