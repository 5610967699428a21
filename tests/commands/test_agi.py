"""hitcounter-agi: real processes, over pipes to a simulator of Asterisk."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hitcounter.simulator import Answered, CallerHungUp, Channel, HangUp, HangUpTiming, Played, SaidNumber
from tests.support.patience import PATIENCE
from tests.support.processes import HITCOUNTER_AGI, ProcessCall
from tests.support.servers import Run, ServerProcess, Start

Begin = Callable[..., ProcessCall]

#: A command whose script is the body of a function of `call`.
SCRIPT = """
import sys
from hitcounter.commands import log
from hitcounter.agi import Script
from hitcounter.agi.serving.process import run, standard_stream

def script(call):
    {}

with standard_stream() as stream:
    log.set_up('info')
    well = run([Script('script', script)], stream, sys.argv[1:])
sys.exit(not well)
"""


@pytest.fixture
def begin(storage: str, environment: dict[str, str], tmp_path: Path) -> Iterator[Begin]:
    """Start a process with these arguments, for a call on this channel."""
    begun: list[ProcessCall] = []

    def begin(
        *arguments: str, code: str = HITCOUNTER_AGI, audio: bytes | None = None, **channel: object
    ) -> ProcessCall:
        call = ProcessCall(
            Channel(**channel),
            *arguments,
            environment={**environment, 'HITCOUNTER_STORAGE': storage},
            folder=tmp_path,
            code=code,
            audio=audio,
        )
        begun.append(call)
        return call

    yield begin
    for call in begun:
        call.close()


def counted(shell: Run) -> str:
    return shell('-c', 'print(hits.lines())').stdout.strip()


def wait_until_it_counts(call: ProcessCall) -> None:
    """Wait until the transaction that counts the caller has begun; those of the opening come before any command."""
    call.log.wait('GET FULL VARIABLE answered')
    before = str(call.log).partition('GET FULL VARIABLE answered')[0]
    call.log.wait('new transaction', times=before.count('new transaction') + 1)


@pytest.mark.parametrize('arguments', [(), ('hits',), ('hits', 'more', '--storage=memory:')])
def test_a_caller_hears_the_number(arguments: tuple[str, ...], server: ServerProcess, begin: Begin) -> None:
    call = begin(*arguments).run()

    assert call.asterisk.events == [Answered(), Played('hello'), Played('number'), SaidNumber(1)]
    assert call.status == 0, call.said
    assert server.number() == 2


def test_the_log_has_one_line_for_the_call(server: ServerProcess, begin: Begin) -> None:
    call = begin('hits', unique_id='7.1', caller_id='1001').run()

    (line,) = call.said.splitlines()
    assert re.search(r'INFO 7\.1: ended after .* script=hits line=31415 caller=1001 result=1 agistatus=SUCCESS', line)


def test_a_withheld_caller_is_in_no_log_unless_it_may_be_known(server: ServerProcess, begin: Begin) -> None:
    channel = {'unique_id': '7.1', 'caller_id': '5550', 'name': 'SIP/5550-1', 'presentation': 35}
    hidden = begin('--log-level', 'debug', 'hits', '5550', **channel).run()
    kept = begin('--withheld', 'keep', **channel).run()

    assert '5550' not in hidden.said
    assert ' line=31415 caller=withheld ' in hidden.said
    assert ' line=31415 caller=5550 ' in kept.said


def test_a_process_begins_no_line_too_many(server: ServerProcess, begin: Begin) -> None:
    assert begin('--max-lines', '1', extension='1').run().number == 1
    refused = begin('--max-lines', '1', extension='2').run()
    assert (refused.status, refused.asterisk.status) == (1, 'FAILURE')
    assert "line '2' would be new, and there are already 1 line" in refused.said
    assert begin('--max-lines', '1', extension='1').run().number == 2


def test_ten_processes_and_ten_calls_of_the_server_count_to_twenty(server: ServerProcess, begin: Begin) -> None:
    calls = [begin('hits') for _ in range(10)]
    with ThreadPoolExecutor(20) as pool:
        processes = [pool.submit(call.run) for call in calls]
        threads = [pool.submit(server.number) for _ in range(10)]
        numbers = [process.result().number for process in processes] + [thread.result() for thread in threads]

    assert sorted(numbers) == list(range(1, 21))
    assert {call.status for call in calls} == {0}


def test_without_a_server_it_opens_the_file_itself(start: Start, begin: Begin) -> None:
    server = start()
    assert server.number() == 1
    server.stop()

    assert begin().run().number == 2
    assert begin().run().number == 3
    assert start().number() == 4


def test_two_calls_without_a_server_wait_for_each_other(start: Start, begin: Begin) -> None:
    start().stop()
    calls = [begin(), begin()]

    with ThreadPoolExecutor(2) as pool:
        assert sorted(call.number for call in pool.map(ProcessCall.run, calls)) == [1, 2]


def test_without_a_database_the_call_fails_with_a_sentence(begin: Begin) -> None:
    call = begin().run()

    assert call.asterisk.status == 'FAILURE'
    assert call.status == 1
    assert 'is not a database yet: start hitcounter-serve, which creates it' in call.said
    assert 'Traceback' not in call.said


@pytest.mark.parametrize(
    ('arguments', 'status'),
    [(('--storage', 'file:/no/such/folder/hits.fs'), 1), (('--bogus',), 2), (('--config', '/no/such/file.toml'), 2)],
)
def test_a_command_that_ends_before_its_call_is_a_failure_too(
    arguments: tuple[str, ...], status: int, begin: Begin
) -> None:
    call = begin(*arguments).run()

    assert (call.asterisk.status, call.status) == ('FAILURE', status)


def test_a_script_that_is_not_there_fails(server: ServerProcess, begin: Begin) -> None:
    call = begin('nosuch').run()

    assert (call.asterisk.events, call.asterisk.status, call.status) == ([], 'FAILURE', 1)
    assert "failed (there is no script 'nosuch')" in call.said


# Hangups.


@pytest.mark.parametrize('manner', [HangUpTiming.DURING, HangUpTiming.CROSSING])
def test_who_hangs_up_before_the_answer_stays_counted(
    manner: HangUpTiming, server: ServerProcess, begin: Begin, shell: Run
) -> None:
    call = begin(hang_up=HangUp('ANSWER', manner))

    call.run({b'ANSWER': lambda: call.process.send_signal(signal.SIGHUP)})

    assert (call.asterisk.lines[1:], call.status) == ([b'ANSWER'], 0)
    assert 'hung up after' in call.said
    assert counted(shell) == "{'31415': 1}"


@pytest.mark.parametrize('manner', [HangUpTiming.DURING, HangUpTiming.AFTER, HangUpTiming.CROSSING])
@pytest.mark.parametrize('command', ['STREAM FILE', 'SAY NUMBER'])
def test_who_hangs_up_later_stays_counted(
    manner: HangUpTiming, command: str, server: ServerProcess, begin: Begin, shell: Run
) -> None:
    call = begin(hang_up=HangUp(command, manner)).run()

    assert CallerHungUp() in call.asterisk.events
    assert call.status == 0, call.said
    assert counted(shell) == "{'31415': 1}"
    assert server.number() == 2


def test_a_hangup_in_the_middle_of_a_commit_leaves_it_whole(server: ServerProcess, begin: Begin, shell: Run) -> None:
    call = begin('--log-level', 'debug', 'hits?once=yes')
    commands = call.commands()

    assert next(commands).startswith(b'GET FULL VARIABLE')
    server.process.send_signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(next, commands)
            wait_until_it_counts(call)
            call.process.send_signal(signal.SIGHUP)
            server.process.send_signal(signal.SIGCONT)
            assert second.result().startswith(b'EXEC MSet')
    finally:
        server.process.send_signal(signal.SIGCONT)

    assert list(commands) == []
    assert call.status == 0
    assert counted(shell) == "{'31415': 1}"


def test_a_call_is_counted_once_though_the_server_is_killed_and_started_again(
    start: Start, begin: Begin, shell: Run
) -> None:
    first = start()
    call = begin('--log-level', 'debug', 'hits?once=yes')
    commands = call.commands()

    assert next(commands).startswith(b'GET FULL VARIABLE')
    first.process.send_signal(signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(next, commands)
        wait_until_it_counts(call)
        first.kill()
        start()
        assert second.result(PATIENCE).startswith(b'EXEC MSet')

    assert [line[:10] for line in commands][-1] == b'SAY NUMBER'
    assert (call.status, call.number) == (0, 1)
    assert counted(shell) == "{'31415': 1}"


def test_a_hangup_before_there_is_a_call_is_told_at_its_first_command(begin: Begin) -> None:
    code = SCRIPT.format('call.answer(); call.verbose("never")')
    early = '    import os, signal; os.kill(os.getpid(), signal.SIGHUP)\n'

    call = begin('script', code=code.replace('    well =', early + '    well =')).run()

    assert (call.asterisk.lines, call.status) == ([b'ANSWER'], 0)
    assert 'hung up after' in call.said


def test_asterisk_that_goes_away_ends_the_process(server: ServerProcess, begin: Begin) -> None:
    call = begin()
    commands = call.commands()
    assert next(commands).startswith(b'EXEC MSet')
    assert call.process.stdin
    call.process.stdin.close()
    assert call.process.wait(PATIENCE) == 1


# Scripts of one's own.


def test_a_script_finds_its_own_arguments_as_in_the_server(begin: Begin) -> None:
    code = SCRIPT.format('call.verbose(repr((call.environment.script, call.environment.arguments, call.audio)))')

    call = begin('script', '', 'b c', code=code).run()

    assert call.status == 0, call.said
    assert call.asterisk.lines == [b"""VERBOSE "('script', ('', 'b c'), None)" 1"""]


def test_what_a_script_prints_is_no_command(begin: Begin) -> None:
    call = begin('script', code=SCRIPT.format("print('HANGUP'); print(repr(input.__name__)); call.answer()")).run()

    assert call.asterisk.lines == [b'ANSWER']
    assert 'HANGUP\n' in call.said


@pytest.mark.parametrize('wrong', ['1 / 0', 'sys.exit()', 'call.command("NO SUCH")'])
def test_a_script_that_fails_is_told_to_the_dialplan_and_logged(wrong: str, begin: Begin) -> None:
    call = begin('script', code=SCRIPT.format(wrong), unique_id='7.2').run()

    assert (call.asterisk.status, call.status) == ('FAILURE', 1)
    assert "ERROR 7.2: the script 'script' failed\nTraceback" in call.said


def test_a_state_that_cannot_serve_the_call_is_a_failure_in_a_sentence(begin: Begin) -> None:
    wrong = 'from hitcounter.errors import UpdateFailed; raise UpdateFailed("the disk is full")'
    call = begin('script', code=SCRIPT.format(wrong), unique_id='7.3').run()

    assert (call.asterisk.status, call.status) == ('FAILURE', 1)
    assert 'ERROR 7.3: the disk is full\n' in call.said
    assert 'Traceback' not in call.said


def test_under_eagi_the_script_hears_the_caller(begin: Begin) -> None:
    said = bytes(range(256)) * 25
    code = SCRIPT.format("""
    from hitcounter.errors import ConnectionLost
    heard = b''
    try:
        while True:
            heard += call.audio.read()
    except ConnectionLost:
        call.verbose(f'{len(heard)} {heard == bytes(range(256)) * 25}')
    """)

    call = begin('script', code=code, audio=said).run()

    assert call.asterisk.lines == [b'VERBOSE "6400 True" 1'], call.said


def test_what_is_no_asterisk_gets_a_failure(environment: dict[str, str], tmp_path: Path) -> None:
    call = subprocess.run(
        [sys.executable, '-c', SCRIPT.format('pass')],
        input=b'hello\n',
        capture_output=True,
        env=environment,
        cwd=tmp_path,
        check=False,
        timeout=PATIENCE,
    )

    assert call.returncode == 1
    assert call.stdout == b'FAILURE\n'
