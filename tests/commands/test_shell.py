"""hitcounter-shell: as a script, at a terminal, beside the server and alone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pytest
import ZEO

from hitcounter.hits import Caller, HitCounter
from hitcounter.state import State, open_database
from tests.support.patience import PATIENCE
from tests.support.places import FROZEN, TREE

if TYPE_CHECKING:
    from tests.support.servers import Run, ServerProcess, Start


COUNT = 'print(hits.count("31415"))'


@pytest.fixture
def counted(storage: str) -> None:
    """A database with two calls, and no server."""
    with closing(open_database(storage, share=True)) as database, closing(State(database, [HitCounter])) as state:
        for caller in (Caller('+44123', None, '1.1'), Caller(None, None, '1.2')):
            state[HitCounter].hit('31415', caller)


WITH_SERVER = pytest.mark.parametrize('shared', [False, True], ids=['alone', 'beside the server'])


@pytest.fixture
def beside(start: Start, counted: None) -> Callable[[bool], None]:
    """Have a server run, or none."""
    return lambda shared: (shared and start()) and None


# Scripts.


def test_code_can_be_given_as_an_argument(counted: None, shell: Run) -> None:
    done = shell('-c', COUNT)

    assert (done.returncode, done.stdout, done.stderr) == (0, '2\n', '')


def test_code_can_come_on_standard_input(counted: None, shell: Run) -> None:
    done = shell(input=f'for number in (1, 2):\n    print(hits.call("31415", number).caller.unique_id)\n\n{COUNT}\n')

    assert (done.returncode, done.stdout, done.stderr) == (0, '1.1\n1.2\n2\n', '')


def test_code_can_be_a_file(counted: None, shell: Run, tmp_path: Path) -> None:
    (tmp_path / 'report.py').write_text(f'if __name__ == "__main__":\n    {COUNT}\n')

    done = shell('report.py')

    assert (done.returncode, done.stdout, done.stderr) == (0, '2\n', '')


def test_the_same_works_beside_the_server(server: ServerProcess, shell: Run) -> None:
    server.call()

    done = shell('-c', COUNT)

    assert (done.returncode, done.stdout, done.stderr) == (0, '1\n', '')


def test_a_script_that_fails_shows_where_and_ends_with_status_1(counted: None, shell: Run, tmp_path: Path) -> None:
    (tmp_path / 'report.py').write_text(f'{COUNT}\nhits.call("31415", 3)\n')

    done = shell('report.py')

    assert done.returncode == 1
    assert done.stdout == '2\n'
    assert 'Traceback' in done.stderr
    assert 'report.py", line 2' in done.stderr
    assert done.stderr.splitlines()[-1] == 'KeyError: 3'


@pytest.mark.parametrize('code', ['1 +', 'nothing', 'raise ValueError("no")'])
def test_any_error_is_status_1(counted: None, shell: Run, code: str) -> None:
    assert shell('-c', code).returncode == 1
    assert shell(input=code).returncode == 1


def test_a_script_can_choose_its_status(counted: None, shell: Run) -> None:
    done = shell('-c', 'raise SystemExit(3)')

    assert (done.returncode, done.stderr) == (3, '')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--bogus'], "No such option '--bogus'"),
        (['no-such-file.py'], "'no-such-file.py' does not exist"),
        (['.'], "'.' is a directory"),
        (['-c'], "Option '-c' requires an argument"),
    ],
)
def test_wrong_arguments_are_status_2(shell: Run, arguments: list[str], message: str) -> None:
    done = shell(*arguments)

    assert done.returncode == 2
    assert message in done.stderr
    assert 'Traceback' not in done.stderr


def test_a_missing_database_is_said_and_not_made(shell: Run, tmp_path: Path) -> None:
    done = shell('-c', COUNT)

    assert done.returncode == 1
    assert done.stderr == (
        f"Error: '{tmp_path}/hits.fs' is not a database yet: start hitcounter-serve, which makes it\n"
    )
    assert list(tmp_path.glob('hits.fs*')) == []


def test_a_file_of_something_else_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / 'diary').write_text('Dear diary\n')

    done = run('shell', '--storage', f'file://{tmp_path}/diary', '-c', '1')

    assert done.returncode == 1
    assert 'is not a database of ours, and was left as it is' in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_script_finds_its_arguments_and_what_lies_beside_it(counted: None, shell: Run, tmp_path: Path) -> None:
    (tmp_path / 'reports').mkdir()
    (tmp_path / 'reports' / 'wording.py').write_text('TEXT = "calls"\n')
    (tmp_path / 'reports' / 'report.py').write_text(
        'import sys\nfrom wording import TEXT\nprint(sys.argv, hits.count(sys.argv[1]), TEXT)\n'
    )

    done = shell('reports/report.py', '31415', '--write')
    piped = shell('-', '31415', input='import sys; print(sys.argv)')
    given = shell('-c', 'import sys; print(sys.argv)', '31415', '--write')

    assert (done.returncode, done.stdout) == (0, "['reports/report.py', '31415', '--write'] 2 calls\n")
    assert (piped.returncode, piped.stdout) == (0, "['-', '31415']\n")
    assert (given.returncode, given.stdout) == (0, "['-c', '31415', '--write']\n")


def test_a_script_that_is_interrupted_says_so(counted: None, shell: Run) -> None:
    done = shell('-c', 'import os, signal; os.kill(os.getpid(), signal.SIGINT); signal.pause()')

    assert (done.returncode, done.stderr) == (130, 'interrupted\n')


def test_a_commit_that_is_interrupted_ends_first_and_the_message_says_what_became_of_it(
    counted: None, shell: Run, tmp_path: Path
) -> None:
    (tmp_path / 'pressing.py').write_text(
        'import os, signal\n'
        'from persistent import Persistent\n'
        'class Pressing(Persistent):\n'
        '    def __getstate__(self):\n'
        '        os.kill(os.getpid(), signal.SIGINT)\n'
        '        return super().__getstate__()\n'
    )
    (tmp_path / 'change.py').write_text(
        'from pressing import Pressing\nroot["pressed"] = Pressing()\ncommit()\nprint("never")\n'
    )

    done = shell('--write', 'change.py')

    assert (done.returncode, done.stdout, done.stderr) == (130, '', 'interrupted: the changes had been stored\n')
    assert shell('-c', 'print("pressed" in root)').stdout == 'True\n'


@WITH_SERVER
def test_an_update_that_is_interrupted_ends_first_too(shared: bool, beside: Callable[[bool], None], shell: Run) -> None:
    beside(shared)
    code = (
        'import os, signal\n'
        'def pressed(parts):\n'
        '    parts[HitCounter].forget("1", 0.0)\n'
        '    os.kill(os.getpid(), signal.SIGINT)\n'
        'state.update(pressed)'
    )

    done = shell('--write', '-c', code)

    assert (done.returncode, done.stderr) == (130, 'interrupted: pressed had been stored\n')


def test_a_script_that_loses_its_server_says_so_in_a_sentence(server: ServerProcess, shell: Run) -> None:
    code = f"""
