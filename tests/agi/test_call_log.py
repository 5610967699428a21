"""The line of a call in the log."""

import logging
from typing import Any

import pytest

from hitcounter.agi.call_log import CLOSED, ENDED, FAILED, HUNG_UP, Ending, failure, log_end
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
        ('x" agistatus=SUCCESS', r'"x\" agistatus=SUCCESS"'),
        ('a=b', '"a=b"'),
        ('a\\b', r'"a\\b"'),
        ('\x1b[2J', r'"\u001b[2J"'),
        ('\u202e', r'"\u202e"'),
        ('\udcff', r'"\udcff"'),
        ('withheld', '"withheld"'),
        ('5' * 200, '5' * 80 + '…'),
    ],
)
def test_no_caller_id_is_more_than_one_word_of_the_line(
    value: str, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert f' line=31415 caller={shown} agistatus=SUCCESS' in logged(caplog, caller_id=value).getMessage()


def test_what_is_not_known_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    message = logged(caplog, FAILED, path=None, caller_id='').getMessage()
    assert message == '17.1: failed after 0.002 s: line=31415 caller=unknown agistatus=FAILURE'


def test_an_empty_path_and_a_text_as_the_result_are_shown(caplog: pytest.LogCaptureFixture) -> None:
    assert ' script="" ' in (message := logged(caplog, path='', result='no vote').getMessage())
    assert ' result="no vote" ' in message
