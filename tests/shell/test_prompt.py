"""hitcounter-shell at a terminal."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pytest

from hitcounter.hits import Caller, HitCounter
from hitcounter.state import State, open_database
from tests.support.patience import PATIENCE
from tests.support.places import TREE

if TYPE_CHECKING:
    from tests.support.servers import Run, ServerProcess, Start

COUNT = 'print(hits.count("31415"))'


@pytest.fixture
def counted(storage: str) -> None:
    """A database with two calls, and no server."""
    with open_database(storage, share=True) as database, State(database, [HitCounter]) as state:
        for caller in (Caller('+44123', None, '1.1'), Caller(None, None, '1.2')):
            state[HitCounter].hit('31415', caller)


# Writing.
ADD_AN_HOUR = 'hits._lines["31415"].hours.add(0, 5); '


@pytest.fixture
def open_shell(environment: dict[str, str], storage: str, tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Start a shell at a terminal of its own."""
    opened: list[Terminal] = []

    def open_shell(*options: str, env: Mapping[str, str] | None = None) -> Terminal:
        terminal = Terminal(('--storage', storage, *options), {**environment, **(env or {})}, tmp_path)
        opened.append(terminal)
        return terminal

    yield open_shell
    for terminal in opened:
        terminal.close()


class Terminal:
    """A shell at a terminal."""

    def __init__(self, options: tuple[str, ...], environment: Mapping[str, str], folder: Path) -> None:
        self._process: pexpect.spawn[str] = pexpect.spawn(
            sys.executable,
            ['-W', 'error', '-c', 'from hitcounter.commands.shell import main; main()', *options],
            env=dict(environment),
            cwd=folder,
            encoding='utf-8',
            timeout=PATIENCE,
            echo=False,
            dimensions=(50, 200),
        )
        self._prompts = 0

    def prompt(self) -> str:
        """Wait for the next prompt; all that was shown before it."""
        self._prompts += 1
        self._process.expect(rf'In \S*{self._prompts}\S*: ')
        return self._shown()

    def run(self, code: str) -> str:
        """Type a line, and wait for the next prompt; what was shown meanwhile."""
        self._process.send(f'{code}\r')
        return self.prompt()

    def leave(self) -> str:
        """Press Ctrl-D; what was shown from then on."""
        shown = ''
        for _ in range(int(2 * PATIENCE)):
            self._process.send('\x04')  # lost if the terminal is not yet as IPython wants it
            ended = self._process.expect([pexpect.TIMEOUT, pexpect.EOF, r'exit \(\[y\]/n\)\? '], timeout=0.5)
            if ended:
                shown += self._shown()
            if ended == 1:
                return shown
            if ended == 2:
                self._process.send('y\r')
        raise AssertionError('it does not end')

    def _shown(self) -> str:
        return re.sub(r'\x1b\[[?0-9;]*[a-zA-Z]|\r', '', self._process.before)

    def complete(self, code: str, expected: str) -> None:
        """Type the beginning of a line, press the tab key, wait for what it is to show, and take the line back."""
        self._process.send(f'{code}\t')
        self._process.expect(expected)
        self._process.send('\x15')

    def status(self) -> int | None:
        self._process.wait()
        return self._process.exitstatus

    def hang_up(self) -> int | None:
        """Send SIGHUP; the signal that it ended by."""
        self._process.kill(signal.SIGHUP)
        self._process.wait()
        return self._process.signalstatus

    def close(self) -> None:
        self._process.close(force=True)


# At a terminal.


def test_a_conversation_begins_with_what_there_is_and_sees_each_call(
    server: ServerProcess, open_shell: Callable[..., Terminal], tmp_path: Path
) -> None:
    server.call()
    terminal = open_shell()

    banner = terminal.prompt()
    first = terminal.run('hits.count("31415")')
    server.call()
    second = terminal.run('hits.count("31415")')
    rest = terminal.leave()

    assert f'{tmp_path}/hits.fs, shared by the process with id {server.process.pid}, read only' in banner
    assert 'hits: How often each line was called, when and by whom.' in banner
    assert 'root: schemas, hits' in banner
    assert 'For reading only: start with --write to change it.' in banner
    assert 'Out[1]: 1' in first
    assert 'Out[2]: 2' in second
    assert 'Traceback' not in rest
    assert terminal.status() == 0


def test_a_change_in_a_conversation_is_refused_and_the_next_line_sees_the_truth(
    counted: None, open_shell: Callable[..., Terminal]
) -> None:
    terminal = open_shell()
    terminal.prompt()

    refused = terminal.run('hits._lines.clear()')
    after = terminal.run('hits.lines()')

    assert 'ReadOnly: this shell only reads: start it with --write to change the database' in refused
    assert 'Traceback' not in refused
    assert "{'31415': 2}" in after


