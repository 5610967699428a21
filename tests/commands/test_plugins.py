"""Scripts and components of other packages, installed beside hitcounter and served by hitcounter-serve."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hitcounter.simulator import Channel, SaidNumber
from tests.support.patience import PATIENCE
from tests.support.places import FROZEN
from tests.support.plugins import VOTES, Install
from tests.support.processes import ProcessCall

if TYPE_CHECKING:
    from tests.support.servers import Run, Start

#: Keeps who called; what `odd` names goes wrong.
GUESTS = """
from hitcounter.agi import Call, script
from hitcounter.state import Component, State, update

class Guests(Component):
    name = 'guests'
    odd = ''

    def __init__(self) -> None:
        self.calls = ()

    @update
    def add(self, when: float, caller_id: str) -> int:
        self.calls += ((when, caller_id),)
        return len(self.calls)

    def export(self):
        for when, caller_id in self.calls:
            yield {'when': when, 'caller_id': caller_id, **({self.odd: {}} if self.odd == 'field' else {})}
        if self.odd == 'other':
            yield {'when': 1.0, 'caller_id': '3', 'more': ''}
        if self.odd == 'export':
            raise ValueError('no export')

    def overdue(self, before):
        if self.odd == 'overdue':
            raise ValueError('no look')
        return {calls[0] < before for calls in self.calls} & {True}

    def forget(self, key, before, most):
        if self.odd == 'forget':
            raise ValueError('no forgetting')
        kept = tuple(call for call in self.calls if call[0] >= before)
        forgotten, self.calls = len(self.calls) - len(kept), kept
        return forgotten

    def about(self, caller):
        if self.odd == 'about':
            raise ValueError('no search')
        return {caller.is_(number) for _, number in self.calls} & {True}

    def erase(self, key, caller):
        if self.odd == 'erase':
            raise ValueError('no erasing')
        kept = tuple(call for call in self.calls if not caller.is_(call[1]))
        erased, self.calls = len(self.calls) - len(kept), kept
        return erased

    def check(self):
        if self.odd == 'check':
            yield 'it is odd'

@script('guest/{caller}')
def add(call: Call, state: State) -> None:
    call.say_number(state[Guests].add(1000.0, call.parameters['caller']))
"""

LONG_COMMAND = """
from hitcounter.agi import Call, script
from hitcounter.errors import CommandRefused
from hitcounter.state import State

@script('long')
def send_long(call: Call, state: State) -> None:
    try:
        call.set_variable('A', 'x' * 2032)
    except CommandRefused as error:
        call.verbose(str(error))
