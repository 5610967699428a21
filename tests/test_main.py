"""hitcounter: one command that has all the others."""

import importlib.metadata

import pytest
from click.testing import CliRunner

from hitcounter.main import main


@pytest.mark.parametrize('command', ['serve', 'shell', 'call', 'agi'])
def test_each_command_is_there_and_explains_itself(command: str) -> None:
    result = CliRunner().invoke(main, [command, '--help'])

    assert result.exit_code == 0
    assert result.output.startswith(f'Usage: main {command} [OPTIONS]')


@pytest.mark.parametrize('arguments', [[], ['--help']])
def test_the_commands_are_listed(arguments: list[str]) -> None:
    output = CliRunner().invoke(main, arguments).output

    assert 'Durable call counting for Asterisk.' in output
    assert [line.split()[0] for line in output.partition('Commands:\n')[2].splitlines()[:4]] == [
        'agi', 'call', 'serve', 'shell']


def test_an_unknown_command_is_said() -> None:
    result = CliRunner().invoke(main, ['sell'])

    assert result.exit_code == 2
    assert "No such command 'sell'" in result.output


def test_the_version_is_the_packages() -> None:
    try:
        version = importlib.metadata.version('hitcounter')
    except importlib.metadata.PackageNotFoundError:
        pytest.skip('the package is on the path, but not installed')

    assert CliRunner().invoke(main, ['--version']).output == f'main, version {version}\n'
