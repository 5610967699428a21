"""The line of a call in the log."""

import logging
from typing import Any

import pytest

from hitcounter.agi.call_log import CLOSED, ENDED, FAILED, HUNG_UP, Ending, failure, log_end, missing
from hitcounter.testing import Channel, connect


def logged(
    caplog: pytest.LogCaptureFixture,
    ending: Ending = ENDED,
    *,
    path: str | None = 'hits',
    result: str | int | None = None,
    **values: Any,
) -> logging.LogRecord:
    caplog.set_level(logging.INFO)
    call, _ = connect(Channel(**{'unique_id': '17.1', 'caller_id': '555', **values}))
    call.result = result
    log_end(call, path, ending, 0.00249)
    (record,) = caplog.records
    return record


def test_the_line_has_all_that_is_worth_knowing_of_a_call(caplog: pytest.LogCaptureFixture) -> None:
    record = logged(caplog, result=42)
    assert record.getMessage() == (
        '17.1: ended after 0.002 s: script=hits line=31415 caller=555 result=42 agistatus=SUCCESS'
    )


def test_the_line_of_the_path_is_logged_rather_than_the_extension(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    call, _ = connect(Channel(unique_id='17.1'), parameters={'line': 'contest'})
    log_end(call, 'hits/{line}', ENDED, 0.00249)
    assert ' script=hits/{line} line=contest caller=unknown ' in caplog.text


def test_the_record_has_the_values_by_name(caplog: pytest.LogCaptureFixture) -> None:
    assert vars(logged(caplog, result=42))['fields'] == {
        'unique_id': '17.1',
        'ending': 'ended',
        'seconds': 0.002,
        'script': 'hits',
        'line': '31415',
        'caller_id': '555',
        'withheld': False,
        'result': 42,
        'agistatus': 'SUCCESS',
    }


@pytest.mark.parametrize(
    ('ending', 'said', 'agistatus'),
    [
        (HUNG_UP, 'hung up after', 'HANGUP'),
        (FAILED, 'failed after', 'FAILURE'),
        (CLOSED, 'closed after', 'FAILURE'),
        (failure('lost (no answer)'), 'lost (no answer) after', 'FAILURE'),
    ],
)
def test_the_line_says_how_the_call_ended(
    ending: Ending, said: str, agistatus: str, caplog: pytest.LogCaptureFixture
) -> None:
    message = logged(caplog, ending).getMessage()
    assert message.startswith(f'17.1: {said} 0.002 s: ')
    assert message.endswith(f' agistatus={agistatus}')
    assert ending.well == (agistatus != 'FAILURE')


def test_a_withheld_caller_is_in_neither_line_nor_values(caplog: pytest.LogCaptureFixture) -> None:
    record = logged(caplog, presentation=35, result=42)
    assert ' caller=withheld result=42 ' in record.getMessage()
    assert vars(record)['fields']['withheld'] is True
    assert '555' not in str(vars(record))


@pytest.mark.parametrize(
    ('value', 'shown'),
    [
        ('+44123', '+44123'),
        ('Zoë', 'Zoë'),
        ('a b', '"a b"'),
        ('x" agistatus=SUCCESS', r'"x\" agistatus\u003dSUCCESS"'),
        ('a=b', '"a=b"'),
        ('a\\b', r'"a\\b"'),
        ('\x1b[2J', r'"\u001b[2J"'),
        ('\u202e', r'"\u202e"'),
        ('\udcff', r'"\udcff"'),
        ('withheld', '"withheld"'),
        ('a line=7 b', r'"a line\u003d7 b"'),
        ('line=7 b', '"line=7 b"'),
        ('5' * 200, '5' * 80 + '…'),
    ],
)
def test_no_caller_id_is_more_than_one_word_of_the_line(
    value: str, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert f' line=31415 caller={shown} agistatus=SUCCESS' in logged(caplog, caller_id=value).getMessage()


@pytest.mark.parametrize('unique_id', ['17.1: ended after 0.002 s: script=hits line=31415 caller=5', 'a b=c'])
def test_a_unique_id_adds_no_words_to_the_line(unique_id: str, caplog: pytest.LogCaptureFixture) -> None:
    message = logged(caplog, unique_id=unique_id, extension='7').getMessage()
    assert [word for word in message.split() if '=' in word] == [
        'script=hits',
        'line=7',
        'caller=555',
        'agistatus=SUCCESS',
    ]


def test_the_reason_of_a_failure_adds_neither_lines_nor_words_to_the_line(caplog: pytest.LogCaptureFixture) -> None:
    message = logged(caplog, failure('lost (a\nINFO 1.1: ended line=7 agistatus=SUCCESS)')).getMessage()
    assert r' lost (a\nINFO 1.1: ended line\u003d7 agistatus\u003dSUCCESS) after ' in message


def test_a_long_path_without_a_script_is_cut() -> None:
    call, _ = connect(Channel(url=f'agi://pbx/{"x" * 200}'))
    assert missing(call) == f"there is no script '{'x' * 80}…'"


@pytest.mark.parametrize(
    ('result', 'shown'),
    [
        (2**64 - 1, '0xffffffffffffffff'),
        (2**63 - 1, str(2**63 - 1)),
        pytest.param(10**5000, hex(10**5000)[:80] + '…', id='too long for str()'),
        (-5, '-5'),
        (True, 'True'),
        ('a b=c', r'"a b\u003dc"'),
        ('5' * 200, '5' * 80 + '…'),
    ],
)
def test_the_result_is_one_short_word(result: str | int, shown: str, caplog: pytest.LogCaptureFixture) -> None:
    assert f' caller=555 result={shown} agistatus=' in logged(caplog, result=result).getMessage()


def test_what_is_not_known_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    message = logged(caplog, FAILED, path=None, caller_id='').getMessage()
    assert message == '17.1: failed after 0.002 s: line=31415 caller=unknown agistatus=FAILURE'


def test_an_empty_path_and_a_text_as_the_result_are_shown(caplog: pytest.LogCaptureFixture) -> None:
    assert ' script="" ' in (message := logged(caplog, path='', result='no vote').getMessage())
    assert ' result="no vote" ' in message
