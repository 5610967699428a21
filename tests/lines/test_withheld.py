"""Which calls are withheld by the rules of a round: by the presentation, without a number, by a stand-in for one."""

from collections.abc import Iterator

import pytest

from hitcounter.hits import HitCounter
from hitcounter.lines.calling import Desk
from hitcounter.lines.component import Lines
from hitcounter.lines.rules import Rules, canonical
from hitcounter.lines.script import serve_line
from hitcounter.state import State, open_database
from hitcounter.testing import Channel, dial

ALLOWED, PROHIBITED, UNAVAILABLE = 0, 35, 67


@pytest.fixture
def desk() -> Iterator[Desk]:
    with open_database('memory:') as database, State(database, [HitCounter, Lines]) as state:
        state[Lines].open_round('contest', canonical(Rules(withheld='refuse')), 0.0, 'anna')
        yield Desk(state)


@pytest.mark.parametrize(
    ('presentation', 'number', 'result'),
    [
        (ALLOWED, '+49891234567', 'COUNTED'),
        (ALLOWED, '1001', 'COUNTED'),
        (ALLOWED, '', 'WITHHELD'),  # only a name was sent
        (ALLOWED, 'Anonymous', 'WITHHELD'),
        (PROHIBITED, '+49891234567', 'WITHHELD'),  # Asterisk sends it nevertheless
        (PROHIBITED, '', 'WITHHELD'),
        (UNAVAILABLE, '', 'WITHHELD'),  # a Local channel
        (UNAVAILABLE, '+49891234567', 'COUNTED'),  # the dialplan set it
    ],
)
def test_a_presentation_no_number_or_a_stand_in_withholds_it(
    desk: Desk, presentation: int, number: str, result: str
) -> None:
    channel = Channel(extension='contest', caller_id=number, caller_name='Zoe', presentation=presentation)
    asterisk = dial(channel, lambda call: serve_line(call, desk))
    assert asterisk.variables['HITCOUNTER_RESULT'] == result
