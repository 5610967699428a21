"""What goes wrong: bad peers, callers who hang up, a server that is killed, a shell that stops."""

from __future__ import annotations

import itertools
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from hitcounter.hits import Caller, HitCounter
from hitcounter.lines.component import Lines
from hitcounter.simulator import Channel, HangUp, HangUpTiming, SaidNumber, place_call
from hitcounter.state import ReadConnection, State, open_database
from hitcounter.state.storage import sharing
from tests.support.patience import PATIENCE

if TYPE_CHECKING:
    from tests.support.servers import Run, ServerProcess, Start


# Bad peers. The servers have two workers, so that three further calls tell whether one was lost.


@pytest.fixture
def small(start: Start) -> ServerProcess:
    return start('--max-calls', '2')


def still_serves(server: ServerProcess) -> bool:
    return [server.number() for _ in range(3)] == [1, 2, 3]


def is_closed(peer: socket.socket) -> bool:
    """Wait until the server has closed this connection."""
    assert select.select([peer], [], [], PATIENCE)[0], 'the server did not close'
    try:
        return peer.recv(65536) in (b'', b'FAILURE\n')
    except ConnectionResetError:
        return True


def test_a_port_probe_is_silent_in_the_log(small: ServerProcess) -> None:
    for _ in range(5):
        small.connect().close()

    assert still_serves(small)
    assert small.stop() == 0
    assert len(small.log.lines()) == 3 + 4  # three calls; a new database, listening, stopping, stopped


BAD_OPENINGS = {
    'HTTP': b'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n',
    'TLS': b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'binary': bytes(range(256)) * 8,
    'an empty line': b'\n',
    'a line that is not a pair': b'agi_network: yes\nagi_nonsense\n\n',
    'a name twice': b'agi_network: yes\nagi_network: yes\n\n',
    'a foreign name': b'agi_network: yes\nname: value\n\n',
    'a line that never ends': b'agi_network: yes\nagi_request: ' + b'x' * 70_000,
    'an endless block': b'agi_network: yes\n' * 5000,
    'a single line': b'agi_x: 1\n\n',
    'half a block': Channel().environment_block()[:100] + b'\n\n',
    'a caller ID with a newline': Channel(caller_id='1001\nx').environment_block(),
    'a caller ID that ends with a newline': Channel(caller_id='1001\n').environment_block(),
    'a caller ID that chooses a script': Channel(caller_id='1001\nagi_network_script: hits').environment_block(),
    'a name that adds an argument': Channel(caller_name='Ada\nagi_arg_1: admin').environment_block(),
    'a name that ends the block': Channel(caller_name='Ada\n\n200 result=1').environment_block(),
    'arguments after a newline': Channel(arguments=('one\n', 'two')).environment_block(),
}


def test_what_is_no_environment_is_sent_away_with_one_line_each(small: ServerProcess) -> None:
    for opening in BAD_OPENINGS.values():
        with small.connect() as peer:
            peer.sendall(opening)
            assert is_closed(peer), opening[:40]

    assert still_serves(small)
    assert small.stop() == 0
    warnings = small.log.lines('WARNING')
    assert len(warnings) == len(BAD_OPENINGS)
    assert all('rejected 127.0.0.1: ' in warning and len(warning) < 300 for warning in warnings)


def test_a_peer_that_leaves_in_its_environment_is_one_line(small: ServerProcess) -> None:
    openings = [b'a', b'agi_network: yes\n', Channel().environment_block()[:-1]]

    for opening in openings:
        with small.connect() as peer:
            peer.sendall(opening)

    small.log.wait(
        'WARNING rejected 127.0.0.1: connection closed before the AGI environment was complete', len(openings)
    )
    assert still_serves(small)
    assert small.stop() == 0
    assert len(small.log.lines('WARNING')) == len(openings)


def test_an_environment_can_come_byte_by_byte(small: ServerProcess) -> None:
    with small.connect() as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in Channel().environment_block():
            peer.sendall(bytes([byte]))

        assert peer.recv(1000).startswith(b'EXEC MSet ')

    small.log.wait(r': lost \(.* line=31415 ')


BAD_REPLIES = [b'banana\n', b'200\n', b'200 result\n', b'\xff\xfe\n', b'600 what\n', b'200 result=0 (\n' * 30_000]


