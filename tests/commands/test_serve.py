"""hitcounter-serve, as a process of its own: calls, signals, and what keeps it from starting."""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ZODB.FileStorage import FileStorage

from hitcounter.hits import APOLOGY, Caller, Hit, HitCounter
from hitcounter.lines.component import Lines
from hitcounter.simulator import Answered, Played, SaidNumber
from hitcounter.state import State, open_database
from tests.support.servers import ServerProcess

if TYPE_CHECKING:
    from tests.support.servers import Run, Start

HOUR = 3600

StartWith = Callable[[str], ServerProcess]


# Calls.


def test_a_caller_hears_the_prompts_and_then_the_number(server: ServerProcess) -> None:
    call = server.call()

    assert call.events == [Answered(), Played('hello'), Played('number'), SaidNumber(1)]
    assert call.status == 'SUCCESS'


def test_the_dialplan_has_the_number_before_anything_is_played(server: ServerProcess) -> None:
    call = server.call()

    assert call.lines[0].startswith(b'EXEC MSet ')
    assert call.variables['HITCOUNTER_NUMBER'] == '1'


def test_each_caller_gets_the_next_number(server: ServerProcess) -> None:
    assert [server.number() for _ in range(3)] == [1, 2, 3]


def test_each_line_counts_for_itself(server: ServerProcess) -> None:
    numbers = [server.number(extension=line) for line in ('31415', '27182', '31415', '27182')]

    assert numbers == [1, 1, 2, 2]


@pytest.mark.parametrize('url', ['agi://127.0.0.1', 'agi://127.0.0.1/', 'agi://127.0.0.1/hits?once=yes'])
def test_the_script_is_found_with_and_without_its_name(server: ServerProcess, url: str) -> None:
    assert server.number(url=url) == 1


def test_an_unknown_script_fails_and_counts_nothing(server: ServerProcess) -> None:
    call = server.call(url='agi://127.0.0.1/other', unique_id='1.1')

    assert call.status == 'FAILURE'
    assert call.lines == [b'FAILURE']
    server.log.wait(r" 1\.1: .*there is no script 'other'")
    assert server.number() == 1


