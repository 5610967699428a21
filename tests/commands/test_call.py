"""`hitcounter call`, against a small FastAGI server on a real connection."""

import itertools
import signal
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner, Result

from hitcounter.commands import call
from hitcounter.simulator import (
    LineFromServer,
    LineToServer,
    Played,
    SaidDate,
    SaidDateTime,
    SaidDigits,
    SaidLetters,
    SaidPhonetically,
    SaidTime,
    Waited,
)
from tests.support.patience import PATIENCE

COMMAND = [sys.executable, '-c', 'from hitcounter.commands.call import main; main()']


# One call.


def test_a_call_shows_what_the_caller_would_hear():
    with serving(tell_the_number()) as url:
        result = run('--to', url)

    assert result.output.splitlines() == [
        'answered',
        'plays "hello"',
        'plays "number"',
        'says 1',
        'the call ended: AGISTATUS=SUCCESS',
    ]
    assert result.exit_code == 0


def test_the_command_is_a_program_of_its_own():
    with serving(tell_the_number()) as url:
        done = subprocess.run([*COMMAND, '--to', url], capture_output=True, text=True, timeout=PATIENCE, check=True)

    assert 'says 1\n' in done.stdout
    assert done.stderr == ''


def test_the_server_is_told_who_calls_what():
    blocks = []

    with serving(lambda server: blocks.append(server.block)) as url:
        run('--to', url + '/x?y=1', '--extension', '42', '--caller-id', '"Zoë" <+44123>')

    assert b'agi_network_script: hits/x?y=1' in blocks[0]
    assert b'agi_extension: 42' in blocks[0]
    assert b'agi_callerid: +44123' in blocks[0]
    assert 'agi_calleridname: Zoë'.encode() in blocks[0]


def test_the_script_gets_arguments_and_finds_the_channels_variables():
    blocks, replies = [], []

    def script(server):
        blocks.extend(server.block)
        replies.append(server.tell('GET VARIABLE COLOUR'))

    with serving(script) as url:
        run('--to', url, '--argument', 'one', '--argument', '', '--variable', 'COLOUR=red=blue')

    assert [line for line in blocks if b'agi_arg' in line] == [b'agi_arg_1: one', b'agi_arg_2: ']
    assert replies[0] == b'200 result=1 (red=blue)\n'


def test_the_listen_address_of_a_file_or_a_variable_is_called_unless_another_is_named(tmp_path):
    config = tmp_path / 'hitcounter.toml'
    with serving(tell_the_number()) as url:
        address = url.removeprefix('agi://').removesuffix('/hits')
        config.write_text(f'listen = "{address}"\nmax-calls = 7\n')
        assert 'says 1\n' in run('--config', str(config)).output
        assert 'says 2\n' in run(env={'HITCOUNTER_LISTEN': address}).output
        assert 'says 3\n' in run('--to', address).output
        assert 'says 4\n' in run('--to', url, env={'HITCOUNTER_LISTEN': '127.0.0.1:1'}).output
    refused = run('--config', str(config), env={'HITCOUNTER_LISTEN': '[::1]:1'})
    assert 'the server at [::1]:1 ' in refused.stderr
    assert run(env={'HITCOUNTER_LISTEN': '4573'}).exit_code == 2


def test_a_missing_prompt_is_told_and_the_call_fails_as_in_the_dialplan():
    with serving(tell_the_number()) as url:
        result = run('--to', url, '--missing', 'number')

    assert 'has no prompt "number"' in result.output
    assert 'AGISTATUS=FAILURE' in result.output
    assert result.exit_code == 1


def test_digits_are_pressed_when_asked_for():
    with serving(lambda server: server.tell('GET DATA menu 1000 4')) as url:
        result = run('--to', url, '--digits', '12#', '-v')

    assert '< 200 result=12\n' in result.output
    assert 'the caller presses #\n' in result.output


def test_the_lines_of_both_sides_are_shown_when_asked_for():
    with serving(tell_the_number()) as url:
        result = run('--to', url, '--verbose')

    assert '< agi_network: yes\n' in result.output
    assert '> ANSWER\nanswered\n< 200 result=0\n' in result.output


