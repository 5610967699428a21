"""Real Asterisk, and the lines of the dialplan that the recipes show: it takes all of them, and does what they say."""

import re
from collections.abc import Iterator

import pytest

from tests.support.asterisk.telephony import Asterisk
from tests.support.places import TREE

BLOCKS = re.findall(r'^```ini\n(.*?)^```$', (TREE / 'docs/recipes.md').read_text('utf-8'), re.MULTILINE | re.DOTALL)
CONTEXTS = re.findall(r'^\[([\w-]+)\]$', ''.join(BLOCKS), re.MULTILINE)


@pytest.fixture
def start(asterisk: Asterisk) -> Iterator[int]:
    """Where Asterisk's log was before it read the recipes. They stay in its dialplan for this test."""
    # Contexts of the tests have some of these names, so all get one of their own.
    recipes = re.sub(r'^\[(.*)\]$', r'[recipe-\1]', ''.join(BLOCKS), flags=re.MULTILINE)
    with asterisk.with_dialplan(recipes) as start:
        yield start


def test_asterisk_takes_every_line_of_the_recipes_without_a_warning(asterisk: Asterisk, start: int) -> None:
    shown = [asterisk.cli(f'dialplan show recipe-{context}') for context in CONTEXTS]

    lines = [line for block in BLOCKS for line in block.splitlines() if '=>' in line]
    assert len(lines) > 20
    assert sum(int(said) for text in shown for said in re.findall(r'(\d+) priorit', text)) == len(lines)
    assert not re.search('WARNING|ERROR', asterisk.log.text(start))


@pytest.mark.parametrize(
    ('dialled', 'sound'),
    [
        ('100@recipe-office', 'vm-goodbye'),
        ('300@recipe-triage', 'vm-goodbye'),
        ('400@recipe-plan-b', 'im-sorry'),
    ],
)
def test_a_recipe_goes_on_without_a_server_as_it_says(asterisk: Asterisk, start: int, dialled: str, sound: str) -> None:
    asterisk.cli(f'channel originate Local/{dialled} application Wait 10')

    asterisk.log.wait(rf"<Local/{dialled}-\w+;2> Playing '{sound}\.", start)