def test_what_was_counted_is_stored_with_who_called_and_when(server: ServerProcess) -> None:
    before = time.time()
    server.call(caller_id='+44123', caller_name='Zoë', unique_id='1795384173.311')
    server.call(unique_id='1795384173.312')
    after = time.time()
    server.stop()

    with (
        open_database(server.storage, share=True) as database,
        State(database, [HitCounter, Lines]) as state,
    ):
        hits = state[HitCounter]
        first, second = hits.call('31415', 1), hits.call('31415', 2)
        hours = hits.hours('31415')

    assert first == Hit(1, first.time, Caller('+44123', 'Zoë', '1795384173.311', withheld=False))
    assert second == Hit(2, second.time, Caller(None, None, '1795384173.312', withheld=False))
    assert before <= first.time <= second.time <= after
    assert sum(hours.values()) == 2
    assert set(hours) <= {int(moment) // HOUR * HOUR for moment in (before, after)}


#: What may say who called, each in another place.
WITHHELD = {
    'presentation': 35,
    'name': 'SIP/+49-5550-2-0000',
    'caller_id': '+49-5550-3',
    'caller_name': '+49-5550-4',
    'rdnis': '+49-5550-5',
    'account_code': '+49-5550-6',
    'arguments': ('+49-5550-7',),
}


def holding(folder: Path, secret: bytes) -> list[str]:
    return [path.name for path in folder.rglob('*') if path.is_file() and secret in path.read_bytes()]


def test_a_withheld_caller_is_counted_and_neither_stored_nor_logged_nor_exported(
    start: Start, hitcounter: Run, shell: Run, tmp_path: Path
) -> None:
    server = start('--log-level', 'debug')
    assert server.number(**WITHHELD, unique_id='17.1') == 1
    for url in ('agi://127.0.0.1/+49-5550-8', 'agi://127.0.0.1/hits?from=+49-5550-1'):
        assert server.call(**WITHHELD, url=url).status == 'FAILURE'
    assert server.number(caller_id='555', presentation=67) == 2
    exported = hitcounter('export', '-', '--format', 'csv').stdout
    shown = shell('-c', 'print(hits.call("31415", 1), hits.call("31415", 2))').stdout
    server.stop()

    assert '+49-5550' not in exported + shown + str(server.log)
    assert holding(tmp_path, b'+49-5550') == []
    assert exported.splitlines()[1].endswith(',,,"17.1",yes')
    assert exported.splitlines()[2].endswith(',no')
    assert "caller_id=None, name=None, unique_id='17.1', withheld=True" in shown
    assert server.log.lines('17.1: ended after .* line=31415 caller=withheld result=1 agistatus=SUCCESS')


def test_a_withheld_caller_who_may_be_known_is_stored_and_logged_as_such(start: Start, hitcounter: Run) -> None:
    server = start('--withheld', 'keep')
    assert server.number(**WITHHELD, unique_id='17.1') == 1
    assert hitcounter('export', '-', '--format', 'csv').stdout.endswith(',"+49-5550-3","+49-5550-4","17.1",yes\n')
    server.log.wait('17.1: ended after .* line=31415 caller=[+]49-5550-3 ')


def test_a_line_too_many_is_refused_with_a_sentence_and_the_apology(start: Start) -> None:
    server = start('--max-lines', '1')
    assert server.number(extension='1') == 1
    call = server.call(extension='2', unique_id='17.1')
    assert call.events == [Answered(), *map(Played, APOLOGY)]
    assert call.status == 'FAILURE'
    server.log.wait(r"17.1: failed \(line '2' would be new, and there are already 1 line, as many as allowed.*\) after")
    assert len(server.log.lines('17.1')) == 1
    assert server.number(extension='1') == 2


@pytest.mark.parametrize(
    ('channel', 'said'),
    [
        ({'extension': ''}, 'the line is empty: dial or name one of at least one character'),
        ({'extension': '9' * 81}, r"line '9{80}'... has 81 bytes: dial or name one of at most 80"),
        (
            {'extension': '\x1b[2J'},
            r"line '\\x1b.2J' contains the control character '\\x1b': dial or name one without it",
        ),
        ({'extension': '1\udcff'}, r"line '1\\udcff' is not UTF-8, because of '\\udcff': dial or name one that is"),
        ({'url': 'agi://127.0.0.1/hits/a%0Ab'}, r"line 'a\\nb' contains the control character '\\n': .*"),
        ({'url': 'agi://127.0.0.1/hits/%00'}, r"line '\\x00' contains the control character '\\x00': .*"),
        ({'url': 'agi://127.0.0.1/hits/%FF'}, r"line '\\udcff' is not UTF-8, because of '\\udcff': .*"),
    ],
)
def test_a_line_that_cannot_be_makes_one_line_of_the_log_and_stores_nothing(
    channel: dict[str, str], said: str, server: ServerProcess, hitcounter: Run
) -> None:
    call = server.call(**channel, unique_id='17.1')
    assert call.events == [Answered(), *map(Played, APOLOGY)]
    assert call.status == 'FAILURE'
    server.log.wait(rf'INFO 17\.1: failed \({said}\) after 0\.\d\d\d s: script=\S+ line=.* agistatus=FAILURE$')
    assert len(server.log.lines(r'17\.1')) == 1
    assert hitcounter('export', '-').stdout == ''


def test_a_line_that_cannot_be_is_not_shown_if_its_caller_is_withheld(server: ServerProcess) -> None:
    server.call(extension='\x1b[2J', unique_id='17.1', presentation=35)
    server.log.wait(r'17\.1: failed \(LineRefused, whose message is not shown because it may identify the caller\)')
    assert len(server.log.lines(r'17\.1')) == 1


def test_what_a_hostile_peer_says_costs_neither_the_database_nor_the_log_much(start: Start, tmp_path: Path) -> None:
    server = start()
    server.number()
    before = (tmp_path / 'hits.fs').stat().st_size
    for _ in range(5):
        assert server.call(extension='9' * 60_000).status == 'FAILURE'
        server.number(caller_name='x' * 60_000)
    assert (tmp_path / 'hits.fs').stat().st_size - before < 5 * 2_000
    server.stop()
    assert len(str(server.log)) < 10_000


def test_a_new_process_counts_on_where_the_last_one_ended(start: Start) -> None:
    first = start()
    first.call()
    first.stop()

    assert start().number() == 2


def test_other_prompts_can_be_played_instead(start: Start) -> None:
    server = start('--prompt', 'you-are-caller', '--prompt', 'digits/star')

    assert server.call().events[1:3] == [Played('you-are-caller'), Played('digits/star')]


def test_a_prompt_that_asterisk_lacks_keeps_nobody_from_the_number(server: ServerProcess) -> None:
    assert server.number(missing=frozenset({'hello'})) == 1


def test_an_ipv6_peer_of_this_machine_is_served(start: Start) -> None:
    assert start('--listen', '[::1]:0').number() == 1


def test_a_database_in_memory_serves(start: Start) -> None:
    server = start(at='memory:')

    assert [server.number(), server.number()] == [1, 2]


def test_a_deep_folder_is_served(start: Start, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*['deep-folder'] * 15, 'hits.fs')
    deep.parent.mkdir(parents=True)

    assert start(at=f'file://{deep}').number() == 1


# Peers.


def test_other_machines_may_call_when_they_are_allowed(start: Start) -> None:
    server = start('--listen', '0.0.0.0:0', '--allow', '198.51.100.0/24', '--allow', _own_address())

    server.address = _own_address(), server.address[1]

    assert server.number() == 1


def test_other_machines_are_sent_away(start: Start) -> None:
    server = start('--listen', '0.0.0.0:0', '--allow', '198.51.100.0/24')

    server.address = _own_address(), server.address[1]
    call = server.call()

    assert (call.status, call.lines) == ('FAILURE', [b'FAILURE'])
    server.log.wait('WARNING rejected .*: its address is not in an allowed network')
    server.address = '127.0.0.1', server.address[1]
    assert server.number() == 1


def test_a_peer_has_no_more_calls_at_once_than_it_may(start: Start) -> None:
    server = start('--max-calls-per-peer', '1')

    with server.hold(b'STREAM FILE hello') as go_on:
        call = server.call()
        assert (call.status, call.lines) == ('FAILURE', [b'FAILURE'])
        assert go_on().events[-1] == SaidNumber(1)

    assert server.number() == 2
    server.log.wait(r'WARNING rejected 127\.0\.0\.1: it already has as many calls as one peer may have')


def _own_address() -> str:
    """An address of this machine that is not a loopback address, as another machine's would look."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(('192.0.2.1', 9))  # sends nothing
        except OSError:
            pytest.skip('this machine has no address but 127.0.0.1')
        return probe.getsockname()[0]


# The log.


def test_the_log_names_the_address_and_the_database(server: ServerProcess, tmp_path: Path) -> None:
    line = server.log.wait('listening')

    assert line.string.endswith(f'INFO listening on 127.0.0.1:{server.address[1]}, database {tmp_path}/hits.fs')


def test_each_call_is_one_line_of_the_log(server: ServerProcess) -> None:
    server.call(unique_id='1795384173.311', caller_id='+44123')
    server.call(unique_id='1795384173.312')
    server.stop()

    lines = [line for line in server.log.lines() if ' is a new database' not in line]
    assert len(lines) == 5  # listening, two calls, stopping, stopped
    assert re.search(r'INFO 1795384173\.311: ended after .* line=31415 caller=\+44123 result=1 ', lines[1])
    assert re.search(r'INFO 1795384173\.312: ended after .* line=31415 caller=unknown result=2 ', lines[2])


def test_a_caller_cannot_forge_a_line_of_the_log(server: ServerProcess) -> None:
    server.call(unique_id='1.1', caller_id='1\r2\x1b[2J\u2028', caller_name='\x07')
    server.stop()

    (line,) = server.log.lines(r' 1\.1: ')
    assert line.isprintable()


def test_each_command_is_logged_when_asked_for(start: Start) -> None:
    server = start('--log-level', 'debug')

    server.call(unique_id='1.1')
    server.stop()

    assert server.log.lines(r'DEBUG 1\.1: ANSWER')


def test_a_server_whose_log_nobody_reads_any_more_goes_on(start: Start) -> None:
    server = start()
    server.log.stop_reading()
    server.call()
    server.log.end()

    numbers = [server.number() for _ in range(10)]

    assert numbers == list(range(2, 12))
    assert server.stop() == 0


# The end.


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_calls_end_and_closes_all(server: ServerProcess, number: int, tmp_path: Path) -> None:
    with server.hold(b'STREAM FILE hello') as go_on:
        server.process.send_signal(number)
        server.log.wait('stopping: calls may go on for 30 s, or until a second signal')

        call = go_on()

    assert call.events[-1] == SaidNumber(1)
    assert call.status == 'SUCCESS'
    assert server.wait() == 0
    server.log.wait('stopped: 1 call ended, 0 closed, 0 forced')
    assert not (tmp_path / 'hits.fs.shared' / 'socket').exists()
    FileStorage(str(tmp_path / 'hits.fs')).close()  # the lock is free
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(server.address)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_server_without_calls_stops_at_once(server: ServerProcess, number: int) -> None:
    assert server.stop(number) == 0

    server.log.wait('stopped: 0 calls ended, 0 closed, 0 forced')


def test_a_second_signal_closes_the_calls(server: ServerProcess) -> None:
    with server.hold(b'STREAM FILE hello') as go_on:
        server.process.send_signal(signal.SIGTERM)
        server.log.wait('stopping')
        server.process.send_signal(signal.SIGTERM)

        assert server.wait() == 0
        call = go_on()

    assert call.events[-1] == Played('hello')
    server.log.wait('stopped: 0 calls ended, 1 closed, 0 forced')


def test_two_signals_at_once_close_the_calls(server: ServerProcess) -> None:
    with server.hold(b'STREAM FILE hello'):
        server.process.send_signal(signal.SIGINT)
        server.process.send_signal(signal.SIGTERM)

        assert server.wait() == 0

    server.log.wait('stopped: 0 calls ended, 1 closed, 0 forced')


def test_calls_are_closed_when_the_time_to_drain_is_over(start: Start) -> None:
    server = start('--drain', '0.1')

    with server.hold(b'ANSWER'), server.hold(b'STREAM FILE hello'):
        server.process.send_signal(signal.SIGTERM)
        assert server.wait() == 0

    server.log.wait('stopped: 0 calls ended, 2 closed, 0 forced')


def test_nobody_is_let_in_during_the_drain(server: ServerProcess) -> None:
    with server.hold(b'STREAM FILE hello') as go_on, server.connect() as slow:
        slow.sendall(b'agi_')
        server.process.send_signal(signal.SIGTERM)
        server.log.wait('stopping')
        assert slow.recv(100) == b'FAILURE\n'  # the acceptor has stopped, and so does not listen

        with pytest.raises(ConnectionRefusedError):
            server.connect()
        go_on()

    assert server.wait() == 0


def test_a_terminal_that_is_closed_lets_the_calls_end(server: ServerProcess) -> None:
    with server.hold(b'STREAM FILE hello') as go_on:
        server.process.send_signal(signal.SIGHUP)
        server.log.wait('stopping: calls may go on')
        assert go_on().status == 'SUCCESS'

    assert server.wait() == 0


def test_nohup_keeps_it_from_that(start: Start) -> None:
    server = start(inside=('nohup',))
    server.process.send_signal(signal.SIGHUP)
    assert server.number() == 1

    assert server.stop() == 0
    assert len(server.log.lines('stopping')) == 1


def test_calls_that_are_closed_have_failed_for_the_dialplan(server: ServerProcess) -> None:
    with server.hold(b'STREAM FILE hello') as go_on:
        server.process.send_signal(signal.SIGTERM)
        server.log.wait('stopping')
        server.process.send_signal(signal.SIGHUP)

        assert server.wait() == 0
        assert go_on().status == 'FAILURE'


@pytest.fixture
def start_with(storage: str, environment: dict[str, str], tmp_path: Path) -> Iterator[StartWith]:
    """Start a server by this code, which may end as it likes."""
    started: list[ServerProcess] = []

    def start_with(code: str) -> ServerProcess:
        started.append(ServerProcess(storage, (), environment, tmp_path, code=code))
        return started[-1]

    yield start_with
    for server in started:
        server.process.kill()
        server.wait()


# A start that takes long: a component that waits for something.
_SLOW = """
import sys, time
from hitcounter import hits
from hitcounter.commands import serve

def start(self, state):
    print('a component starts', file=sys.stderr, flush=True)
    time.sleep(600)

hits.HitCounter.start = classmethod(start)
serve.main()
"""


@pytest.mark.parametrize(
    ('number', 'status'), [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 128 + signal.SIGINT)]
)
def test_a_signal_ends_a_start_at_once_and_closes_the_database(
    number: signal.Signals, status: int, start_with: StartWith, tmp_path: Path
) -> None:
    server = start_with(_SLOW)
    server.log.wait('a component starts')
    server.process.send_signal(number)

    assert server.wait() == status

    assert server.log.lines(f'stopped by {number.name} before it listened')
    assert 'Traceback' not in str(server.log)
    assert not (tmp_path / 'hits.fs.shared' / 'socket').exists()
    FileStorage(str(tmp_path / 'hits.fs')).close()


# Threads that it cannot do without, which die of an error that nobody foresaw.
_DYING = """
from hitcounter.commands import serve
from hitcounter.agi.serving import acceptor, running_calls
from hitcounter.state.transactions import writer

start = serve.Server.start

def die(*_):
    raise OSError(28, 'No space left on device')

def start_and(server):
    start(server)
    {method} = die

serve.Server.start = start_and
serve.main()
"""


@pytest.mark.parametrize(
    ('method', 'name'),
    [
        ('acceptor.Acceptor._read_environment', 'agi acceptor'),
        ('running_calls.RunningCalls._look', 'agi clock'),
        ('writer.Writer._next_batch', 'state writer'),
    ],
)
def test_the_death_of_a_vital_thread_ends_the_process_with_status_1_and_a_sentence(
    method: str, name: str, start_with: StartWith, tmp_path: Path
) -> None:
    server = start_with(_DYING.format(method=method))
    server.wait_until_ready()
    with suppress(OSError):  # it may be too late
        server.call()
    assert server.wait() == 1

    assert server.log.lines(f"CRITICAL the thread '{name}' died")
    assert server.log.lines()[-1] == (
        f"Error: the thread '{name}' died of OSError ([Errno 28] No space left on device), and no call can be counted "
        f'without it: start the server again'
    )
    FileStorage(str(tmp_path / 'hits.fs')).close()


# Runs something in the server's process once it listens.
_THEN = """
import threading
from hitcounter.commands import serve

start = serve.Server.start

def start_and(server):
    start(server)
    {then}

serve.Server.start = start_and
serve.main()
"""


def test_a_thread_of_somebody_else_may_die(start_with: StartWith) -> None:
    code = _THEN.format(then="threading.Timer(0, int, ['one']).start()")
    server = start_with(code)
    server.wait_until_ready()
    server.log.wait('ValueError: invalid literal for int')

    assert server.number() == 1
    assert server.stop() == 0


def test_it_drains_and_stops_where_the_system_gives_no_more_threads(start_with: StartWith) -> None:
    code = _THEN.format(then="threading.Thread.start = lambda _: int('no more threads')")
    server = start_with(code)
    server.wait_until_ready()
    with server.hold(b'STREAM FILE hello') as go_on:
        server.process.send_signal(signal.SIGTERM)
        server.log.wait('stopping')
        assert go_on().status == 'SUCCESS'

    assert server.wait() == 0
    server.log.wait('stopped: 1 call ended')
    assert 'Traceback' not in str(server.log)


def test_a_system_without_threads_is_said_in_a_sentence(start_with: StartWith) -> None:
    code = _THEN.replace('start(server)\n    {then}', 'raise RuntimeError("can\'t start new thread")')
    server = start_with(code)

    assert server.wait() == 1
    assert str(server.log) == 'Error: the system allows no more threads: raise the limit of this user or service'


# What keeps it from starting: one sentence each, and status 1.


def test_a_second_server_on_the_same_file_says_who_has_it(server: ServerProcess, run: Run) -> None:
    second = run('serve', '--listen', '127.0.0.1:0', '--storage', server.storage)

    assert second.returncode == 1
    assert second.stderr.startswith('Error: ')
    assert f"hits.fs' is open in the process with id {server.process.pid}" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert server.number() == 1


def test_an_address_in_use_is_said_and_the_database_closed(server: ServerProcess, run: Run, tmp_path: Path) -> None:
    host, port = server.address

    second = run('serve', '--listen', f'{host}:{port}', '--storage', f'file://{tmp_path}/other.fs')

    assert second.returncode == 1
    assert second.stderr.startswith(f'Error: cannot listen on {host} port {port}: Address already in use')
    assert second.stderr.endswith('; choose another address (--listen, --allow)\n')
    FileStorage(str(tmp_path / 'other.fs')).close()


def test_an_address_of_another_machine_is_said(run: Run) -> None:
    done = run('serve', '--listen', '198.51.100.1:0', '--allow', '198.51.100.0/24', '--storage', 'memory:')

    assert done.returncode == 1
    assert done.stderr.startswith('Error: cannot listen on 198.51.100.1 port 0: ')
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize('host', ['0.0.0.0', '[::]'])
def test_other_machines_are_let_in_only_by_name(run: Run, host: str) -> None:
    done = run('serve', '--listen', f'{host}:0', '--storage', 'memory:')

    assert done.returncode == 1
    assert done.stderr == (
        f'Error: {host.strip("[]")} is open to other machines: give the networks that may call (--listen, --allow)\n'
    )


def test_a_core_that_is_not_there_is_said(run: Run) -> None:
    done = run('serve', '--cpu', '9999', '--storage', 'memory:')

    assert done.returncode == 1
    assert done.stderr.startswith('Error: there is no core 9999 to run on: choose one of {0')


def test_a_core_that_is_there_is_kept_to(start: Start) -> None:
    server = start('--cpu', '0')

    assert server.number() == 1
    threads = [status.read_text() for status in Path(f'/proc/{server.process.pid}/task').glob('*/status')]

    assert len(threads) > 30
    assert all('Cpus_allowed_list:\t0\n' in status for status in threads)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a database must not be made of."""
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'text').write_text('Dear diary\n')
    return tmp_path