def test_the_caller_may_hang_up_at_a_command():
    with serving(tell_the_number()) as url:
        result = run('--to', url, '--hangup-at', 'stream  file')

    assert 'plays "hello"\nthe caller hangs up\n' in result.output
    assert 'AGISTATUS=HANGUP' in result.output
    assert result.exit_code == 0


def test_the_caller_may_hang_up_after_some_seconds():
    with serving(tell_the_number()) as url:
        result = run('--to', url, '--hangup-after', '0.9')

    assert 'plays "hello"\nthe caller hangs up\n' in result.output


def test_the_script_may_hang_up():
    with serving(lambda server: server.tell('HANGUP')) as url:
        result = run('--to', url)

    assert result.output == 'hangs up\nthe call ended: AGISTATUS=HANGUP\n'


def test_a_server_that_is_not_there_is_one_sentence():
    with serving(tell_the_number()) as url:
        pass

    result = run('--to', url)

    assert result.exit_code == 1
    assert result.stderr.startswith(f'Error: the server at {url[6:-5]} cannot be reached (Connection refused)')
    assert result.stderr.count('\n') == 1


def test_a_silent_server_is_one_sentence():
    done = threading.Event()

    with serving(lambda server: done.wait(PATIENCE)) as url:
        result = run('--to', url, '--timeout', '0.01')
        done.set()

    assert result.exit_code == 1
    assert 'did not answer in time' in result.stderr


