"""Each option by its flag, its variable and its key in a file; what is wrong with one is said."""

from __future__ import annotations

import ipaddress
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from hitcounter import hits
from hitcounter.commands import options, serve, shell
from hitcounter.commands.main import main
from hitcounter.commands.options import Duration

if TYPE_CHECKING:
    from tests.support.servers import Run

Settings = dict[str, Any]
Settle = Callable[..., Settings]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for option in serve.main.params:
        monkeypatch.delenv(str(option.envvar), raising=False)


@pytest.fixture
def settle() -> Settle:
    """What hitcounter-serve makes of these arguments, and of the variables."""

    def settle(*arguments: str) -> Settings:
        return serve.main.make_context('hitcounter-serve', list(arguments)).params

    return settle


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], str]:
    """A TOML file with this text; its name."""

    def config(text: str) -> str:
        file = tmp_path / 'hitcounter.toml'
        file.write_text(text, 'utf-8')
        return str(file)

    return config


def test_one_file_serves_every_command(config: Callable[[str], str], tmp_path: Path) -> None:
    known = {option for command in main.commands.values() for option in command.params if option.envvar}
    variables = {str(option.envvar) for option in known} - {'HITCOUNTER_CONFIG'}
    assert variables == {f'HITCOUNTER_{key.upper().replace("-", "_")}' for key in options.KEYS}
    file = config(f'listen = "127.0.0.1:4574"\nstorage = "file://{tmp_path}/nosuch.fs"')
    done = subprocess.run(
        [sys.executable, '-c', 'from hitcounter.commands.shell import main; main()', '--config', file, '-c', '1'],
        capture_output=True,
        text=True,
        check=False,
    )  # a process, which has imported no other command
    assert f"'{tmp_path}/nosuch.fs' is not a database yet" in done.stderr


# One row for each option: its variable, a value, its line in a file, what comes of it.
OPTIONS = [
    ('listen', '127.0.0.2:4574', 'listen = "127.0.0.2:4574"', ('127.0.0.2', 4574)),
    ('listen', '[::1]:4574', 'listen = "[::1]:4574"', ('::1', 4574)),
    ('listen', 'pbx.example:0', 'listen = "pbx.example:0"', ('pbx.example', 0)),
    (
        'allow',
        '192.0.2.0/24 2001:db8::1',
        'allow = ["192.0.2.0/24", "2001:db8::1"]',
        (ipaddress.ip_network('192.0.2.0/24'), ipaddress.ip_network('2001:db8::1')),
    ),
    ('storage', 'file:/srv/hits.fs', 'storage = "file:/srv/hits.fs"', 'file:/srv/hits.fs'),
    (
        'storage_of',
        'hits=file:/srv/other.fs',
        '[storage-of]\nhits = "file:/srv/other.fs"',
        {'hits': 'file:/srv/other.fs'},
    ),
    ('storage_of', 'hits=memory:', 'storage-of = ["hits=memory:"]', {'hits': 'memory:'}),
    ('prompt', 'hello beep', 'prompt = ["hello", "beep"]', ('hello', 'beep')),
    ('max_calls', '7', 'max-calls = 7', 7),
    ('max_calls', '7', 'max_calls = 7', 7),
    ('max_calls_per_peer', '7', 'max-calls-per-peer = 7', 7),
    ('pack_every', '12h', 'pack-every = "12h"', 43200.0),
    ('pack_keep', '0d', 'pack-keep = "0d"', 0.0),
    ('keep_calls', '90d', 'keep-calls = "90d"', 7776000.0),
    ('max_lines', '50', 'max-lines = 50', 50),
    ('withheld', 'keep', 'withheld = "keep"', 'keep'),
    ('call_timeout', '60', 'call-timeout = 60', 60.0),
    ('update_timeout', '5s', 'update-timeout = "5s"', 5.0),
    ('line_limit', '2047', 'line-limit = 2047', 2047),
    ('drain', '1.5', 'drain = 1.5', 1.5),
    ('drain', '2', 'drain = 2', 2.0),
    ('cpu', '1', 'cpu = 1', 1),
    ('trust_owner', 'nobody', 'trust-owner = "nobody"', 65534),
    ('trust_owner', '1001', 'trust-owner = 1001', 1001),
    ('log_level', 'warning', 'log-level = "warning"', 'warning'),
    ('log_format', 'json', 'log-format = "json"', 'json'),
]


def test_every_option_of_the_server_is_tried_here() -> None:
    assert {name for name, *_ in OPTIONS} == {str(option.name) for option in serve.main.params} - {'config'}


