"""docs/reports.md shows what the command prints, and names every field."""

import json
import random
import re
import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from click.testing import CliRunner

from hitcounter.commands.report import main
from hitcounter.hits import Caller, HitCounter
from hitcounter.lines.calling import Desk, Visit
from hitcounter.lines.component import Lines
from hitcounter.lines.report import KINDS
from hitcounter.lines.report_rows import CALLS, WINS
from hitcounter.lines.rules import canonical
from hitcounter.lines.rules_table import parse_rules
from hitcounter.lines.settings import Settings
from hitcounter.state import State, open_database
from tests.support.places import TREE

PAGE = (TREE / 'docs' / 'reports.md').read_text('utf-8')
OPENS, CLOSES, ASKED = (
    datetime.fromisoformat(f'2025-10-26T{text}').timestamp()
    for text in ('00:30:00+02:00', '03:15:00+01:00', '09:00:00+01:00')
)


BERLIN = Settings(zone='Europe/Berlin')
RULES = {'win': 'at 100 and last', 'once-per': 'caller', 'until': '2025-10-26T03:15:00+01:00'}


def calls() -> Iterator[tuple[float, str]]:
    """When callers call in the night when the clocks change, and who."""
    chance = random.Random(26)
    for moment in sorted(min(OPENS + chance.gammavariate(3, 2700), CLOSES + 1200) for _ in range(420)):
        yield moment, f'+4989{chance.randrange(1_000_000, 1_001_500)}'


@pytest.fixture(scope='module')
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database with a line, and a round on it that is final; the clock is that of the next morning."""
    uri = f'file://{tmp_path_factory.mktemp("contest")}/hits.fs'
    with pytest.MonkeyPatch.context() as clock:
        clock.setattr(time, 'time', lambda: OPENS)
        with open_database(uri, share=True) as database, State(database, [HitCounter, Lines]) as state:
            state[Lines].declare('contest', BERLIN)
            rules = parse_rules(RULES, BERLIN, OPENS)
            state[Lines].open_round('contest', canonical(rules), OPENS, 'anna')
            desk = Desk(state)
            for moment, number in calls():
                clock.setattr(time, 'time', lambda moment=moment: moment)
                desk.decide(Visit('contest', Caller(number, None, '', False), moment))
            clock.setattr(time, 'time', lambda: ASKED)
            state[Lines].finish_due(ASKED)
        yield uri


def run(storage: str, *arguments: str) -> str:
    result = CliRunner().invoke(main, ['--storage', storage, *arguments])
    assert (result.exit_code, result.stderr) == (0, '')
    return result.stdout


def test_the_text_on_the_page_is_what_the_command_prints(storage: str) -> None:
    shown = re.findall(r'^```console\n\$ hitcounter report ([^\n]*)\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL)
    assert shown
    for arguments, printed in shown:
        assert run(storage, *arguments.split()) == printed


def test_the_page_names_every_field(storage: str) -> None:
    told = json.loads(run(storage, 'contest', '--format', 'json'))
    fields = {
        *told,
        *CALLS,
        *WINS,
        *told['rounds'][0],
        *told['rounds'][0]['wins'][0],
        *KINDS,
        *told['totals']['winners'],
    }
    for field in fields:
        assert f'`{field}`' in PAGE, field