def test_changes_in_a_conversation_wait_for_commit(
    server: ServerProcess, shell: Run, open_shell: Callable[..., Terminal]
) -> None:
    server.call()
    terminal = open_shell('--write')
    banner = terminal.prompt()
    terminal.run(ADD_AN_HOUR)

    before = shell('-c', 'print(0 in hits.hours("31415"))').stdout
    terminal.run('commit()')
    after = shell('-c', 'print(0 in hits.hours("31415"))').stdout
    terminal.run(ADD_AN_HOUR)
    rest = terminal.leave()

    assert '%commit stores your changes, %abort discards them' in banner
    assert (before, after) == ('False\n', 'True\n')
    assert 'Uncommitted changes were discarded; next time call commit() first.' in rest


@pytest.mark.parametrize('home', ['/proc/nowhere', 'a file'])
def test_a_home_folder_is_not_needed(
    counted: None, shell: Run, open_shell: Callable[..., Terminal], tmp_path: Path, home: str
) -> None:
    (tmp_path / 'a file').write_text('')
    where = {'HOME': str(tmp_path / home)}

    done = shell('-c', COUNT, env=where)
    terminal = open_shell(env=where)
    banner = terminal.prompt()
    answer = terminal.run('hits.count("31415")')
    terminal.leave()

    assert (done.returncode, done.stdout, done.stderr) == (0, '2\n', '')
    assert 'arning' not in banner
    assert 'rror' not in banner
    assert 'Out[1]: 2' in answer
    assert terminal.status() == 0


def test_sighup_ends_it_and_what_was_not_committed_is_forgotten(
    counted: None, shell: Run, open_shell: Callable[..., Terminal]
) -> None:
    terminal = open_shell('--write')
    terminal.prompt()
    terminal.run(ADD_AN_HOUR)

    assert terminal.hang_up() == signal.SIGHUP
    assert shell('-c', 'print(0 in hits.hours("31415"))').stdout == 'False\n'


def test_the_prompt_shows_what_may_be_done_and_whether_it_was_stored(
    counted: None, open_shell: Callable[..., Terminal]
) -> None:
    reading = open_shell()
    assert reading.prompt().endswith('read ')
    assert reading.leave()

    writing = open_shell('--write')
    for begin in (writing.prompt(), writing.run('%transactions 1')):
        assert begin.endswith('write ')
    assert writing.run(ADD_AN_HOUR).endswith('write* ')
    assert writing.run('1').endswith('write* ')
    assert writing.run('%abort').endswith('write ')
    assert writing.run('root["note"] = 1').endswith('write* ')
    assert 'there are uncommitted changes: commit() or abort() them first' in writing.run('%sync')
    assert writing.run('%commit').endswith('write ')
    assert 'shell: root["note"] = 1' in writing.run('%transactions 1 root')
    assert "StateError: 'nosuch' is neither a number nor an object here" in writing.run('%transactions nosuch')
    assert writing.run('%undo ' + 16 * '0').count('there is no transaction') == 1
    writing.run('one = transactions(1)[0]')
    assert 'rror' not in writing.run('%undo {one.id}')
    assert 'False' in writing.run('"note" in root')


def test_each_function_says_what_it_did_in_a_sentence(counted: None, open_shell: Callable[..., Terminal]) -> None:
    terminal = open_shell('--write')
    terminal.prompt()

    assert 'Out[1]: <HitCounter (update: forget, hit, import_hit; query: admit,' in terminal.run('hits')
    assert 'Out[2]: there were no changes to store\n' in terminal.run('%commit')
    assert 'Out[3]: there were no changes to discard\n' in terminal.run('abort()')
    terminal.run('root["note"] = 1')
    assert 'Out[5]: the changes are discarded\n' in terminal.run('%abort')
    terminal.run('root["note"] = 2')
    assert "Out[7]: stored as 'shell: a note'\n" in terminal.run('commit("a note")')
    assert re.search(r'Out\[8\]: \n?id +time \(UTC\) +user +bytes  what\n', terminal.run('transactions()'))
    terminal.run('one = transactions(1)[0]')
    assert re.search(r"Out\[10\]: stored as 'undo of [0-9a-f]{16}: shell: a note'\n", terminal.run('undo(one.id)'))
    assert 'Out[11]: you see what is stored now\n' in terminal.run('%sync')


@pytest.mark.parametrize(
    ('code', 'sentence'),
    [
        ('root["note"] = 1', 'ReadOnly: this shell only reads: start it with --write to change the database'),
        ('state[HitCounter].forget("31415", 1.0)', 'ReadOnly: this shell only reads: start it with --write to'),
        ('undo("0" * 16)', 'ReadOnly: this shell only reads: start it with --write to change the database'),
        ('transactions("many")', "StateError: 'many' is not a number of transactions: give one such as 20"),
        ('%transactions 0', 'StateError: 0 is not a number of transactions: give one such as 20'),
        ('%transactions 20 nosuch', "StateError: 'nosuch' is neither a number nor an object here"),
        ('state[Nosuch].hit?', "StateError: state[Nosuch].hit cannot be shown (name 'Nosuch' is not defined)"),
        ('import os; os.kill(os.getpid(), 2)', 'interrupted\n'),
        ('1 +', 'SyntaxError: invalid syntax'),
    ],
)
def test_what_fails_is_said_in_a_sentence(
    counted: None, open_shell: Callable[..., Terminal], code: str, sentence: str
) -> None:
    terminal = open_shell()
    terminal.prompt()

    shown = terminal.run(code)

    assert sentence in shown
    assert 'Traceback' not in shown


