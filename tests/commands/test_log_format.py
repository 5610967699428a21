"""The log as JSON, one object a line, and what of libraries is logged."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.servers import Run, Start


def logged(code: str, level: str = 'info', form: str = 'json') -> list[str]:
    """The lines that a process logs which runs `code`."""
    begin = f'import logging\nfrom hitcounter.commands import log\nlog.set_up({level!r}, {form!r})\n'
    done = subprocess.run([sys.executable, '-c', begin + code], capture_output=True, text=True, check=True)
    return done.stderr.splitlines()


def test_a_record_is_an_object_with_its_time_level_logger_and_message() -> None:
    (line,) = logged("logging.getLogger('a.b').warning('%s\\n\"%s\"', 'Zoë', chr(0xdcff))")
    record: dict[str, Any] = json.loads(line)
    when = datetime.fromisoformat(record.pop('time'))
    assert when.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - when) < timedelta(hours=1)
    assert record == {'level': 'WARNING', 'logger': 'a.b', 'message': 'Zoë\n"\udcff"'}


def test_the_fields_of_a_record_are_beside_them_and_replace_none() -> None:
    (line,) = logged(
        "logging.warning('%s', 'ended', extra={'fields': {'line': '31415', 'number': 7, 'caller': None, 'level': 1}})"
    )
    record = json.loads(line)
    assert (record['line'], record['number'], record['caller']) == ('31415', 7, None)
    assert (record['level'], record['message']) == ('WARNING', 'ended')


def test_an_exception_is_a_field() -> None:
    (line,) = logged("try:\n    1 / 0\nexcept ZeroDivisionError:\n    logging.exception('oh')")
    record = json.loads(line)
    assert record['message'] == 'oh'
    assert record['exception'].startswith('Traceback (most recent call last):\n')
    assert record['exception'].endswith('\nZeroDivisionError: division by zero')


def test_a_long_record_is_shortened_and_stays_an_object() -> None:
    code = "logging.warning(chr(1) * 100_000, extra={'fields': {'script': 'x' * 100_000, 'number': 7}})"
    (line,) = logged(code)
    assert len(line) <= 8192
    record = json.loads(line)
    assert record['number'] == 7
    assert record['message'].endswith('\x01[...]')


def test_a_long_record_whose_field_holds_more_than_a_text_stays_an_object() -> None:
    (line,) = logged("logging.warning('lists', extra={'fields': {'many': ['x' * 100_000], 'few': [1, 2]}})")
    assert len(line) <= 8192
    record = json.loads(line)
    assert record['many'].startswith('["xxx')
    assert record['few'] == [1, 2]


def test_a_record_that_cannot_be_formatted_is_an_object_that_says_so() -> None:
    first, second = logged("logging.getLogger('votes').info('%d votes', 'no')\nlogging.info('after')")
    record = json.loads(first)
    assert (record['level'], record['message']) == ('ERROR', "a record of votes cannot be formatted: '%d votes'")
    assert 'TypeError' in record['exception']
    assert json.loads(second)['message'] == 'after'


def test_debug_is_of_the_project_and_not_of_the_libraries() -> None:
    code = "for name in 'hitcounter.agi', 'votes', 'ZEO.asyncio', 'ZODB.Connection', 'asyncio':\n"
    code += "    logging.getLogger(name).debug('%s', name)"
    assert [line.split()[-1] for line in logged(code, 'debug', 'text')] == ['hitcounter.agi', 'votes']


def test_every_line_of_a_server_is_an_object(start: Start) -> None:
    server = start('--log-format', 'json', '--log-level', 'debug')
    assert server.number() == 1
    assert server.stop() == 0
    records = [json.loads(line) for line in server.log.lines()]
    (call,) = (record for record in records if record.get('agistatus'))
    assert (call['script'], call['line'], call['agistatus']) == ('hits', '31415', 'SUCCESS')
    assert {record['logger'].partition('.')[0] for record in records} == {'hitcounter', 'txn'}


def test_the_error_that_ends_a_command_is_an_object_too(hitcounter: Run) -> None:
    done = hitcounter('serve', '--log-format', 'json', '--storage', 'nonsense')
    assert (done.returncode, done.stdout) == (1, '')
    record = json.loads(done.stderr)
    assert record['level'] == 'CRITICAL'
    assert record['message'].startswith("'nonsense' is not a URI of a database")
