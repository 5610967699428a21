"""Real Asterisk and keys that a caller presses: questions, menus, and the example that asks for an account number."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from hitcounter.agi import Call
from hitcounter.agi.ivr import ask, menu
from hitcounter.errors import Hangup
from tests.support.asterisk.session import TakeCall
from tests.support.asterisk.telephony import Asterisk, Caller
from tests.support.asterisk.transcript import Transcript
from tests.support.patience import PATIENCE
from tests.support.places import TREE

ACCOUNT = '31423'
GOOD, WRONG = '4539148803436467', '4539148803436468'
SAID = tuple(f'digits/{digit}' for digit in GOOD)
PROMPT, NOTHING_HEARD, NO_SUCH = 'queue-thereare', 'vm-pls-try-again', 'vm-sorry'
HALF_A_MINUTE = 'demo-congrats'

Question = Callable[..., str | None]
Begin = Callable[..., tuple[Caller, 'Future[str | None]']]


# examples/account_number.py: Asterisk has none of its own prompts, and skips them.


@pytest.fixture
def example(asterisk: Asterisk) -> Iterator[Transcript]:
    """The log of the example, which listens where Asterisk looks for it."""
    root = TREE
    process = subprocess.Popen(
        asterisk.inside('setpriv', '--pdeathsig', 'KILL', sys.executable, 'examples/account_number.py'),
        cwd=root,
        env={**os.environ, 'PYTHONPATH': str(root)},
        stderr=subprocess.PIPE,
    )
    assert process.stderr
    log = Transcript('the example', process.stderr)
    try:
        asterisk.wait_for_server(4573)
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        log.close()


def account_of(caller: Caller, asterisk: Asterisk) -> str:
    """What the dialplan finds in ACCOUNT once the script is over."""
    return asterisk.log.wait(rf'^ {caller.channel} has the account (.*)$')[1]


def test_the_example_takes_a_good_account_number(asterisk: Asterisk, example: Transcript) -> None:
    caller = asterisk.dial(ACCOUNT)
    caller.misses('account-enter')
    caller.press(GOOD)
    caller.misses('account-press-1-if-right-2-if-not')
    caller.press('1')

    assert account_of(caller, asterisk) == GOOD
    assert caller.ends().played == SAID


def test_the_example_asks_again_after_a_wrong_account_number(asterisk: Asterisk, example: Transcript) -> None:
    caller = asterisk.dial(ACCOUNT)
    caller.misses('account-enter')
    caller.press(WRONG)
    caller.misses('account-no-such')
    caller.press(GOOD)
    caller.misses('account-press-1-if-right-2-if-not')
    caller.press('1')

    assert account_of(caller, asterisk) == GOOD
    assert caller.ends().played == SAID


def test_the_example_gives_up_on_who_presses_nothing(asterisk: Asterisk, example: Transcript) -> None:
    caller = asterisk.dial(ACCOUNT)

    caller.misses('account-nothing-heard')
    caller.hears('vm-goodbye')

    assert account_of(caller, asterisk) == ''
    assert caller.ends().played == ('vm-goodbye',)


def test_who_leaves_the_example_in_the_middle_of_a_number_leaves_no_account(
    asterisk: Asterisk, example: Transcript
) -> None:
    caller = asterisk.dial(ACCOUNT)
    caller.misses('account-enter')
    caller.press(GOOD[:7])

    caller.hang_up()

    call = caller.ends()
    assert (call.status, call.played) == ('HANGUP', ())
    assert not asterisk.log.all(rf'^ ({caller.channel}) has the account')
    assert re.fullmatch(r"[0-9.]+: Asterisk could not play 'account-enter': .*", example.text())


# hitcounter.agi.ivr, asked by the test itself.


@pytest.fixture
def begin(take_call: TakeCall) -> Iterator[Begin]:
    """Let someone call and ask them the question: the caller, and the answer that is to come."""

    def answer_and_ask(call: Call, question: Question, options: dict[str, object]) -> str | None:
        call.answer()
        return question(call, **{'prompt': PROMPT, 'no_input': NOTHING_HEARD, 'invalid': NO_SUCH} | options)

    def begin(question: Question, **options: object) -> tuple[Caller, 'Future[str | None]']:
        session = take_call()
        return session.caller, pool.submit(answer_and_ask, session.call, question, options)

    with ThreadPoolExecutor() as pool:
        yield begin


@pytest.mark.parametrize(
    ('question', 'options', 'keys', 'answer'),
    [
        (ask, {'digits': 4}, '1234', '1234'),
        (ask, {'digits': 4, 'at_least': 2}, '12#', '12'),
        (ask, {'digits': 4, 'at_least': 2, 'timeout': 2}, '123', '123'),
        (ask, {'digits': 4, 'at_least': 0}, '#', ''),
        (ask, {'digits': 4, 'at_least': 2, 'terminator': '*'}, '12*', '12'),
        (ask, {'digits': 4, 'terminator': ''}, '9876', '9876'),
        (menu, {'choices': '12'}, '2', '2'),
        (menu, {'choices': '*#'}, '#', '#'),
    ],
)
def test_what_is_pressed_is_the_answer(
    begin: Begin, question: Question, options: dict[str, object], keys: str, answer: str
) -> None:
    caller, answered = begin(question, **options)
    caller.hears(PROMPT)

    caller.press(keys)

    assert answered.result(PATIENCE) == answer


@pytest.mark.parametrize(
    ('question', 'options', 'wrong', 'right'),
    [
        (ask, {'digits': 4}, '12#', '1234'),
        (ask, {'digits': 4, 'valid': '1234'.__eq__}, '4321', '1234'),
        (ask, {'digits': 2, 'terminator': '*'}, '1*', '12'),
        (menu, {'choices': '12'}, '3', '1'),
    ],
)
def test_who_errs_is_told_so_and_asked_again(
    begin: Begin, asterisk: Asterisk, question: Question, options: dict[str, object], wrong: str, right: str
) -> None:
    caller, answered = begin(question, **options)
    caller.hears(PROMPT)
    first = len(asterisk.log)
    caller.press(wrong)
    caller.hears(NO_SUCH, first)
    caller.hears(PROMPT, first)

    caller.press(right)

    assert answered.result(PATIENCE) == right


@pytest.mark.parametrize(
    ('question', 'options'), [(ask, {'digits': 4}), (ask, {'digits': 4, 'terminator': ''}), (menu, {'choices': '12'})]
)
def test_who_presses_nothing_is_told_so_and_asked_as_often_as_was_said(
    begin: Begin, asterisk: Asterisk, question: Question, options: dict[str, object]
) -> None:
    caller, answered = begin(question, attempts=2, timeout=1, **options)

    assert answered.result(PATIENCE) is None
    played = asterisk.log.all(rf"<{caller.channel}> Playing '([^'.]+)")
    assert played == (PROMPT, NOTHING_HEARD, PROMPT)


@pytest.mark.parametrize(
    ('question', 'options'), [(ask, {'digits': 4}), (ask, {'digits': 4, 'terminator': ''}), (menu, {'choices': '12'})]
)
@pytest.mark.parametrize('pressed', ['', '7'])
def test_who_hangs_up_gives_no_answer(
    begin: Begin, question: Question, options: dict[str, object], pressed: str
) -> None:
    caller, answered = begin(question, **{'prompt': HALF_A_MINUTE} | options)
    caller.hears(HALF_A_MINUTE)
    if pressed:
        caller.press(pressed)

    caller.hang_up()

    with pytest.raises(Hangup):
        answered.result(PATIENCE)