@pytest.mark.parametrize(('name', 'text', 'line', 'value'), OPTIONS)
def test_each_option_can_be_given_in_three_ways(
    settle: Settle,
    monkeypatch: pytest.MonkeyPatch,
    config: Callable[[str], str],
    name: str,
    text: str,
    line: str,
    value: object,
) -> None:
    default = settle()[name]
    flag = '--' + name.replace('_', '-')
    words = text.split() if isinstance(default, tuple) and name != 'listen' else [text]

    by_flag = settle(*(argument for word in words for argument in (flag, word)))[name]
    by_file = settle('--config', config(line))[name]
    monkeypatch.setenv('HITCOUNTER_' + name.upper(), text)
    by_variable = settle()[name]

    assert by_flag == by_file == by_variable == value
    assert default != value


def test_what_is_not_said_is_as_documented(settle: Settle) -> None:
    settings = settle()

    assert settings == {
        'listen': ('127.0.0.1', 4573),
        'allow': (),
        'storage': settings['storage'],
        'storage_of': {},
        'trust_owner': None,
        'prompt': hits.PROMPTS,
        'max_calls': 1000,
        'max_calls_per_peer': None,
        'pack_every': 604800.0,
        'pack_keep': 604800.0,
        'keep_calls': None,
        'max_lines': 0,
        'withheld': 'hide',
        'call_timeout': 3600.0,
        'update_timeout': 8.0,
        'line_limit': 8191,
        'drain': 30.0,
        'cpu': None,
        'log_level': 'info',
        'log_format': 'text',
    }
    assert settings['storage'].startswith('file:///')
    assert settings['storage'].endswith('/var/hitcounter.fs')


def test_a_tree_may_have_a_question_mark_in_its_path(run: Run, tmp_path: Path) -> None:
    tree = tmp_path / 'why?' / '100%'

    refused = run('shell', '-c', '1', env={'HITCOUNTER_HOME': str(tree)})

    assert repr(str(tree / 'var/hitcounter.fs')) in refused.stderr


def test_a_working_directory_that_is_gone_matters_only_where_the_database_is_looked_for_there(
    environment: dict[str, str], tmp_path: Path
) -> None:
    gone = tmp_path / 'gone'
    gone.mkdir()
    code = 'import os, sys; os.rmdir(os.getcwd()); from hitcounter.commands.shell import main; main()'
    # Coverage needs the folder, too.
    unmeasured = {name: value for name, value in environment.items() if not name.startswith('COVERAGE_')}

    for storage, status in ((), 1), (('--storage', 'memory:'), 0):
        gone.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, '-P', '-c', code, *storage, '-c', '1'],  # the folder is not in the path, as in a command's
            capture_output=True,
            text=True,
            env=unmeasured,
            cwd=gone,
            check=False,
        )
        assert done.returncode == status
        assert len(done.stderr.splitlines()) == status


