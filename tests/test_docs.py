"""What the documentation shows is what happens."""

import functools
import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from hitcounter import call, hits, serve, shell
from hitcounter.agi import Server
from hitcounter.state import State, open_database
from hitcounter.testing import Channel, Played, SaidNumber, dial

ROOT = Path(__file__).parent.parent


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f'file://{tmp_path}/hits.fs'


@pytest.fixture
def port(storage: str) -> Iterator[int]:
    with (
        closing(open_database(storage, share=True)) as database,
        closing(State(database, [hits.HitCounter])) as state,
    ):
        server = Server({'hits': functools.partial(hits.tell_the_number, state=state)}, port=0)
        server.start()
        yield server.address[1]
        server.stop()


def transcripts(path: str) -> dict[str, str]:
    """The commands that a document shows, each with what it is said to print."""
    text = (ROOT / path).read_text('utf-8')
    shown = re.findall(r'^    \$ (.*)\n((?:    (?!\$ ).*\n)*)', text, re.MULTILINE)
    return {command: re.sub(r'^    ', '', output, flags=re.MULTILINE) for command, output in shown}


def test_the_transcripts_of_the_readme_are_what_the_commands_print(port: int, storage: str) -> None:
    (called, heard), (asked, told) = transcripts('README.md').items()
    assert called == 'bin/hitcounter call --extension 31415'
    result = CliRunner().invoke(call.main, ['--to', f'agi://127.0.0.1:{port}/hits', *called.split()[2:]])
    assert (result.output, result.exit_code) == (heard, 0)
    assert asked == "bin/hitcounter-shell -c 'print(hits.lines())'"
    result = CliRunner().invoke(shell.main, ['--storage', storage, '-c', 'print(hits.lines())'])
    assert (result.output, result.exit_code) == (told, 0)


def test_every_option_of_the_server_is_in_the_operators_table() -> None:
    table = (ROOT / 'docs' / 'operations.md').read_text('utf-8')
    documented = set(re.findall(r'^\| `(--[a-z-]+)[^`]*` \| `(HITCOUNTER_[A-Z_]+)` \|', table, re.MULTILINE))
    options = {(option.opts[0], str(option.envvar)) for option in serve.main.params if option.name != 'config'}
    assert documented == options


def test_the_example_has_one_winner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / 'docs' / 'examples' / 'hundredth_caller.py'
    spec = importlib.util.spec_from_file_location('hundredth_caller', path)
    assert spec
    assert spec.loader
    example = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, 'hundredth_caller', example)  # where its component's pickles look for it
    spec.loader.exec_module(example)
    with (
        closing(open_database(f'file://{tmp_path}/game.fs', share=True)) as database,
        closing(State(database, [example.Game])) as state,
    ):
        heard = []
        for caller in range(1, 103):
            asterisk = dial(Channel(caller_id=str(caller)), functools.partial(example.play, state=state))
            heard.append(asterisk.heard[1])
        assert state[example.Game].won_by() == '100'
    assert heard[:99] == [SaidNumber(99 - index) for index in range(99)]
    assert heard[99:] == [Played('auth-thankyou'), Played('vm-goodbye'), Played('vm-goodbye')]


def test_links_between_documents_lead_somewhere() -> None:
    for document in (ROOT / 'README.md', *(ROOT / 'docs').glob('*.md')):
        for target in re.findall(r'\]\((?!http)([^)#]+)', document.read_text('utf-8')):
            assert (document.parent / target).exists(), (document, target)