import os, signal
sync()
os.kill({server.process.pid}, signal.SIGKILL)
while True:
    sync()
"""

    done = shell(input=code)

    assert done.returncode == 1
    assert done.stderr == (
        'Error: -, line 6: the process that serves the database is gone, or hangs: go on when it is back.\n'
    )


def test_a_script_needs_no_ipython(counted: None, shell: Run) -> None:
    done = shell('-c', 'import sys; print("IPython" in sys.modules, hits.count("31415"))')

    assert done.stdout == 'False 2\n'


# The state.


def test_queries_of_the_state_can_be_asked_and_updates_not(counted: None, shell: Run) -> None:
    code = """
print(state[HitCounter].count("31415"), state.query(lambda parts: parts[HitCounter].lines()))
for update in (lambda: state[HitCounter].hit("31415", None), lambda: state.update(print)):
    try:
        update()
    except Exception as error:
        print(type(error).__name__, error)
"""

    done = shell('-c', code)

    refused = 'ReadOnly this state is only read: open it for writing to change it\n'
    assert done.stdout == "2 {'31415': 2}\n" + 2 * refused


HIT = 'from hitcounter.hits import Caller; print(state[HitCounter].hit("31415", Caller(None, None, "x")))'


def test_an_update_of_the_state_is_stored_at_once(server: ServerProcess, shell: Run) -> None:
    server.call()

    done = shell('--write', '-c', f'{HIT}; print(hits.count("31415")); sync(); print(hits.count("31415"))')

    assert (done.returncode, done.stdout, done.stderr) == (0, '2\n1\n2\n', '')
    assert server.number() == 3


# The transactions.

LAST = 'one = transactions(1)[0]; '


@WITH_SERVER
def test_a_transaction_tells_who_stored_what_and_is_taken_back(
    shell: Run, beside: Callable[[bool], None], shared: bool
) -> None:
    beside(shared)
    shell('--write', '-c', 'root["note"] = 1; commit()')
    shell('--write', input='root["note"] = 2\ncommit("a better note")\n')

    seen = shell(
        '-c', 'import getpass\nfor one in transactions(3):\n print(one.user == getpass.getuser(), one.description)'
    )
    undone = shell('--write', '-c', f'{LAST}undo(one.id); print(root["note"], *transactions(1))')

    assert seen.stdout == 'True shell: a better note\nTrue shell: root["note"] = 1; commit()\nFalse hits.hit\n'
    assert (undone.returncode, undone.stderr) == (0, '')
    assert undone.stdout.startswith('1 ')
    assert undone.stdout.endswith(': shell: a better note\n')


def test_what_changed_an_object_is_told(counted: None, shell: Run) -> None:
    shell('--write', '-c', 'root["note"] = 1; commit("a note")')

    done = shell(
        '-c',
        'print(*[one.description for one in transactions(9, hits._lines["31415"].calls)])\n'
        'print(transactions(1, root)[0].description)\ntransactions(1, "a text")',
    )

    assert done.stdout == 'hits.hit\nshell: a note\n'
    assert done.stderr.splitlines()[-1] == (
        'hitcounter.errors.StateError: str is not stored as an object of its own: ask for the one that holds it'
    )


REFUSED_UNDO = {
    'transactions(4)[-2].id': 'for later ones built upon it',  # the first note
    'transactions(4)[-1].id': 'numbers that were told would be given again: leave it',
    '"0" * 16': 'there is no transaction 0000000000000000: take one that transactions() shows',
    '"bogus"': "'bogus' is not the id of a transaction: take one that transactions() shows",
}


@WITH_SERVER
def test_what_cannot_be_undone_is_refused_in_a_sentence(
    shell: Run, beside: Callable[[bool], None], shared: bool
) -> None:
    beside(shared)
    script = f"""