def test_wrong_input_is_shown_with_the_line_of_the_user_and_not_with_ours(
    counted: None, open_shell: Callable[..., Terminal]
) -> None:
    terminal = open_shell('--write')
    terminal.prompt()

    wrong = terminal.run('state[HitCounter].hit("31415", "Bob")')
    own = terminal.run('state.query(lambda parts: 1 + "1")')

    assert '----> 1 state[HitCounter].hit("31415", "Bob")' in wrong
    assert 'TypeError: the caller is a str: give a Caller' in wrong
    assert '.py' not in wrong
    assert '----> 1 state.query(lambda parts: 1 + "1")' in own
    assert "TypeError: unsupported operand type(s) for +: 'int' and 'str'" in own
    assert 'hitcounter/state/state.py' in own


def test_help_shows_the_signature_the_docstring_and_the_source(
    counted: None, open_shell: Callable[..., Terminal]
) -> None:
    terminal = open_shell()
    terminal.prompt()

    update = terminal.run('state[HitCounter].hit?')
    source = terminal.run('state[HitCounter].hit??')
    component = terminal.run('HitCounter??')

    assert re.search(r'Signature:\s+state\[HitCounter\]\.hit\(\s+line: str,', update)
    assert 'Count one call and return its number' in update
    assert 'counted = self._begin(line)' not in update
    assert 'counted = self._begin(line)' in source
    assert 'class HitCounter(Component):' in component


def test_the_tab_key_completes_names_methods_and_keys(counted: None, open_shell: Callable[..., Terminal]) -> None:
    terminal = open_shell(env={'TERM': 'xterm'})
    terminal.prompt()

    terminal.complete('hits.cou', r'nt')
    terminal.complete('hits._lines["3', r'1415')
    terminal.complete('root["sch', r'emas')
    terminal.complete('state[HitCounter].li', r'nes')
    terminal.complete('%transa', r'ctions')


def test_a_conversation_that_loses_its_server_says_so_in_a_sentence(
    server: ServerProcess, open_shell: Callable[..., Terminal]
) -> None:
    terminal = open_shell()
    terminal.prompt()

    server.kill()
    shown = terminal.run('1')

    assert 'the process that serves the database is gone or not responding: try again when it is back' in shown
    assert 'Traceback' not in shown


def test_a_shell_that_read_the_file_before_the_server_did_says_that_it_is_outdated(
    counted: None, start: Start, open_shell: Callable[..., Terminal]
) -> None:
    outdated = 'the file has changed since this shell opened it, which shows it as it was: start the shell again'
    terminal = open_shell()
    terminal.prompt()

    assert outdated not in terminal.run('%sync')
    start().call()

    assert outdated in terminal.run('hits.count("31415")')
    assert outdated not in terminal.run('hits.count("31415")')  # it was said
    assert f'StateError: {outdated}' in terminal.run('%sync')


def test_the_conversation_in_the_documentation_is_what_happens(
    start: Start, open_shell: Callable[..., Terminal]
) -> None:
    server = start()
    server.call()
    server.call()
    text = (TREE / 'docs' / 'shell.md').read_text('utf-8')
    steps = re.findall(r'^    (\w+\*?) In \[\d\]: (.*)\n(?:    (Out.*)\n)?', text, re.MULTILINE)
    assert len(steps) == 5
    terminal = open_shell('--write')

    shown = terminal.prompt()
    for mode, code, answer in steps:
        assert shown.endswith(f'{mode} ')
        shown = terminal.run(code)
        assert answer in shown


# When the server goes.


def test_a_conversation_goes_on_with_the_next_server(start: Start, open_shell: Callable[..., Terminal]) -> None:
    first = start()
    first.call()
    terminal = open_shell()
    terminal.prompt()
    terminal.run('hits.count("31415")')

    first.kill()
    second = start()
    second.call()
    terminal.run('1')  # perhaps it notices only now
    answer = terminal.run('hits.count("31415")')

    assert 'Out[3]: 2' in answer


def test_a_server_is_not_kept_by_an_open_shell(server: ServerProcess, open_shell: Callable[..., Terminal]) -> None:
    server.call()
    terminal = open_shell()
    terminal.prompt()

    assert server.stop(signal.SIGTERM) == 0

    assert 'Traceback' not in terminal.leave()
    assert terminal.status() == 0


def test_several_shells_look_at_a_database_without_a_server(
    counted: None, shell: Run, open_shell: Callable[..., Terminal]
) -> None:
    terminal = open_shell()
    terminal.prompt()

    assert shell('-c', COUNT).stdout == '2\n'
    assert 'Out[1]: 2' in terminal.run('hits.count("31415")')