@pytest.mark.parametrize('options', [[], ['--calls', '1000', '--concurrency', '2']])
def test_an_interrupt_ends_the_command_calmly(options):
    reached, done = threading.Event(), threading.Event()

    def script(server):
        reached.set()
        done.wait(PATIENCE)

    with serving(script) as url:
        process = subprocess.Popen(
            [*COMMAND, '--to', url, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert reached.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        done.set()
        _, errors = process.communicate(timeout=PATIENCE)

    assert process.returncode == 130
    assert errors == 'interrupted\n'


@pytest.mark.parametrize(
    ('options', 'complaint'),
    [
        (['--to', 'http://127.0.0.1/'], 'is not an AGI URL'),
        (['--to', 'agi://127.0.0.1:4573?x=1'], 'has no path'),
        (['--to', 'agi://127.0.0.1:123456/'], 'has a port that is not a number up to 65535'),
        (['--to', ':4573'], 'or HOST:PORT for the script "hits"'),
        (['--to', 'agi://127.0.0.1/a\nb'], 'would break the lines'),
        (['--extension', '1\n'], 'would break the lines'),
        (['--caller-id', '1\r'], 'would break the lines'),
        (['--digits', '12x'], "'x' is not a telephone key"),
        (['--hangup-at', 'PLAYBACK'], 'is not an AGI command'),
        (['--variable', 'NAME'], "'NAME' is not NAME=VALUE, as in DIALSTATUS=BUSY"),
        (['--variable', '=1'], 'is not NAME=VALUE'),
        (['--argument', 'a\nb'], 'would break the lines'),
        (['--calls', '0'], '--calls'),
        (['--calls', '2', '-v'], '-v shows the lines of a single call'),
    ],
)
def test_a_bad_option_is_refused_with_what_is_wrong(options, complaint):
    result = run(*options)

    assert result.exit_code == 2
    assert complaint in ' '.join(result.stderr.split())


def test_the_help_has_a_sentence_for_each_option_and_an_example():
    result = run('--help')

    assert 'Example: hitcounter call' in result.output
    assert all(option.help for option in call.main.params)


@pytest.mark.parametrize(
    ('event', 'line'),
    [
        (Played('bell\x07\x1b[2J'), r'plays "bell\x07\x1b[2J"'),
        (LineToServer(b'\xff'), r'< \udcff'),
        (LineFromServer('Zoë'.encode()), '> Zoë'),
        (SaidDigits('12'), 'says the digits 1 2'),
        (SaidLetters('ab'), 'spells "ab"'),
        (SaidPhonetically('ab'), 'spells "ab" in words'),
        (SaidDate(0), 'says the date 1970-01-01'),
        (SaidTime(60), 'says the time 00:01 UTC'),
        (SaidDateTime(60), 'says 1970-01-01 00:01 UTC'),
        (SaidDateTime(10**25), 'says 10000000000000000000000000 seconds after 1970'),
        (Waited(0.5), 'waits 0.5 s'),
    ],
)
def test_each_event_is_one_line_fit_for_a_terminal(event, line):
    assert call.describe(event) == line


# Many calls.


def test_many_calls_end_with_figures_and_different_numbers():
    with serving(tell_the_number()) as url:
        result = run('--to', url, '--calls', '50', '--concurrency', '4')

    figures = result.stdout.splitlines()
    assert figures[0].startswith('50 calls in ')
    assert figures[1].startswith('until the call ended: p50 ')
    assert figures[2].startswith('until the number was said: p50 ')
    assert figures[3:] == ['all 50 numbers were different']
    assert result.exit_code == 0


def test_a_number_that_is_said_twice_is_told_and_is_a_failure():
    with serving(tell_the_number(itertools.cycle([7, 8, 9]))) as url:
        result = run('--to', url, '--calls', '5')

    assert '2 of the numbers were said more than once: 7, 8' in result.output
    assert result.exit_code == 1


def test_calls_that_fail_are_counted_by_their_reason():
    with serving(tell_the_number()) as url:
        pass

    result = run('--to', url, '--calls', '3')

    assert f'3 failed: the server at {url[6:-5]} cannot be reached (Connection refused)' in result.output
    assert 'no number was said' in result.output
    assert result.exit_code == 1


def test_a_failed_dialplan_is_a_failed_call():
    with serving(lambda server: server.tell('failure')) as url:
        result = run('--to', url, '--calls', '2')

    assert '2 failed: AGISTATUS=FAILURE' in result.output


def test_the_report_ranks_latencies():
    calls = [call.Measured(seconds=number / 1000, number=number, until_said=0.001) for number in range(1, 101)]

    lines = list(call.report(calls, seconds=2.0))

    assert lines == [
        '100 calls in 2.0 s: 50 calls/s',
        'until the call ended: p50 50.0 ms, p99 99.0 ms, max 100.0 ms',
        'until the number was said: p50 1.0 ms, p99 1.0 ms, max 1.0 ms',
        'all 100 numbers were different',
    ]


def run(*options: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(call.main, options, env=env)


class Server(socketserver.StreamRequestHandler):
    """One call as the server sees it."""

    def handle(self) -> None:
        self.block = list(iter(lambda: self.rfile.readline().rstrip(b'\n'), b''))
        self.server.script(self)  # type: ignore[attr-defined]  # the server has it

    def tell(self, command: str) -> bytes:
        self.wfile.write(command.encode() + b'\n')
        return self.rfile.readline()


class Listener(socketserver.ThreadingTCPServer):
    request_queue_size = 64


def tell_the_number(numbers: Iterator[int] | None = None) -> Callable[[Server], None]:
    """A hit counter: `next` of a counter is one step, so that no number is given out twice."""
    numbers = numbers or itertools.count(1)

    def script(server: Server) -> None:
        for command in ('ANSWER', 'STREAM FILE hello ""', 'STREAM FILE number ""', f'SAY NUMBER {next(numbers)} ""'):
            if server.tell(command).startswith(b'511'):
                return

    return script


@contextmanager
def serving(script: Callable[[Server], object]) -> Iterator[str]:
    """The URL of a FastAGI server that runs `script` for each call."""
    with Listener(('127.0.0.1', 0), Server) as listener:
        listener.script = script  # type: ignore[attr-defined]  # for the handler
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,), name='listener')
        thread.start()
        try:
            yield 'agi://{}:{}/hits'.format(*listener.server_address)
        finally:
            listener.shutdown()
            thread.join()