for number in (1, 2, 3):
    root["note"] = number
    commit()
before = transactions(1)
for which in ({', '.join(REFUSED_UNDO)}):
    try:
        undo(which)
    except Exception as error:
        print(error)
    print(hits.count("31415"), root["note"], before == transactions(1))
"""

    done = shell('--write', input=script)

    lines = done.stdout.splitlines()
    assert [message in said for message, said in zip(REFUSED_UNDO.values(), lines[::2], strict=True)] == [True] * 4
    assert lines[1::2] == ['2 3 True'] * 4
    assert done.stderr == ''


def test_undo_comes_not_between_a_change_and_its_commit(counted: None, shell: Run) -> None:
    reading = shell('-c', f'{LAST}undo(one.id)')
    changed = shell(
        '--write',
        input=f"""
{LAST}root["note"] = 1
for change in (lambda: undo(one.id), sync):
    try:
        change()
    except Exception as error:
        print(error)
""",
    )

    assert 'ReadOnly: this shell only reads: start it with --write to undo a transaction' in reading.stderr
    assert changed.stdout.splitlines() == [
        'there are changes, which come first: commit() or abort() them',
        'there are changes, which this would forget: commit() or abort() them',
    ]


def test_a_storage_server_elsewhere_is_looked_into_and_changed(run: Run, tmp_path: Path) -> None:
    (host, port), stop = ZEO.server(str(tmp_path / 'elsewhere.fs'))
    try:
        uri = f'zeo://{host}:{port}'
        with closing(open_database(uri)) as database, closing(State(database, [HitCounter])) as state:
            state[HitCounter].hit('31415', Caller(None, None, '1.1'))

        change = f'{HIT}; root["note"] = 1; commit(); {LAST}undo(one.id)'
        written = run('shell', '--storage', uri, '--write', '-c', change)
        read = run('shell', '--storage', uri, '-c', 'print(hits.count("31415"), "note" in root); root["note"] = 1')
    finally:
        stop()

    assert (written.returncode, written.stdout, written.stderr) == (0, '2\n', '')
    assert read.stdout == '2 False\n'
    assert 'ReadOnly: this may only read' in read.stderr
    assert read.stderr.endswith('This shell only reads: start it with --write to change the database.\n')


def test_a_script_migrates_in_batches_while_calls_come_in(server: ServerProcess, shell: Run) -> None:
    for number in range(5):
        server.call(caller_id=f'+4{number % 2}')
    script = str(TREE / 'examples' / 'count_callers.py')
    calling = threading.Event()

    def call_on() -> None:
        while not calling.is_set():
            server.call(caller_id='+49')

    caller = threading.Thread(target=call_on)
    caller.start()
    try:
        first = shell('--write', script, '2')
    finally:
        calling.set()
        caller.join()
    second = shell('--write', script)

    assert (first.returncode, first.stderr, second.returncode, second.stderr) == (0, '', 0, '')
    assert len(first.stdout.splitlines()) >= 3
    counts = shell(
        '-c',
        'print(root["callers"]["+40"], root["callers"]["+41"], sum(root["callers"].values()) == hits.count("31415"))',
    )
    assert counts.stdout == '3 2 True\n'


# For reading only.

CHANGES = [
    'hits._lines["31415"].hours = None',
    'hits._lines["27182"] = 1',
    'hits._lines.clear()',
    'hits._lines["31415"].hours.add(0)',
    'hits._lines["31415"].calls.append((0.0, None, None, "x"))',
    'root["mine"] = 1',
    'del root["hits"]',
]


@WITH_SERVER
def test_a_change_fails_at_its_line_and_leaves_no_trace(
    shell: Run, beside: Callable[[bool], None], shared: bool
) -> None:
    beside(shared)
    script = f"""