"""

#: The one line of LONG_COMMAND with these options.
LIMITED = [
    ([], b'SET VARIABLE A ' + b'x' * 2032),
    (
        ['--line-limit', '2047'],
        b'VERBOSE "SET VARIABLE makes a line of 2048 bytes, Asterisk takes 2047: shorten it" 1',
    ),
]


@pytest.fixture
def refusal(run: Run) -> Callable[[dict[str, str]], str]:
    """The sentence with which hitcounter-serve refuses to start."""

    def refusal(env: dict[str, str]) -> str:
        done = run('serve', '--listen', '127.0.0.1:0', '--storage', 'memory:', env=env)
        assert done.returncode == 1
        assert done.stderr.startswith('Error: ')
        assert len(done.stderr.splitlines()) == 1
        return done.stderr

    return refusal


def test_a_script_and_its_component_are_served_beside_the_hit_counter(start: Start, install: Install) -> None:
    env = install('votes', scripts='vote = votes:vote', components='votes = votes:Votes')
    server = start(env=env)

    assert [server.number(url=f'agi://127.0.0.1/vote/{votes}') for votes in (2, 40)] == [2, 42]
    assert [server.number(), server.number(url='agi://127.0.0.1')] == [1, 2]
    server.stop()
    assert start(env=env).number(url='agi://127.0.0.1/vote/1') == 43


def test_the_shell_sees_the_other_component_too(start: Start, shell: Run, install: Install) -> None:
    env = install('votes', scripts='vote = votes:vote', components='votes = votes:Votes')
    start(env=env).call(url='agi://127.0.0.1/vote/7')

    assert shell('-c', 'print(votes.votes)', env=env).stdout == '7\n'


def test_calls_are_imported_and_forgotten_beside_the_other_component(
    start: Start, hitcounter: Run, install: Install
) -> None:
    env = install('votes', scripts='vote = votes:vote', components='votes = votes:Votes')
    start(env=env).number()

    exported = hitcounter('export', '--format', 'csv', '-', env=env).stdout

    assert hitcounter('import', '--format', 'csv', '-', input=exported, env=env).returncode == 0
    assert hitcounter('forget', '--keep-calls', '0s', env=env).stdout == '1 call forgotten\n'


@pytest.fixture
def with_guests(start: Start, install: Install) -> Callable[..., dict[str, str]]:
    """The variables of processes that know the guests, two of whom called, as did somebody at the hit counter."""

    def with_guests(odd: str = '') -> dict[str, str]:
        source = GUESTS.replace("odd = ''", f'odd = {odd!r}')
        env = install('guests', source, scripts='guest = guests:add', components='guests = guests:Guests')
        server = start(env=env)
        assert [server.number(url=f'agi://127.0.0.1/guest/{caller}') for caller in (1, 2)] == [1, 2]
        server.number()
        server.stop()
        return env

    return with_guests


def test_the_records_of_another_component_are_exported(
    hitcounter: Run, with_guests: Callable[..., dict[str, str]]
) -> None:
    env = with_guests()
    done = hitcounter('export', '--component', 'guests', '--format', 'csv', '-', env=env)
    assert (done.returncode, done.stdout) == (0, 'when,caller_id\n1000.0,"1"\n1000.0,"2"\n')
    assert done.stderr == '2 records of guests written\n'
    done = hitcounter('export', '--component', 'guests', '--format', 'jsonl', '-', env=env)
    assert done.stdout.splitlines()[1] == '{"when": 1000.0, "caller_id": "2"}'
    assert hitcounter('export', '--format', 'csv', '-', env=env).stdout.count('31415') == 1


def test_what_another_component_keeps_of_callers_is_forgotten_too(
    hitcounter: Run, with_guests: Callable[..., dict[str, str]]
) -> None:
    env = with_guests()
    done = hitcounter('forget', '--keep-calls', '0s', env=env)
    assert (done.returncode, done.stdout) == (0, '1 call forgotten\n2 records of guests forgotten\n')
    assert hitcounter('export', '--component', 'guests', '--format', 'csv', '-', env=env).stdout == ''


@pytest.mark.parametrize(('odd', 'said'), [('overdue', 'no look'), ('forget', 'no forgetting')])
def test_a_component_that_cannot_forget_is_named_and_keeps_no_other_from_it(
    hitcounter: Run, with_guests: Callable[..., dict[str, str]], odd: str, said: str
) -> None:
    done = hitcounter('forget', '--keep-calls', '0s', env=with_guests(odd))
    assert (done.returncode, done.stdout) == (1, '1 call forgotten\n')
    assert re.fullmatch(
        rf'Error: some components could not forget: guests \(ValueError: {said}, in .*/guests\.py, line \d+\): fix '
        r'them, and run this again\n',
        done.stderr,
    )


def test_a_caller_is_erased_from_another_component_too(
    hitcounter: Run, with_guests: Callable[..., dict[str, str]]
) -> None:
    env = with_guests()
    done = hitcounter('forget', '--caller', '2', env=env)
    assert done.returncode == 0
    assert done.stdout.startswith('erased from 0 calls on 0 lines\nerased from 1 record of guests\nthe caller may')
    rows = hitcounter('export', '--component', 'guests', '--format', 'csv', '-', env=env).stdout
    assert rows == 'when,caller_id\n1000.0,"1"\n'


@pytest.mark.parametrize(('odd', 'said'), [('about', 'no search'), ('erase', 'no erasing')])
def test_a_component_that_cannot_erase_is_named_and_keeps_no_other_from_it(
    hitcounter: Run, with_guests: Callable[..., dict[str, str]], odd: str, said: str
) -> None:
    done = hitcounter('forget', '--caller', '2', env=with_guests(odd))
    assert done.returncode == 1
    assert done.stdout.startswith('erased from 0 calls on 0 lines\nthe caller may remain\n')
    assert re.fullmatch(
        rf'Error: some components could not forget: guests \(ValueError: {said}, in .*/guests\.py, line \d+\): fix '
        r'them, and run this again\n',
        done.stderr,
    )


def test_the_server_forgets_for_another_component_whatever_becomes_of_a_third(
    start: Start, install: Install, with_guests: Callable[..., dict[str, str]]
) -> None:
    with_guests()
    source = GUESTS.replace("'guests'", "'odd'").replace("odd = ''", "odd = 'forget'").replace('guest/', 'odd/')
    source = source.replace('ValueError', 'StateError').replace(
        'from hitcounter.agi', 'from hitcounter.errors import StateError\nfrom hitcounter.agi', 1
    )
    env = install('odd', source, scripts='odd = odd:add', components='odd = odd:Guests')
    server = start('--keep-calls', '0s', env=env)
    assert server.number(url='agi://127.0.0.1/odd/1') == 1
    server.log.wait('forgetting of odd failed, and is tried again later')
    server.log.wait('forgot 1 call of more than 0 s ago')
    server.log.wait('forgot 2 records of guests of more than 0 s ago')
    server.number()
    server.log.wait('forgot 1 call of more than 0 s ago', 2)
    assert server.log.lines('tried again later: no forgetting')


@pytest.mark.parametrize(
    ('odd', 'said'),
    [
        ('export', r'\(ValueError: no export, in .*/guests\.py, line \d+\): fix its export\(\), or look '),
        ('other', r'\(ValueError: row 3 has other fields than the first\)'),
        ('field', r'\(TypeError: dict is not a text, a number, a boolean '),
    ],
)
def test_a_component_that_cannot_be_exported_is_named(
    hitcounter: Run, with_guests: Callable[..., dict[str, str]], tmp_path: Path, odd: str, said: str
) -> None:
    env = with_guests(odd)
    done = hitcounter('export', '--component', 'guests', 'guests.csv', env=env)
    assert done.returncode == 1
    assert re.search(f"the component 'guests' could not be exported {said}", done.stderr)
    assert not (tmp_path / 'guests.csv').exists()
    assert hitcounter('export', 'calls.csv', env=env).returncode == 0


def test_what_another_component_finds_wrong_is_told(
    hitcounter: Run, with_guests: Callable[..., dict[str, str]]
) -> None:
    done = hitcounter('verify', env=with_guests('check'))
    assert done.returncode == 1
    assert 'guests: it is odd\n' in done.stdout


def test_what_exports_nothing_is_said(hitcounter: Run, start: Start, install: Install) -> None:
    env = install('votes', components='votes = votes:Votes')
    start(env=env).stop()
    for name, said in [
        ('votes', "the component 'votes' has no export: give its class an export()"),
        ('nosuch', "holds no component 'nosuch' of installed code"),
        ('schemas', "holds no component 'schemas' of installed code"),
    ]:
        done = hitcounter('export', '--component', name, '--format', 'csv', '-', env=env)
        assert (done.returncode, done.stdout) == (1, '')
        assert said in done.stderr


def test_scripts_of_several_packages_are_served(start: Start, install: Install) -> None:
    for name in ('one', 'two'):
        source = VOTES.replace('vote/', f'{name}/').replace("'votes'\n", f"'{name}'\n")
        env = install(name, source, scripts=f'vote = {name}:vote', components=f'votes = {name}:Votes')

    server = start(env=env)

    assert [server.call(url=f'agi://127.0.0.1/{name}/5').events for name in ('one', 'two')] == [[SaidNumber(5)]] * 2


@pytest.mark.parametrize(('options', 'line'), LIMITED)
def test_the_server_hands_the_line_limit_on_to_its_calls(
    options: list[str], line: bytes, start: Start, install: Install
) -> None:
    server = start(*options, env=install('long', LONG_COMMAND, scripts='long = long:send_long'))

    assert server.call(url='agi://127.0.0.1/long').lines == [line]


@pytest.mark.parametrize(('options', 'line'), LIMITED)
def test_a_process_hands_the_line_limit_on_to_its_call(
    options: list[str], line: bytes, install: Install, environment: dict[str, str], tmp_path: Path
) -> None:
    env = install('long', LONG_COMMAND, scripts='long = long:send_long')
    variables = {**environment, **env, 'HITCOUNTER_STORAGE': 'memory:'}
    call = ProcessCall(Channel(), *options, 'long', environment=variables, folder=tmp_path)
    try:
        assert call.run().asterisk.lines == [line]
    finally:
        call.close()


@pytest.mark.parametrize(
    ('source', 'groups', 'said'),
    [
        (
            VOTES,
            {'scripts': 'vote = nosuch:vote'},
            'the entry point vote = nosuch:vote (hitcounter.scripts, of votes) cannot be loaded '
            "(ModuleNotFoundError: No module named 'nosuch'): fix or uninstall its package",
        ),
        (VOTES, {'components': 'votes = votes:nosuch'}, "(AttributeError: module 'votes' has no attribute 'nosuch')"),
        ('1 +', {'scripts': 'vote = votes:vote'}, '(SyntaxError: invalid syntax, in '),
        ('raise OSError("no\\nluck")', {'scripts': 'vote = votes:vote'}, '/votes.py, line 1): fix or'),
        ('raise SystemExit(0)', {'scripts': 'vote = votes:vote'}, '(SystemExit: 0, in '),
        (VOTES, {'scripts': 'vote'}, 'the entry_points.txt of the package votes cannot be read ('),
        (VOTES, {'scripts': 'vote = no such module'}, 'the entry point vote = no such module (hitcounter.scripts'),
        (VOTES, {'scripts': 'vote = votes:Votes'}, "is <class 'votes.Votes'>, not a script: mark the function with"),
        (VOTES, {'components': 'votes = votes:vote'}, ', not a component: name a subclass of Component'),
        (VOTES, {'components': 'votes = hitcounter.state:Component'}, "Component'> has no name: give it one"),
        (
            VOTES.replace('vote/{votes}', 'hits'),
            {'scripts': 'vote = votes:vote'},
            "two scripts have the same path, 'hits' (hitcounter.lines.script.serve_line) and 'hits' (votes.vote)",
        ),
        (
            VOTES.replace('vote/{votes}', ''),
            {'scripts': 'vote = votes:vote'},
            "two scripts have the same path, '' (hitcounter.lines.script.serve_line) and '' (votes.vote)",
        ),
        (
            VOTES.replace('vote/{votes}', '/vote'),
            {'scripts': 'vote = votes:vote'},
            "(ScriptError: the path '/vote' has an empty segment",
        ),
        (
            VOTES.replace('call: Call, state: State', 'call: Call'),
            {'scripts': 'vote = votes:vote'},
            "the script 'vote/{votes}' (votes.vote) cannot be run with a call and state: got an unexpected keyword",
        ),
        (
            VOTES.replace('def vote(call', 'async def vote(call'),
            {'scripts': 'vote = votes:vote'},
            'make it a plain function, in {file}, line ',
        ),
        (
            VOTES.replace("name = 'votes'", "name = 'hits'"),
            {'components': 'votes = votes:Votes'},
            "two components have the name 'hits': <class 'hitcounter.hits.HitCounter'> and <class 'votes.Votes'>",
        ),
    ],
)
def test_what_cannot_be_served_is_said_at_the_start(
    refusal: Callable[[dict[str, str]], str],
    install: Install,
    source: str,
    groups: dict[str, str],
    said: str,
    tmp_path: Path,
) -> None:
    env = install('votes', source, **groups)
    assert said.replace('{file}', f'{tmp_path}/site/votes.py') in refusal(env)


BOARD = (
    VOTES
    + """
