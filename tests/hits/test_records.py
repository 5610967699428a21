"""The calls as CSV and as JSON lines, on real databases."""

import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitcounter.errors import ImportRefused
from hitcounter.hits import Caller, Hit, HitCounter
from hitcounter.hits.records import (
    AT_ONCE,
    EARLIER,
    FIELDS,
    FORMATS,
    LONGEST,
    Format,
    Row,
    _read,
    export_records,
    import_calls,
)
from hitcounter.hits.times import format_time, parse_time
from hitcounter.state import ReadConnection, State, open_database

BOB = Caller('555', 'Bob', '17.1')

texts = st.binary(max_size=20).map(lambda said: said.decode('utf-8', 'surrogateescape'))
callers = st.builds(Caller, st.none() | texts, st.none() | texts, texts, st.none() | st.booleans())


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with (
        open_database(f'file://{tmp_path}/hits.fs?connection_cache_size=5', share=True) as database,
        State(database, [HitCounter]) as state,
    ):
        yield state


@pytest.fixture(params=['csv', 'jsonl'])
def form(request: pytest.FixtureRequest) -> Format:
    return FORMATS[request.param]


def exported(state: State, form: Format, fields: Sequence[str] = FIELDS) -> bytes:
    with ReadConnection(state._database.db) as session:
        return b''.join(export_records(session, 'hits', form, fields))


def imported(state: State, form: Format, content: bytes) -> tuple[int, int]:
    taken, known = list(import_calls(state, io.BytesIO(content), form))[-1]
    return taken, known


def written(form: Format, *rows: Row) -> bytes:
    return (form.header + ''.join(map(form.write, rows))).encode('utf-8', 'surrogateescape')


@given(st.floats(-1e9, 1e11) | st.floats(1.7e9, 1.8e9))
def test_every_time_reads_back_as_the_same_number(seconds: float) -> None:
    assert parse_time(format_time(seconds)) == seconds


def test_a_time_is_iso_8601_in_utc() -> None:
    assert format_time(0.0) == '1970-01-01T00:00:00.000000Z'
    assert format_time(1795611764.4568636) == '2026-11-25T13:02:44.4568636Z'
    assert format_time(-0.25) == '1969-12-31T23:59:59.750000Z'
    assert parse_time('2026-11-25T13:02:44Z') == 1795611764.0


@pytest.mark.parametrize('text', ['', 'now', '2026-11-25 13:02:44Z', '2026-11-25T13:02:44', '2026-13-25T13:02:44Z'])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r'not a time|month'):
        parse_time(text)


@given(st.lists(st.builds(Row, texts, st.builds(Hit, st.integers(1), st.floats(0, 1e10), callers)), max_size=5))
def test_every_row_reads_back_the_same(rows: list[Row]) -> None:
    for form in FORMATS.values():
        assert [row for _, row in _read(io.BytesIO(written(form, *rows)), form)] == rows


def test_what_is_exported_is_imported_and_exported_the_same(state: State, form: Format, tmp_path: Path) -> None:
    odd = Caller(None, b'Zo\xeb "x",\r\n=1+1'.decode('utf-8', 'surrogateescape'), '')
    for _ in range(AT_ONCE + 7):
        state[HitCounter].hit('31415', BOB)
    state[HitCounter].hit('27182', odd)
    content = exported(state, form)
    with (
        open_database(f'file://{tmp_path}/other.fs', share=True) as database,
        State(database, [HitCounter]) as other,
    ):
        assert imported(other, form, content) == (AT_ONCE + 8, 0)
        assert exported(other, form) == content
        assert imported(other, form, content) == (0, AT_ONCE + 8)
        assert other[HitCounter].call('27182', 1) == state[HitCounter].call('27182', 1)
        assert other[HitCounter].hours('31415') == state[HitCounter].hours('31415')
        assert other[HitCounter].hit('31415', BOB) == AT_ONCE + 8


def test_what_a_spreadsheet_makes_of_the_csv_is_read_too(state: State) -> None:
    content = (
        b'\xef\xbb\xbfline,number,time,caller_id,name,unique_id,withheld\r\n'
        b'31415,1,2026-11-25T13:02:44Z,,Bob,17.1,no\r\n\r\n'
    )
    assert imported(state, FORMATS['csv'], content) == (1, 0)
    assert state[HitCounter].call('31415', 1) == Hit(1, 1795611764.0, Caller(None, 'Bob', '17.1', withheld=False))


