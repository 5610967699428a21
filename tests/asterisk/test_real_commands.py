"""The list of AGI commands that a real Asterisk shows, against the recorded one, which other tests go by."""

from hitcounter.agi.protocol.command import RUN_DEAD
from tests.support.asterisk.telephony import Asterisk
from tests.support.recordings import command_table


def test_the_commands_and_those_that_run_dead_are_the_recorded_ones(asterisk: Asterisk) -> None:
    table = dict(command_table(asterisk.cli('agi show commands')))
    assert len(table) == 47
    assert {name for name, runs_dead in table.items() if runs_dead} == RUN_DEAD