def test_a_reply_that_makes_no_sense_ends_its_call_alone(small: ServerProcess) -> None:
    for reply in BAD_REPLIES:
        with small.connect() as peer:
            peer.sendall(Channel(unique_id='1.1').environment_block())
            assert peer.recv(1000).startswith(b'EXEC MSet ')
            peer.sendall(reply)
            assert is_closed(peer), reply[:40]

    assert [small.number() for _ in range(2)] == [len(BAD_REPLIES) + 1, len(BAD_REPLIES) + 2]
    assert small.stop() == 0
    assert len(small.log.lines(r' 1\.1: .*lost \(')) == len(BAD_REPLIES)
    assert small.log.lines('Traceback|ERROR') == []


def test_asterisk_may_vanish_in_any_command(small: ServerProcess) -> None:
    commands = ['EXEC', 'ANSWER', 'STREAM FILE', 'SAY NUMBER']

    for command in commands:
        call = small.call(hang_up=HangUp(command, HangUpTiming.VANISHING), unique_id='1.1')
        assert call.status is None

    assert [small.number() for _ in range(3)] == [5, 6, 7]
    assert small.stop() == 0
    assert len(small.log.lines(r' 1\.1: lost \(.* line=31415 caller=unknown ')) == len(commands)
    assert small.log.lines('Traceback|ERROR') == []


def test_a_thousand_silent_peers_hold_up_nobody(small: ServerProcess) -> None:
    with ExitStack() as peers:
        for begins in range(1000):
            peer = peers.enter_context(small.connect())
            if begins % 2:
                peer.sendall(b'agi_network: yes\n')

        assert still_serves(small)


def test_calls_beyond_the_limit_are_sent_away_with_failure(small: ServerProcess) -> None:
    with small.hold(b'STREAM FILE hello') as first, small.hold(b'STREAM FILE hello') as second:
        surplus = small.call()
        others = [first(), second()]

    assert (surplus.status, surplus.lines) == ('FAILURE', [b'FAILURE'])
    assert [call.status for call in others] == ['SUCCESS', 'SUCCESS']
    assert small.number() == 3
    small.log.wait(r'WARNING rejected 127\.0\.0\.1: all workers are busy: allow more of them \(max_calls\)')


def test_a_call_beyond_the_limit_waits_for_the_next_worker(small: ServerProcess) -> None:
    with small.hold(b'STREAM FILE hello') as first, small.hold(b'STREAM FILE hello'), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(small.number)
        first()

        assert waiting.result() == 3


# Callers who hang up.


def test_who_hangs_up_after_being_counted_is_counted_once(server: ServerProcess) -> None:
    points = ['EXEC', 'ANSWER', 'STREAM FILE', 'SAY NUMBER', 3, 4, 5]
    manners = [HangUpTiming.DURING, HangUpTiming.CROSSING, HangUpTiming.AFTER]

    for at, how in itertools.product(points, manners):
        line = f'{at} {how.name}'
        call = server.call(hang_up=HangUp(at, how), unique_id='1.1', extension=line)

        assert call.status == 'HANGUP', line
        assert server.number(extension=line) == 2, line

    assert server.stop() == 0
    assert len(server.log.lines(r' 1\.1: hung up after ')) == len(points) * len(manners)


def test_who_has_hung_up_before_anything_is_decided_is_not_counted(server: ServerProcess) -> None:
    call = server.call(hang_up=HangUp(0, HangUpTiming.AFTER), unique_id='1.1')

    assert call.status == 'HANGUP'
    assert server.number() == 1
    assert server.stop() == 0
    assert len(server.log.lines(r' 1\.1: hung up after ')) == 1


# A server that is killed.


def test_no_number_that_was_heard_is_lost_when_the_server_is_killed(start: Start) -> None:
    chance = random.Random(20)
    heard: list[int] = []
    for _ in range(20):
        heard += call_until_killed(start(), chance.randrange(40))

    last = start()
    last.stop()

    assert len(heard) == len(set(heard))
    with (
        open_database(last.storage, share=True) as database,
        State(database, [HitCounter, Lines]) as state,
        ReadConnection(database.db) as session,
    ):
        count = state[HitCounter].count('31415')
        calls = list(session.root['hits'].since('31415', 1))
        hours = state[HitCounter].hours('31415')
    assert len(heard) >= 20
    assert [call.number for call in calls] == list(range(1, count + 1))
    assert set(heard) <= set(range(1, count + 1))
    assert len({call.caller.unique_id for call in calls}) == count
    assert sum(hours.values()) == count


