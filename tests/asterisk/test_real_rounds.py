"""Real Asterisk, and a round: 200 callers at once, who wins, and what those hear whom it does not count."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hitcounter.hits import HitCounter
from hitcounter.lines.component import Lines
from hitcounter.lines.rules import canonical
from hitcounter.lines.rules_table import parse_rules
from hitcounter.lines.settings import DEFAULT
from hitcounter.state import State, open_database
from tests.support.asterisk.counter import Server
from tests.support.asterisk.telephony import Asterisk
from tests.support.patience import PATIENCE
from tests.support.places import TREE
from tests.support.round_kills import WIN, milestones

CALLS = 200

DIALPLAN = """
[contest]
exten => 100,1,AGI(agi://127.0.0.1/hits/contest)
 same => n,Verbose(1,${CHANNEL} was told ${HITCOUNTER_RESULT} ${HITCOUNTER_NUMBER})
exten => 101,1,Set(CALLERID(pres)=prohib)
 same => n,Goto(100,1)
exten => 102,1,AGI(agi://127.0.0.1/hits/contest)
 same => n,AGI(agi://127.0.0.1/hits/contest?once=yes)
exten => 103,1,AGI(agi://127.0.0.1/hits/contest?answer=no)
 same => n,Busy(1)
exten => 104,1,Gosub(counting,s,1(contest))
exten => 105,1,Answer()
 same => n,Hangup()
exten => h,1,GotoIf($["${HITCOUNTER_RESULT}" != ""]?done)
 same => n,AGI(agi://127.0.0.1/hits/contest?answer=no)
 same => n(done),Verbose(1,${CHANNEL} ended as ${HITCOUNTER_RESULT} ${HITCOUNTER_NUMBER} ${HITCOUNTER_AGAIN})

[counting]
exten => s,1,AGI(agi://127.0.0.1/hits/${ARG1})
 same => n,Return()

[contest-of]
exten => _XXXXXXX,1,Set(CALLERID(num)=+4930${EXTEN:0:4})
 same => n,Goto(contest,${EXTEN:4},1)

[incoming](+)
exten => 7100,1,Goto(contest,100,1)
exten => 7103,1,Goto(contest,103,1)
"""


@pytest.fixture
def line(asterisk: Asterisk) -> Iterator[Asterisk]:
    with asterisk.with_dialplan(DIALPLAN):
        yield asterisk


@contextmanager
def state_of(server: Server) -> Iterator[State]:
    with open_database(server.storage) as database, State(database, [HitCounter, Lines]) as state:
        yield state


def open_round(server: Server, **rules: object) -> None:
    with state_of(server) as state:
        table = {name.replace('_', '-'): value for name, value in rules.items()}
        now = time.time()
        state[Lines].open_round('contest', canonical(parse_rules(table, DEFAULT, now)), now, 'anna')


def call(asterisk: Asterisk, extension: str, who: str = '3001') -> tuple[str, tuple[str, ...]]:
    """Let `who` call; returns what the dialplan was told at the end, and what was played."""
    begun = len(asterisk.log)
    asterisk.cli(f'channel originate Local/{who}{extension}@contest-of extension stays@caller')
    ended = asterisk.log.wait(r'^ (\S+) ended as (.*)$', begun)
    return ended[2].strip(), asterisk.log.all(rf"<{ended[1]}> Playing '([^'.]+)")


def test_of_200_callers_at_once_exactly_those_win_whom_the_rules_name(line: Asterisk, server: Server) -> None:
    open_round(server, win=WIN)

    told = [one.split() for one in line.tell('7100', CALLS)]

    assert sorted(int(number) for _, number in told) == list(range(1, CALLS + 1))
    assert sorted(int(number) for result, number in told if result == 'WON') == [9, 50, 99, 100, 150, 200]
    assert {result for result, _ in told} == {'COUNTED', 'WON'}
    with state_of(server) as state:
        assert [win.number for win in state[Lines].wins('contest', 1)] == milestones(CALLS)
        assert state[HitCounter].count('contest') == len(state[Lines].entries('contest', 1)) == CALLS


def test_callers_who_are_not_counted_hear_why(line: Asterisk, server: Server) -> None:
    open_round(server, once_per='caller', withheld='refuse', most_calls=2)

    assert call(line, '100')[0] == 'COUNTED 1 0'
    assert call(line, '100') == ('REPEAT  0', ('auth-thankyou', 'vm-goodbye'))
    assert call(line, '101') == ('WITHHELD  0', ('privacy-unident', 'vm-goodbye'))
    assert call(line, '100', '3002')[0] == 'COUNTED 2 0'
    assert call(line, '100', '3003') == ('FULL  0', ('vm-nobodyavail', 'vm-goodbye'))
    with state_of(server) as state:
        state[Lines].close_round('contest', time.time(), 'anna')
    assert call(line, '100', '3004') == ('CLOSED  0', ('vm-nobodyavail', 'vm-goodbye'))


def test_a_call_is_counted_once_on_its_channel_in_a_subroutine_and_at_its_hangup(
    line: Asterisk, server: Server
) -> None:
    open_round(server)

    assert call(line, '102')[0] == 'COUNTED 1 1'
    assert call(line, '104')[0] == 'COUNTED 2 0'
    assert call(line, '105') == ('COUNTED 3 0', ())


def test_a_sip_phone_that_is_counted_without_an_answer_is_busy_and_pays_nothing(line: Asterisk, server: Server) -> None:
    open_round(server)
    command = line.inside(sys.executable, '-m', 'tests.support.asterisk.listen_early', '7103')

    phone = subprocess.run(command, cwd=TREE, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE)

    *statuses, _ = phone.stdout.split()
    assert '200' not in statuses
    assert statuses[-1] == '486'
    with state_of(server) as state:
        assert len(state[Lines].entries('contest', 1)) == 1