def test_what_an_earlier_version_exported_is_imported(state: State) -> None:
    csv = b'line,number,time,caller_id,name,unique_id\n"31415",1,2026-11-25T13:02:44.000000Z,"555","Bob","17.1"\n'
    jsonl = json.dumps(
        {
            'line': '27182',
            'number': 1,
            'time': '2026-11-25T13:02:44Z',
            'caller_id': '555',
            'name': 'Bob',
            'unique_id': '17.1',
        }
    ).encode()
    assert imported(state, FORMATS['csv'], csv) == (1, 0)
    assert imported(state, FORMATS['jsonl'], jsonl) == (1, 0)
    assert state[HitCounter].call('31415', 1).caller == state[HitCounter].call('27182', 1).caller == BOB
    assert exported(state, FORMATS['csv'], EARLIER).splitlines()[-1] == csv.splitlines()[-1]


@pytest.mark.parametrize('withheld', [True, False])
def test_the_same_calls_without_the_word_on_withholding_are_there_already(
    state: State, form: Format, withheld: bool
) -> None:
    for number in range(2):
        state[HitCounter].hit('31415', BOB._replace(withheld=withheld, caller_id=f'{number}'))
    assert imported(state, form, exported(state, form, EARLIER)) == (0, 2)
    assert state[HitCounter].call('31415', 1).caller.withheld is withheld


def test_unknown_and_withheld_differ_in_each_format(state: State) -> None:
    for withheld in (None, False, True):
        state[HitCounter].hit('31415', Caller(None, None, '17.1', withheld))
    ends = [line.rpartition(b'"17.1",')[2] for line in exported(state, FORMATS['csv']).splitlines()[1:]]
    assert ends == [b'', b'no', b'yes']
    rows = [json.loads(line)['withheld'] for line in exported(state, FORMATS['jsonl']).splitlines()]
    assert rows == [None, False, True]


def test_an_import_is_neither_cut_nor_refused_for_what_a_new_call_may_not_have(state: State, form: Format) -> None:
    long = Row('9' * 60_000, Hit(1, 0.0, Caller('5' * 60_000, 'x' * 60_000, '1.' + '1' * 60_000)))
    assert imported(state, form, written(form, long)) == (1, 0)
    assert state[HitCounter].call(*long[:1], 1) == long.hit
    assert state[HitCounter].hit('9' * 60_000, BOB) == 2


def test_forgotten_calls_are_not_exported_nor_brought_back(state: State, form: Format) -> None:
    for _ in range(5):
        state[HitCounter].hit('31415', BOB)
    content = exported(state, form)
    state[HitCounter].forget('31415', math.inf, 3)
    assert exported(state, form).count(b'31415') == 2
    assert imported(state, form, content) == (0, 5)
    with pytest.raises(KeyError, match='forgotten'):
        state[HitCounter].call('31415', 3)


def test_an_erased_caller_is_exported_as_unknown_and_not_brought_back(state: State, form: Format) -> None:
    for _ in range(2):
        state[HitCounter].hit('31415', BOB)
    content = exported(state, form)
    state.update(lambda parts: parts[HitCounter].erase(('31415', (2,))))
    assert exported(state, form).count(b'Bob') == 1
    assert imported(state, form, content) == (0, 2)
    assert state[HitCounter].call('31415', 2).caller == Caller(None, None, '')


def test_another_call_in_the_place_of_an_erased_one_is_refused(state: State, form: Format) -> None:
    state[HitCounter].hit('31415', BOB)
    state.update(lambda parts: parts[HitCounter].erase(('31415', (1,))))
    with pytest.raises(ImportRefused, match="the database has another call 1 of line '31415'"):
        imported(state, form, written(form, Row('31415', Hit(1, 0.0, BOB))))


@pytest.mark.parametrize(
    ('hit', 'said'),
    [
        (Hit(3, 0.0, BOB), "row {}: call 3 does not continue line '31415', whose next one is 2"),
        (Hit(0, 0.0, BOB), "row {}: call 0 does not continue line '31415', whose next one is 2"),
        (Hit(1, 0.0, BOB), "row {}: the database has another call 1 of line '31415'"),
    ],
)
def test_what_does_not_continue_the_numbers_is_refused_with_its_row(
    state: State, form: Format, hit: Hit, said: str
) -> None:
    state[HitCounter].hit('31415', BOB)
    before = exported(state, form)
    content = written(form, Row('27182', Hit(1, 0.0, BOB)), Row('31415', hit))
    with pytest.raises(ImportRefused) as refused:
        imported(state, form, content)
    assert str(refused.value).startswith(said.format(3 if form.header else 2))
    assert exported(state, form) == before


