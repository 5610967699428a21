"""Finding a script."""

import pytest

from hitcounter.agi.environment import Environment
from hitcounter.agi.script import find, script


@script('greet')
def greet(name: str) -> str:
    """Greet."""
    return f'hello {name}'


def test_a_script_is_still_the_function_that_it_was() -> None:
    assert greet.path == 'greet'
    assert greet('you') == 'hello you'


@pytest.mark.parametrize('asked', ['greet', 'greet?line=1', '/greet/', 'greet?a=1?b=2'])
def test_a_script_is_found_by_its_path(asked: str) -> None:
    assert find({'greet': greet}, Environment({'agi_network_script': asked})) is greet


def test_no_path_is_a_path_too() -> None:
    assert find({'': greet}, Environment({})) is greet


@pytest.mark.parametrize('asked', ['', 'nosuch', 'greet/more', 'Greet'])
def test_other_paths_find_nothing(asked: str) -> None:
    assert find({'greet': greet}, Environment({'agi_network_script': asked})) is None