@pytest.mark.parametrize(
    ('path', 'reason'),
    [
        ('folder', 'directory'),
        ('text', 'is not a ZODB database file, and was left as it is'),
        ('text/below.fs', 'cannot be opened'),
        ('/proc/there/is/no.fs', 'cannot be opened'),
        ('/proc/self/none.fs', 'cannot be opened'),
    ],
)
def test_what_can_be_no_database_is_refused_in_a_sentence(run: Run, folder: Path, path: str, reason: str) -> None:
    uri = f'file://{folder / path}'

    done = run('serve', '--listen', '127.0.0.1:0', '--storage', uri)

    assert done.returncode == 1
    assert done.stderr.startswith('Error: ')
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (folder / 'text').read_text() == 'Dear diary\n'


def test_a_damaged_database_is_refused_and_left_as_it_is(start: Start, run: Run, tmp_path: Path) -> None:
    server = start()
    for _ in range(5):
        server.call()
    server.stop()
    file = tmp_path / 'hits.fs'
    damaged = file.read_bytes()[:-100]
    file.write_bytes(damaged)

    done = run('serve', '--listen', '127.0.0.1:0', '--storage', server.storage)

    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: '{file}' can be read up to its transaction of ")
    assert 'Traceback' not in done.stderr
    assert file.read_bytes() == damaged


@pytest.mark.parametrize('uri', ['nonsense', 'file:', '', 'foo:bar', 'file:/tmp/x.fs?colour=red'])
def test_a_uri_that_names_nothing_is_said(run: Run, uri: str) -> None:
    done = run('serve', '--listen', '127.0.0.1:0', '--storage', uri)

    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: '{uri}' ")
    assert len(done.stderr.splitlines()) == 1