before = hits.hours("31415"), hits.lines(), sorted(root)
for change in {CHANGES}:
    try:
        exec(change)
    except Exception as error:
        print(type(error).__name__)
    abort()
    print((hits.hours("31415"), hits.lines(), sorted(root)) == before, hits.count("31415"))
"""

    done = shell(input=script)

    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == 'ReadOnly\nTrue 2\n' * len(CHANGES)


def test_nothing_can_be_committed_without_the_option(counted: None, shell: Run) -> None:
    done = shell('-c', 'commit()')

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        'hitcounter.errors.ReadOnly: this shell only reads: start it with --write to change the database'
    )


# Writing.

ADD_AN_HOUR = 'hits._lines["31415"].hours.add(0, 5); '


@WITH_SERVER
def test_what_is_committed_is_stored(shell: Run, beside: Callable[[bool], None], shared: bool) -> None:
    beside(shared)

    done = shell('--write', '-c', f'{ADD_AN_HOUR}commit()')

    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
    assert shell('-c', 'print(hits.hours("31415")[0])').stdout == '5\n'


@WITH_SERVER
def test_what_is_not_committed_is_forgotten_and_that_is_said(
    shell: Run, beside: Callable[[bool], None], shared: bool
) -> None:
    beside(shared)

    done = shell('--write', '-c', ADD_AN_HOUR)

    assert done.returncode == 1
    assert done.stderr == 'Changes that were not committed are forgotten: call commit() to keep them.\n'
    assert shell('-c', 'print(0 in hits.hours("31415"))').stdout == 'False\n'


def test_a_script_that_only_reads_with_the_option_says_nothing(counted: None, shell: Run) -> None:
    done = shell('--write', '-c', COUNT)

    assert (done.returncode, done.stdout, done.stderr) == (0, '2\n', '')


def test_what_was_aborted_is_forgotten_in_silence(counted: None, shell: Run) -> None:
    done = shell('--write', '-c', f'{ADD_AN_HOUR}abort(); print(0 in hits.hours("31415"))')

    assert (done.returncode, done.stdout, done.stderr) == (0, 'False\n', '')


def test_the_server_counts_on_from_what_the_shell_committed(server: ServerProcess, shell: Run) -> None:
    server.call()

    shell('--write', '-c', 'hits._lines["31415"].calls.append((0.0, None, None, "x")); commit()')

    assert server.number() == 3


RUN = """
from hitcounter.hits import Caller
for number in range(100):
    print(run(lambda root: root["hits"].hit("31415", Caller(None, None, "shell"))))
