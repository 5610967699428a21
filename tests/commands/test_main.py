"""hitcounter: one command that has all the others."""

import importlib.metadata
import subprocess
import sys

import pytest
from click.testing import CliRunner

from hitcounter.commands.main import main

UPKEEP = [
    'backup', 'copy', 'export', 'forget', 'import', 'lines', 'migrate', 'move', 'pack', 'plugins', 'report', 'restore',
    'status', 'verify',
]  # fmt: skip


@pytest.mark.parametrize('command', ['serve', 'shell', 'call', 'agi', 'line', 'round', *UPKEEP])
def test_each_command_is_there_and_explains_itself(command: str) -> None:
    result = CliRunner().invoke(main, [command, '--help'])

    assert result.exit_code == 0
    assert result.output.startswith(f'Usage: main {command} [OPTIONS]')


@pytest.mark.parametrize('command', UPKEEP)
def test_the_example_of_a_command_has_nothing_that_the_command_does_not_take(command: str) -> None:
    output = CliRunner().invoke(main, [command, '--help']).output
    example = output.partition('Example: hitcounter ')[2].partition('&&')[0].split()

    assert example[0] == command
    main.commands[command].make_context(command, example[1:])


@pytest.mark.parametrize('arguments', [[], ['--help']])
def test_the_commands_are_listed(arguments: list[str]) -> None:
    output = CliRunner().invoke(main, arguments).output

    assert 'Durable call counting for Asterisk.' in output
    listed = output.partition('Commands:\n')[2].partition('\n\n')[0].splitlines()
    assert [line.split()[0] for line in listed] == sorted(['agi', 'call', 'line', 'round', 'serve', 'shell', *UPKEEP])


def test_an_unknown_command_is_said() -> None:
    result = CliRunner().invoke(main, ['sell'])

    assert result.exit_code == 2
    assert "No such command 'sell'" in result.output


def test_the_version_is_the_packages() -> None:
    try:
        version = importlib.metadata.version('hitcounter-agi')
    except importlib.metadata.PackageNotFoundError:
        pytest.skip('the package is on the path, but not installed')

    assert CliRunner().invoke(main, ['--version']).output == f'main, version {version}\n'


@pytest.mark.parametrize(('command', 'strange'), [('status', 'hitcounter.simulator'), ('call', 'ZODB'), ('', 'ZODB')])
def test_a_command_imports_nothing_of_the_others(command: str, strange: str) -> None:
    code = f"""
import sys
from hitcounter.commands.main import main
try:
    main([{command!r}, '--help'] if {command!r} else ['--help'])
except SystemExit:
    assert {strange!r} not in sys.modules
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, '-c', code], check=True, stdout=subprocess.DEVNULL)