def test_a_line_whose_first_calls_were_forgotten_begins_nowhere_else(state: State, form: Format) -> None:
    with pytest.raises(ImportRefused, match=r"row .: line '31415' would begin with call 4: .* a backup"):
        imported(state, form, written(form, Row('31415', Hit(4, 0.0, BOB))))
    assert state[HitCounter].lines() == {}


JSON = {'line': '1', 'number': 1, 'time': '2026-11-25T13:02:44Z', 'caller_id': None, 'name': None, 'unique_id': ''}


@pytest.mark.parametrize(
    ('name', 'row', 'said'),
    [
        ('jsonl', b'{', 'row 1 is not a call'),
        ('jsonl', b'[' * 100_000, 'row 1 is not a call'),
        ('jsonl', b'[]', 'must be an object with line, number'),
        ('jsonl', json.dumps({**JSON, 'number': '1'}).encode(), "'1' is not the number of a call"),
        ('jsonl', json.dumps({**JSON, 'number': True}).encode(), 'True is not the number of a call'),
        ('jsonl', json.dumps({**JSON, 'line': None}).encode(), 'None is not a text'),
        ('jsonl', json.dumps({**JSON, 'name': 5}).encode(), '5 is not a text'),
        ('jsonl', json.dumps({**JSON, 'time': 'now'}).encode(), "'now' is not a time"),
        ('jsonl', json.dumps({**JSON, 'more': 1}).encode(), 'must be an object with'),
        ('jsonl', json.dumps({**JSON, 'withheld': 1}).encode(), '1 does not say whether the caller was withheld'),
        ('csv', FORMATS['csv'].header.encode() + b'1,1,2026-11-25T13:02:44Z,,,"5",perhaps\n', "'perhaps' does not say"),
        ('csv', FORMATS['csv'].header.encode() + b'1,1,2026-11-25T13:02:44Z,,,"5"\n', 'it has 6 fields, not 7'),
        ('csv', FORMATS['csv'].heading(EARLIER).encode() + b'1,1,2026-11-25T13:02:44Z,,,"5",no\n', '7 fields, not 6'),
        ('jsonl', json.dumps({**JSON, 'name': '\ud800'}).encode(), 'row 1 is not a call'),
        ('csv', b'number,line\n', 'row 1 is'),
        ('csv', b'', 'row 1 is'),
        ('csv', FORMATS['csv'].header.encode() + b'1,2,3\n', 'it has 3 fields, not 7'),
        ('csv', FORMATS['csv'].header.encode() + b'"1"x,1,2026-11-25T13:02:44Z,,,"5",\n', 'a comma is missing'),
        ('csv', FORMATS['csv'].header.encode() + b'1,one,2026-11-25T13:02:44Z,,,"5",\n', "'one' is not the number"),
        ('csv', FORMATS['csv'].header.encode() + b'1,1,2026-11-25T13:02:44Z,,,"5\n', 'row 2 has no end'),
        ('csv', FORMATS['csv'].header.encode() + b'1,"' + b'x\n' * (LONGEST // 2), 'row 2 has no end within'),
    ],
)
def test_what_is_no_call_is_refused_with_its_row(state: State, name: str, row: bytes, said: str) -> None:
    with pytest.raises(ImportRefused) as refused:
        imported(state, FORMATS[name], row)
    assert said in str(refused.value)
    assert state[HitCounter].lines() == {}


def test_records_of_another_component_can_be_read_by_others_in_each_format() -> None:
    row = {'a, "b"\n': 1}
    csv, jsonl = FORMATS['csv'], FORMATS['jsonl']
    assert csv.heading(tuple(row)) + csv.spell(row) == '"a, ""b""\n"\n1\n'
    assert csv.heading(FIELDS) == 'line,number,time,caller_id,name,unique_id,withheld\n'
    with pytest.raises(ValueError, match='not JSON compliant'):
        jsonl.spell({'a': math.nan})