def test_a_folder_that_is_named_must_be_there_and_the_default_one_is_made(
    run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    missing = tmp_path / 'no' / 'such'
    for command, *arguments in ('status',), ('restore', '.'), ('serve', '--listen', '127.0.0.1:0'), ('pack',):
        for how in 'flag', 'variable':
            flag = ('--storage', f'file:{missing}/hits.fs') if how == 'flag' else ()
            refused = run('main', command, *arguments, *flag, env={'HITCOUNTER_STORAGE': f'file:{missing}/hits.fs'})
            assert refused.returncode == 1
            assert f'{str(missing)!r} is not an existing folder: create it, mount its disk' in refused.stderr
    assert list(tmp_path.iterdir()) == []

    with subprocess.Popen(
        [sys.executable, '-c', 'from hitcounter.commands.serve import main; main()', '--listen', '127.0.0.1:0'],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=tmp_path,
    ) as server:
        assert server.stderr
        said = [server.stderr.readline(), server.stderr.readline()]
        server.terminate()

    assert said[0].endswith(f' INFO made the folder {tmp_path}/var\n')
    assert said[1].endswith(f' INFO {tmp_path}/var/hitcounter.fs is a new database\n')


def test_a_flag_wins_over_a_variable_and_that_over_the_file(
    settle: Settle, monkeypatch: pytest.MonkeyPatch, config: Callable[[str], str]
) -> None:
    monkeypatch.setenv('HITCOUNTER_CONFIG', config('max-calls = 1\ndrain = 1\ncpu = 1'))
    monkeypatch.setenv('HITCOUNTER_DRAIN', '2')
    monkeypatch.setenv('HITCOUNTER_CPU', '2')

    settings = settle('--cpu', '3')

    assert (settings['max_calls'], settings['drain'], settings['cpu']) == (1, 2.0, 3)


def test_the_shell_takes_its_part_of_the_servers_file(config: Callable[[str], str]) -> None:
    name = config('storage = "memory:"\nmax-calls = 7')

    assert shell.main.make_context('hitcounter-shell', ['--config', name]).params['storage'] == 'memory:'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--bogus'], "No such option '--bogus'"),
        (['extra'], 'unexpected extra argument (extra)'),
        (['--listen', '4573'], "'4573' is not HOST:PORT, as in 127.0.0.1:4573"),
        (['--listen', ':4573'], "':4573' is not HOST:PORT"),
        (['--listen', '127.0.0.1:65536'], "'127.0.0.1:65536' is not HOST:PORT"),
        (['--listen', '::1:4573'], "'::1:4573' needs brackets around the IPv6 address, as in [::1]:4573"),
        (['--allow', 'example'], "'example' is not a network such as 192.0.2.0/24"),
        (['--allow', '192.0.2.1/24'], 'has host bits set'),
        (['--max-calls', '0'], '0 is not in the range x>=1'),
        (['--max-calls-per-peer', '0'], '0 is not in the range x>=1'),
        (['--max-calls', 'many'], "'many' is not a valid integer"),
        (['--prompt', 'a\nb'], "'a\\nb' contains a newline"),
        (['--drain', '-1'], "'-1' is not a number of seconds, 0 or more"),
        (['--trust-owner', 'no such user'], "'no such user' is not a user of this system: give a name or an id"),
        (['--cpu', '-1'], '-1 is not in the range x>=0'),
        (['--log-level', 'loud'], "'loud' is not one of 'debug', 'info', 'warning', 'error'"),
        (['--storage-of', 'hits'], "'hits' is not NAME=URI, as in wallboard=file:///srv/wallboard.fs"),
        (
            ['--storage-of', 'hits=memory:', '--storage-of', 'hits=file:/a.fs'],
            "'hits' has 2 storages: name one for each component",
        ),
        (['--config', '/no/such.toml'], "'/no/such.toml' cannot be read: No such file or directory"),
        (['--config', '/'], "'/' cannot be read: Is a directory"),
    ],
)
def test_what_is_wrong_with_an_option_is_said(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(serve.main, arguments)

    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    ('name', 'value', 'message'),
    [
        ('LISTEN', '4573', "'4573' is not HOST:PORT"),
        ('MAX_CALLS', 'many', "'many' is not a valid integer"),
        ('DRAIN', 'long', "'long' is not a number of seconds"),
        ('ALLOW', '192.0.2.0/24 example', "'example' is not a network"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    monkeypatch.setenv(f'HITCOUNTER_{name}', value)

    result = CliRunner().invoke(serve.main, [])

    assert result.exit_code == 2
    assert message in result.output
    assert f'HITCOUNTER_{name}' in result.output


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('max-calls =', "hitcounter.toml' is not TOML: "),
        ('colour = "red"', "has 'colour', which is not one of allow, "),
        ('config = "other.toml"', "has 'config', which is not one of"),
        ('[serve]\nmax-calls = 1', "has 'serve', which is not one of"),
        ('max-calls = "many"', "'many' is not a valid integer"),
        ('listen = 4573', "hitcounter.toml' has listen = 4573: '4573' is not HOST:PORT"),
        ('allow = 10', "has allow = 10: '10' is not a network"),
        ('max-calls = [1]', 'has max-calls = [1]: write one value, without brackets'),
        ('drain = {}', 'has drain = {}: write a string or a number'),
        ('drain = nan', "has drain = nan: 'nan' is not a number of seconds"),
        ('max-calls = true', 'has max-calls = True: write a string or a number'),
        ('cpu = 1.5', "has cpu = 1.5: '1.5' is not a valid integer"),
        ('prompt = {a = 1}', "has prompt = {'a': 1}: write a string or a number"),
        ('storage-of = {hits = ""}', "'hits=' is not NAME=URI"),
        ('prompt = [[]]', 'has prompt = [[]]: write a string or a number'),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    settle: Settle, config: Callable[[str], str], text: str, message: str
) -> None:
    with pytest.raises(click.UsageError) as raised:
        settle('--config', config(text))

    assert message in raised.value.format_message()


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / 'binary').write_bytes(b'\xff\xfe')

    result = CliRunner().invoke(serve.main, ['--config', str(tmp_path / 'binary')])

    assert result.exit_code == 2
    assert 'is not UTF-8: it has the byte' in result.output


@pytest.mark.parametrize('command', [serve.main, shell.main], ids=['serve', 'shell'])
def test_help_names_each_options_variable(command: click.Command) -> None:
    text = CliRunner().invoke(command, ['--help'], terminal_width=1000).output

    for option in command.params:
        assert isinstance(option, click.Argument) or option.opts[0] in text
        assert option.envvar is None or f'env var: {option.envvar}' in text
    assert 'HITCOUNTER_STORAGE' in text
    assert 'HITCOUNTER_CONFIG' in text


@pytest.mark.parametrize(
    ('text', 'seconds'),
    [('7d', 604800), ('12h', 43200), (' 90 d ', 7776000), ('1.5m', 90), ('0s', 0), ('2w', 1209600)],
)
def test_a_duration_has_a_unit(text: str, seconds: int) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize('text', ['', '7', 'd', '-1d', '1e3s', '1d 2h', '7D', '\u0667d', 'inf', '1' * 10 + 'd'])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match='is not a duration: write a number and s, m, h'):
        Duration().convert(text, None, None)