"""


def test_a_hot_loop_in_the_shell_and_the_calls_both_go_on(server: ServerProcess, shell: Run) -> None:
    server.call()
    numbers: list[int] = []
    is_over = threading.Event()

    def call_on() -> None:
        while not is_over.is_set():
            numbers.append(server.number())

    callers = [threading.Thread(target=call_on) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        done = shell('--write', input=RUN)
    finally:
        is_over.set()
        for caller in callers:
            caller.join()

    assert (done.returncode, done.stderr) == (0, '')
    by_hand = [int(line) for line in done.stdout.splitlines() if line.isdigit()]
    between = [number for number in numbers if by_hand[0] < number < by_hand[-1]]
    assert len(by_hand) == 100
    assert len(between) > 100
    assert sorted([*by_hand, *numbers]) == list(range(2, len(by_hand) + len(numbers) + 2))


def test_what_is_run_is_stored_with_its_description_and_nothing_of_what_fails(counted: None, shell: Run) -> None:
    done = shell(
        '--write',
        '-c',
        'print(run(lambda root: root.update(note=1), "a note"), root["note"])\n'
        'print(transactions(1)[0].description)\n'
        'run(lambda root: (root.update(note=2), 1 / 0))',
    )
    reading = shell('-c', 'run(print)')

    assert done.stdout == 'None 1\nshell: a note\n'
    assert done.stderr.splitlines()[-1] == 'ZeroDivisionError: division by zero'
    assert shell('-c', 'print(root["note"])').stdout == '1\n'
    assert 'ReadOnly: this shell only reads' in reading.stderr


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

    assert 'ReadOnly: this may only read' in refused
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

    assert '%commit stores your changes, %abort forgets them' in banner
    assert (before, after) == ('False\n', 'True\n')
    assert 'Changes that were not committed are forgotten: call commit() to keep them.' in rest


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
    assert 'there are changes, which this would forget: commit() or abort() them' in writing.run('%sync')
    assert writing.run('%commit').endswith('write ')
    assert 'shell: root["note"] = 1' in writing.run('%transactions 1 root')
    assert "StateError: 'nosuch' is neither a number nor an object here" in writing.run('%transactions nosuch')
    assert writing.run('%undo ' + 16 * '0').count('there is no transaction') == 1
    writing.run('one = transactions(1)[0]')
    assert 'rror' not in writing.run('%undo {one.id}')
    assert 'False' in writing.run('"note" in root')


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

    assert 'the process that serves the database is gone, or hangs: go on when it is back' in shown
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


def test_no_file_of_the_database_is_for_others(server: ServerProcess, tmp_path: Path) -> None:
    server.stop()

    modes = {os.stat(file).st_mode & 0o077 for file in tmp_path.glob('hits.fs*')}

    assert modes == {0}


# A database that is to be migrated.


@pytest.fixture
def older(storage: str, tmp_path: Path) -> str:
    """A database of schema 1 of the hit counter; what is wrong with it."""
    shutil.copy(FROZEN / 'hits-1.fs', tmp_path / 'hits.fs')
    return (
        f"the database holds schema 1 of 'hits', and this program needs {HitCounter.schema}: run "
        '"hitcounter migrate", after trying it with --status and --dry-run'
    )


def test_a_database_that_is_to_be_migrated_is_shown_with_a_warning(older: str, shell: Run) -> None:
    done = shell('-c', 'print(root["schemas"]["hits"])')

    assert (done.returncode, done.stdout) == (0, '1\n')
    assert done.stderr == f'Warning: {older}; until then the code here may show it wrongly.\n'


def test_a_database_that_is_to_be_migrated_is_changed_only_if_that_is_said(older: str, shell: Run) -> None:
    code = 'root["note"] = "fixed"; commit()'

    refused = shell('--write', '-c', code)
    assert (refused.returncode, refused.stdout) == (1, '')
    assert refused.stderr == f'Error: {older}; or give --unmigrated as well, to change it as it is\n'
    changed = shell('--write', '--unmigrated', '-c', code)
    assert (changed.returncode, changed.stdout) == (0, '')
    assert changed.stderr.startswith(f'Warning: {older}')
    assert shell('-c', 'print(root["note"])').stdout == 'fixed\n'


def test_unmigrated_goes_with_write_alone(counted: None, shell: Run) -> None:
    done = shell('--unmigrated', '-c', COUNT)
    assert (done.returncode, done.stdout) == (2, '')
    assert '--unmigrated needs --write' in done.stderr
    assert shell('--write', '--unmigrated', '-c', COUNT).stderr == ''  # it fits


def test_a_component_whose_code_is_missing_is_warned_of(shell: Run, storage: str, tmp_path: Path) -> None:
    shutil.copy(FROZEN / 'polls-1.fs', tmp_path / 'hits.fs')

    done = shell('-c', 'print(list(root["schemas"]))')

    assert (done.returncode, done.stdout) == (0, "['polls']\n")
    assert done.stderr.startswith("Warning: the database holds the component 'polls', whose code is missing here")
    assert shell('--write', '-c', 'pass').returncode == 1