def call_until_killed(server: ServerProcess, after: int) -> list[int]:
    """Call from several threads, and kill the server once `after` numbers were heard; all that were heard."""
    heard: list[int] = []
    enough = threading.Event()

    def calls() -> None:
        while True:
            try:
                call = place_call(server.address, Channel(), timeout=PATIENCE)
            except OSError:
                return
            numbers = [event.number for event in call.events if isinstance(event, SaidNumber)]
            heard.extend(numbers)
            if len(heard) > after or call.status != 'SUCCESS' or not numbers:
                enough.set()

    with ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(calls) for _ in range(4)]
        assert enough.wait(PATIENCE)
        server.kill()
        for caller in callers:
            caller.result()
    return heard


def test_what_a_killed_server_leaves_is_no_hindrance(start: Start, shell: Run) -> None:
    server = start()
    server.call()
    server.kill()

    alone = shell('-c', 'print(hits.count("31415"))')

    assert (alone.returncode, alone.stdout) == (0, '1\n')
    assert start().number() == 2


def test_a_shell_says_nothing_of_what_a_killed_server_left(start: Start, shell: Run) -> None:
    server = start()
    server.call()
    server.kill()

    assert shell('-c', 'print(hits.count("31415"))').stderr == ''


# A shell that stops or dies while it keeps everyone else from committing.

STOPS_IN_ITS_COMMIT = """
import os, signal

class Stops:
    transaction_manager = None

    def sortKey(self):
        return '~'  # behind the storage, which has voted by then

    def tpc_vote(self, _):
        os.kill(os.getpid(), signal.SIGSTOP)

    def nothing(self, _):
        pass

    abort = commit = tpc_begin = tpc_finish = tpc_abort = nothing

hits._lines['31415'].hours.add(0, 5)
commit.__self__.session._transactions.get().join(Stops())
commit()
print('stored')
"""

CALLER = Caller(None, None, '1.1')


@pytest.fixture
def counter(storage: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[HitCounter]:
    """A database that this process shares, and gives nobody long to commit; it has one call."""
    monkeypatch.setattr(sharing, 'COMMIT_TIMEOUT', 0.3)
    with open_database(storage, share=True) as database, State(database, [HitCounter, Lines]) as state:
        state[HitCounter].hit('31415', CALLER)
        yield state[HitCounter]


@pytest.fixture
def stopped_shell(counter: HitCounter, storage: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A shell that has voted for its change, and has not finished it."""
    with subprocess.Popen(
        [
            *(sys.executable, '-W', 'error', '-c', 'from hitcounter.commands.shell import main; main()'),
            *('--storage', storage, '--write', '-c', STOPS_IN_ITS_COMMIT),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as shell:
        try:
            result = os.waitid(os.P_PID, shell.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            assert result is not None
            assert result.si_code == os.CLD_STOPPED
            yield shell
        finally:
            shell.kill()


def test_a_shell_that_stops_in_its_commit_holds_up_calls_for_a_while_only(
    counter: HitCounter, stopped_shell: subprocess.Popen[str]
) -> None:
    numbers = [counter.hit('31415', CALLER) for _ in range(3)]

    assert numbers == [2, 3, 4]


def test_a_shell_that_goes_on_too_late_is_told_and_has_stored_nothing(
    counter: HitCounter, stopped_shell: subprocess.Popen[str]
) -> None:
    counter.hit('31415', CALLER)

    stopped_shell.send_signal(signal.SIGCONT)
    output, errors = stopped_shell.communicate(timeout=PATIENCE)

    assert (stopped_shell.returncode, output) == (1, '')
    assert 'ClientDisconnected' in errors
    assert 0 not in counter.hours('31415')
    assert counter.hit('31415', CALLER) == 3


def test_a_shell_that_dies_in_its_commit_holds_up_nobody(
    counter: HitCounter, stopped_shell: subprocess.Popen[str]
) -> None:
    stopped_shell.kill()

    assert counter.hit('31415', CALLER) == 2
    assert 0 not in counter.hours('31415')
