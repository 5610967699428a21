"""hitcounter-shell, which changes what is stored, and undoes changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import ZEO

from hitcounter.hits import Caller, HitCounter
from hitcounter.state import State, open_database
from tests.support.places import TREE

if TYPE_CHECKING:
    from tests.support.servers import Run, ServerProcess

COUNT = 'print(hits.count("31415"))'


WITH_SERVER = pytest.mark.parametrize('shared', [False, True], ids=['alone', 'beside the server'])


HIT = 'from hitcounter.hits import Caller; print(state[HitCounter].hit("31415", Caller(None, None, "x")))'

# The transactions.
LAST = 'one = transactions(1)[0]; '


@WITH_SERVER
def test_a_transaction_shows_who_stored_what_and_is_undone(
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


def test_the_transactions_that_changed_an_object_are_listed(counted: None, shell: Run) -> None:
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
    'transactions(4)[-2].id': 'because later ones built on it',  # the first note
    'transactions(4)[-1].id': 'its numbers would be given out again: leave it as it is',
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


def test_nothing_is_undone_between_a_change_and_its_commit(counted: None, shell: Run) -> None:
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

    assert 'ReadOnly: this shell only reads: start it with --write to change the database' in reading.stderr
    assert changed.stdout.splitlines() == ['there are uncommitted changes: commit() or abort() them first'] * 2


def test_a_storage_server_elsewhere_is_looked_into_and_changed(run: Run, tmp_path: Path) -> None:
    (host, port), stop = ZEO.server(str(tmp_path / 'elsewhere.fs'))
    try:
        uri = f'zeo://{host}:{port}'
        with open_database(uri) as database, State(database, [HitCounter]) as state:
            state[HitCounter].hit('31415', Caller(None, None, '1.1'))

        change = f'{HIT}; root["note"] = 1; commit(); {LAST}undo(one.id)'
        written = run('shell', '--storage', uri, '--write', '-c', change)
        read = run('shell', '--storage', uri, '-c', 'print(hits.count("31415"), "note" in root); root["note"] = 1')
    finally:
        stop()

    assert (written.returncode, written.stdout, written.stderr) == (0, '2\n', '')
    assert read.stdout == '2 False\n'
    assert 'ReadOnly: this connection only reads' in read.stderr
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
    assert done.stderr == 'Uncommitted changes were discarded; next time call commit() first.\n'
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
