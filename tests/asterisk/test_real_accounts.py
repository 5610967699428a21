"""Real Asterisk, and the example of a package of somebody else's: members log in by their keys, and vote once."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.asterisk.counter import Serve, Server
from tests.support.asterisk.telephony import Asterisk, Caller
from tests.support.patience import PATIENCE
from tests.support.places import TREE
from tests.support.walkthrough import wheels

EXAMPLE = TREE / 'examples' / 'accounts'
NUMBER, PIN, WRONG, LOGGED_IN = 'agent-user', 'agent-pass', 'vm-incorrect', 'agent-loginok'

#: The line of the tests that leads to what the README shows; and a log-in whose session another channel carries.
DIALPLAN = """
[lines]
exten => 31480,1,Goto(members,500,1)
exten => 31481,1,Set(CALLERID(num)=200)
 same => n,AGI(agi://127.0.0.1/login/remember)
 same => n,Verbose(1,${CHANNEL} is ${ACCOUNT}: ${ACCOUNT_RESULT})
 same => n,Dial(Local/31482@lines)
exten => 31482,1,AGI(agi://127.0.0.1/member/contest)
 same => n,Verbose(1,${CHANNEL} voted: ${HITCOUNTER_RESULT})
exten => 31483,1,Set(CALLERID(num)=200)
 same => n,AGI(agi://127.0.0.1/login/remember)
 same => n,AGI(agi://127.0.0.1/logout)
 same => n,Verbose(1,${CHANNEL} has the session "${ACCOUNT_SESSION}")
 same => n,AGI(agi://127.0.0.1/login/remember)
"""


@pytest.fixture(scope='session')
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which pip has installed the example."""
    source, target = tmp_path_factory.mktemp('source') / 'accounts', tmp_path_factory.mktemp('installed')
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns('*.egg-info', 'build', '__pycache__'))
    subprocess.run(
        [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--target', target, source],
        env={**wheels(), 'PATH': '/usr/bin:/bin'},
        check=True,
    )
    return target


@pytest.fixture
def server(asterisk: Asterisk, installed: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that has the example, its account 1234, and a round in which each caller counts once."""
    monkeypatch.setenv('PYTHONPATH', str(installed))
    server = serve('--log-level', 'debug')
    run(server, 'accounts', 'add', '1234', '--pin-stdin', said='4711')
    run(server, 'round', 'open', 'contest', '--once-per', 'caller')
    shown = re.findall(r'^```ini\n(.*?)^```$', (EXAMPLE / 'README.md').read_text('utf-8'), re.MULTILINE | re.DOTALL)
    with asterisk.with_dialplan(DIALPLAN + ''.join(shown)):
        yield server


def run(server: Server, *command: str, said: str = '') -> None:
    code = 'from hitcounter.commands.main import main; main()'
    arguments = [*command, '--storage', server.storage]
    subprocess.run([sys.executable, '-c', code, *arguments], input=said, text=True, check=True, timeout=PATIENCE)


def gives(caller: Caller, pin: str, start: int = 0) -> None:
    """Enter the number of the account, then that PIN."""
    caller.hears(NUMBER, start)
    caller.press('1234#')
    caller.hears(PIN, start)
    caller.press(f'{pin}#')


def voted(server: Server, result: str, start: int = 0) -> None:
    """Wait until the server has served a vote, to that result."""
    server.log.wait(rf'ended after .*script=member/\{{line\}} .*result={result} ', start)


def test_a_member_logs_in_by_keys_and_votes_once(asterisk: Asterisk, server: Server) -> None:
    first = asterisk.dial('31480')
    gives(first, '4711')
    first.hears(LOGGED_IN)
    first.hears('digits/1')
    voted(server, 'COUNTED')
    assert 'GET DATA' in server.log.text()
    assert not re.search('4711|ACCOUNT_SESSION', server.log.text())

    again = asterisk.dial('31480')
    gives(again, '4711')
    again.hears(LOGGED_IN)
    again.hears('vm-goodbye')
    voted(server, 'REPEAT')


def test_after_three_wrong_pins_the_right_one_does_not_help(asterisk: Asterisk, server: Server) -> None:
    caller = asterisk.dial('31480')
    for _ in range(3):
        start = len(asterisk.log)
        gives(caller, '1111', start)
        caller.hears(WRONG, start)

    other = asterisk.dial('31480')
    gives(other, '4711')
    other.hears(WRONG)
    other.hang_up()

    server.log.wait('script=login .*result=WRONG')
    assert not server.log.all('(result=RIGHT|member)')


def test_a_session_is_carried_by_channels_and_found_by_the_caller_id_until_the_log_out(
    asterisk: Asterisk, server: Server
) -> None:
    first = asterisk.dial('31481')
    gives(first, '4711')
    asterisk.log.wait(rf'^ {re.escape(first.channel)} is 1234: RIGHT$')
    asterisk.log.wait(r'^ Local/31482@lines-\S+ voted: COUNTED$')

    second = asterisk.dial('31481')
    second.hears(LOGGED_IN)
    asterisk.log.wait(rf'^ {re.escape(second.channel)} is 1234: RIGHT$')
    asterisk.log.wait(r'^ Local/31482@lines-\S+ voted: REPEAT$')
    assert NUMBER not in asterisk.log.all(rf"<{re.escape(second.channel)}> Playing '([^'.]+)")

    last = asterisk.dial('31483')
    last.hears(LOGGED_IN)
    asterisk.log.wait(rf'^ {re.escape(last.channel)} has the session ""$')
    last.hears(NUMBER)