import socket
from pathlib import Path

class Board(Component):
    name = 'board'

    @classmethod
    def serve(cls, state):
        cls.socket = socket.create_server(('127.0.0.1', int(Path(__file__).with_name('port').read_text())))

    @classmethod
    def stop_serving(cls, state):
        cls.socket.close()
        Path(__file__).with_name('stopped').touch()
"""
)


def test_a_port_that_a_component_opens_in_the_server_is_in_the_way_of_no_other_process(
    start: Start, shell: Run, run: Run, install: Install, environment: dict[str, str], storage: str, tmp_path: Path
) -> None:
    env = install('votes', BOARD, scripts='vote = votes:vote', components='votes = votes:Votes\nboard = votes:Board')
    with socket.create_server(('127.0.0.1', 0)) as free:
        (tmp_path / 'site' / 'port').write_text(str(free.getsockname()[1]))
        taken = run('serve', '--listen', '127.0.0.1:0', '--storage', storage, env=env)
    assert taken.returncode == 1
    said = taken.stderr.splitlines()[-1]
    assert said.startswith("Error: component 'board' could not serve (OSError: [Errno 98] Address already in use")
    assert f', in {tmp_path}/site/votes.py, line ' in said

    server = start(env=env)
    port = int((tmp_path / 'site' / 'port').read_text())
    socket.create_connection(('127.0.0.1', port), timeout=PATIENCE).close()
    changed = shell('--write', '-c', 'import votes; print(state[votes.Votes].vote(3))', env=env)
    assert (changed.returncode, changed.stdout) == (0, '3\n'), changed.stderr
    variables = {**environment, **env, 'HITCOUNTER_STORAGE': storage}
    call = ProcessCall(Channel(), 'vote/4', environment=variables, folder=tmp_path)
    try:
        assert call.run().asterisk.events == [SaidNumber(7)]
    finally:
        call.close()
    assert server.stop() == 0
    assert (tmp_path / 'site' / 'stopped').exists()


@pytest.mark.parametrize(
    'command',
    [
        ('export', 'calls.csv'),
        ('import', '--format', 'csv', '/dev/null'),
        ('forget', '--keep-calls', '1d'),
        ('migrate', '--status'),
        ('serve', '--listen', '127.0.0.1:0'),
    ],
    ids=lambda command: command[0],
)
def test_code_that_fails_while_the_root_is_loaded_is_said_in_one_sentence_by_each_command(
    hitcounter: Run, environment: dict[str, str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    shutil.copy(FROZEN / 'polls-1.fs', tmp_path / 'hits.fs')
    (tmp_path / 'ballots.py').write_text('import sys\nsys.nosuch\n')
    done = hitcounter(*command, env={'PYTHONPATH': f'{tmp_path}:{environment["PYTHONPATH"]}'})
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, '', 1), done.stderr
    assert 'cannot be read, because code fails (AttributeError: ' in done.stderr
    assert done.stderr.endswith(f', in {tmp_path}/ballots.py, line 2): correct that code\n')
