"""The page on lines says what there is: its tables have all names, and its files are read."""

import re
import time
import tomllib

import pytest

from hitcounter.lines.announcements import SETS, WAYS
from hitcounter.lines.outcome import Outcome, Result
from hitcounter.lines.rule_checks import WITHHELD
from hitcounter.lines.rule_language import parse_win
from hitcounter.lines.rules_table import KEYS, parse_rules
from hitcounter.lines.script import Query, variables
from hitcounter.lines.settings import DEFAULT, parse_settings
from tests.support.places import TREE

PAGE = (TREE / 'docs' / 'lines.md').read_text('utf-8')
TOML = re.findall(r'^```toml\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL)


def first_cells(heading: str) -> list[str]:
    """What is in the first column of the table below that head, or of all tables with it, in code."""
    tables = re.findall(rf'^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)', PAGE, re.MULTILINE)
    cells = [row.split(' | ')[0].strip('| ') for table in tables for row in table.splitlines()]
    return [name for cell in cells for name in re.findall(r'`(.*?)`', cell)]


def test_the_table_of_variables_has_all_of_them() -> None:
    told = {*variables('a', Outcome(Result.COUNTED)), 'HITCOUNTER_OUTCOME'}
    assert set(first_cells('variable')) == told


def test_the_table_of_results_has_all_of_them_with_the_set_that_is_heard() -> None:
    assert first_cells('`HITCOUNTER_RESULT`') == list(Result)
    rows = re.findall(r'^\| `[A-Z]+` \|.*\| (.*) \|$', PAGE, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r'`(.*?)`', row)} == set(SETS)


def test_the_table_of_rules_has_all_of_them() -> None:
    assert first_cells('rule') == list(KEYS)


def test_the_table_of_withheld_numbers_has_each_way() -> None:
    assert first_cells('`withheld`') == list(WITHHELD)


def test_the_table_of_queries_has_each_name() -> None:
    assert {re.split('[=&]', query)[0] for query in first_cells('query')} == set(Query._fields)


def test_the_table_of_winners_is_in_the_language_of_rules() -> None:
    texts = first_cells('`win`')
    assert len(texts) == 6
    for text in texts:
        assert parse_win(text, day=time.time())


def test_the_table_of_items_has_all_that_is_said() -> None:
    table = PAGE.partition('| item |')[2].partition('\n\n')[0]
    assert {value for values in WAYS.values() for value in values} <= set(re.findall(r'[\w-]+', table))


def test_the_lines_in_files_are_lines() -> None:
    texts = [text for text in TOML if text.startswith('[line.')]
    assert len(texts) == 2
    for text in texts:
        parse_settings(tomllib.loads(text)['line']['contest'], 'line.contest')


def test_the_rules_in_a_file_are_rules() -> None:
    (text,) = [text for text in TOML if not text.startswith('[line.')]
    rules = parse_rules(tomllib.loads(text), DEFAULT, 1.79e9)
    assert len(rules.win) == 2


@pytest.mark.parametrize('line', re.findall(r'^    hitcounter round open \w+ (.*)$', PAGE, re.MULTILINE))
def test_the_options_that_open_a_round_are_rules(line: str) -> None:
    assert set(re.findall(r'--([a-z-]+)', line)) <= set(KEYS)
