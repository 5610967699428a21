"""Ten thousand names that callers make up, and a bound of lines."""

import random
import string

import pytest

from hitcounter.errors import LineRefused
from hitcounter.hits import Caller, HitCounter
from hitcounter.lines.calling import Desk, Visit
from hitcounter.lines.component import Lines
from hitcounter.lines.settings import DEFAULT
from hitcounter.state import State, open_database

CALLER = Caller(None, None, '17.1')


def test_ten_thousand_names_from_the_phone_make_no_more_lines_than_are_allowed() -> None:
    chance = random.Random(11)
    names = {''.join(chance.choices(string.ascii_letters + string.digits, k=12)) for _ in range(10_000)}
    refused = 0
    with open_database('memory:') as database, State(database, [HitCounter, Lines]) as state:
        state[Lines].declare('contest', DEFAULT)
        desk = Desk(state)
        for name in names:
            try:
                desk.decide(Visit(name, CALLER, 0.0), max_lines=100)
            except LineRefused:
                refused += 1
        declared = desk.decide(Visit('contest', CALLER, 0.0), max_lines=100)

        assert refused == len(names) - 100
        assert declared.number == 1
        assert len(state[HitCounter].lines()) == 101
        with pytest.raises(LineRefused):
            desk.decide(Visit('one more', CALLER, 0.0), max_lines=100)
        assert set(state[Lines].views()) == {'contest'}
