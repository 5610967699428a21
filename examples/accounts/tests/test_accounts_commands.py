"""hitcounter accounts: what the commands do, ask and refuse."""

import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest
from accounts import Accounts, Attempt
from accounts.pins import digest
from click.testing import CliRunner, Result

from hitcounter.commands import plugins
from hitcounter.commands.main import main
from hitcounter.state import State, open_database

Run = Callable[..., Result]


@pytest.fixture
def storage(tmp_path: Path) -> str:
    """A database, as the first start of the server makes it."""
    uri = f'file://{tmp_path}/accounts.fs'
    with open_database(uri, share=True) as database, State(database, plugins.components()):
        return uri


@pytest.fixture
def run(storage: str) -> Run:
    """Run `hitcounter accounts ...` on this test's database."""

    def run(command: str, *arguments: str, input: str | None = None) -> Result:
        return CliRunner().invoke(main, ['accounts', command, '--storage', storage, *arguments], input=input)

    return run


@pytest.fixture
def attempt(storage: str) -> Callable[..., Attempt]:
    """Try to log in, without a server."""

    def attempt(number: str, pin: str, now: float = 0.0) -> Attempt:
        with open_database(storage, share=True) as database, State(database, plugins.components()) as state:
            return state[Accounts].attempt(number, digest(pin, state[Accounts].salt(number)), now)

    return attempt


def test_an_account_is_added_with_the_pin_in_the_first_line(run: Run, attempt: Callable[..., Attempt]) -> None:
    result = run('add', '1234', '--pin-stdin', input='4711\r\nnot read\n')

    assert (result.exit_code, result.output) == (0, 'account 1234 added\n')
    assert attempt('1234', '4711') is Attempt.RIGHT


def test_at_a_terminal_the_pin_is_asked_for_twice_and_not_shown(storage: str, attempt: Callable[..., Attempt]) -> None:
    code = 'from hitcounter.commands.main import main; main()'
    arguments = ['-c', code, 'accounts', 'add', '--storage', storage, '1234']
    with pexpect.spawn(sys.executable, arguments, encoding='utf-8', timeout=60) as terminal:
        for pin in ('4711', '4712', '4711', '4711'):  # the second pair is the same
            terminal.expect_exact(': ')
            terminal.waitnoecho()
            terminal.sendline(pin)
        terminal.expect_exact('account 1234 added')
        terminal.expect(pexpect.EOF)

    assert attempt('1234', '4711') is Attempt.RIGHT


def test_without_a_terminal_it_says_how_to_give_the_pin(run: Run) -> None:
    result = run('add', '1234', input='4711\n')

    assert result.exit_code == 2
    assert (
        'the PIN cannot be asked for without a terminal: give --pin-stdin, and write it to standard input'
        in result.output
    )


@pytest.mark.parametrize(
    ('arguments', 'pin', 'sentence'),
    [
        (('add', '12a', '--pin-stdin'), '4711', "'12a' is not the number of an account: give 1 to 12 digits"),
        (('add', '1234', '--pin-stdin'), '47', 'the PIN is not 4 to 12 digits: choose another'),
        (('add', '1234', '--pin-stdin'), '', 'the PIN is not 4 to 12 digits: choose another'),
        (('add', '1234', '--pin-stdin'), '1234', 'the PIN is one that anybody would try first'),
        (('unlock', '77'), None, 'the account \'77\' does not exist: see "hitcounter accounts list"'),
        (('remove', '77'), None, 'the account \'77\' does not exist: see "hitcounter accounts list"'),
    ],
)
def test_wrong_input_is_one_sentence_and_status_2(
    run: Run, arguments: tuple[str, ...], pin: str | None, sentence: str
) -> None:
    result = run(*arguments, input=pin)

    assert result.exit_code == 2
    assert sentence in result.output
    assert run('list').output == ''


def test_a_number_that_is_taken_is_refused(run: Run, attempt: Callable[..., Attempt]) -> None:
    run('add', '1234', '--pin-stdin', input='4711')

    result = run('add', '1234', '--pin-stdin', input='2806')

    assert result.exit_code == 2
    assert "account '1234' already exists: choose another number, or remove it first" in result.output
    assert attempt('1234', '4711') is Attempt.RIGHT


def test_the_list_shows_who_is_locked_and_unlocking_helps(run: Run, attempt: Callable[..., Attempt]) -> None:
    for number, pin in (('1234', '4711'), ('5', '2806')):
        run('add', number, '--pin-stdin', input=pin)
    attempt('5', '2806', now=3600.0)
    for _ in range(3):
        attempt('1234', '1111', now=0.0)

    assert run('list').output.splitlines() == [
        '1234          last log-in never  wrong PINs 0  locked until 1970-01-01T00:15:00.000000Z',
        '5             last log-in 1970-01-01T01:00:00.000000Z  wrong PINs 0  locked until -',
    ]
    assert run('unlock', '1234').output == 'account 1234 unlocked\n'
    assert attempt('1234', '4711') is Attempt.RIGHT


def test_an_account_that_is_removed_cannot_log_in(run: Run, attempt: Callable[..., Attempt]) -> None:
    run('add', '1234', '--pin-stdin', input='4711')

    assert run('remove', '1234').output == 'account 1234 removed\n'

    assert attempt('1234', '4711') is Attempt.WRONG


def test_an_export_has_no_pins(run: Run, storage: str, tmp_path: Path) -> None:
    run('add', '1234', '--pin-stdin', input='4711')

    CliRunner().invoke(main, ['export', '--storage', storage, '--component', 'accounts', f'{tmp_path}/accounts.csv'])

    assert (tmp_path / 'accounts.csv').read_text('utf-8').splitlines() == [
        'number,last_login,wrong,locked_until',
        '"1234",,0,',
    ]
