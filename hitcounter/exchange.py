"""The calls of the hit counter as CSV and as JSON lines, one row for each: what is written reads back the same."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from itertools import islice
from math import floor
from typing import Any, BinaryIO, NamedTuple

from .errors import ImportRefused
from .hits import Caller, Hit, HitCounter
from .state import Parts, Session, State

FIELDS = ('line', 'number', 'time', 'caller_id', 'name', 'unique_id')

#: Bytes that a row may have.
LONGEST = 1_000_000

#: Calls that are taken in one transaction, so that none holds up the others.
AT_ONCE = 200

_EXACT = Context(prec=500)
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_FIELD = re.compile(r'"((?:[^"]|"")*)"|([^",\r\n]*)')
_HEADER = ','.join(FIELDS)


class Row(NamedTuple):
    """One call of one line."""

    line: str
    hit: Hit


class Format(NamedTuple):
    """How rows are written and read."""

    #: What stands before the first row, if anything.
    header: str
    write: Callable[[Row], str]
    #: Raises ValueError for what is no row.
    read: Callable[[str], Row]
    #: Whether the end of a text line with so many quotation marks before it ends the row.
    is_whole: Callable[[int], bool]


class Imported(NamedTuple):
    """How many calls were taken so far, and how many were there already."""

    taken: int
    known: int


def export_calls(session: Session, form: Format) -> Iterator[bytes]:
    """Every call that is not forgotten, line by line, as it was when the session was opened."""
    if form.header:
        yield form.header.encode()
    counter: HitCounter = session.root[HitCounter.name]
    rows = (Row(line, hit) for line in counter.lines() for hit in counter.since(line, 1))
    for count, row in enumerate(rows):
        if count % AT_ONCE == 0:
            session.let_go()
        yield form.write(row).encode('utf-8', 'surrogateescape')


def import_calls(state: State, file: BinaryIO, form: Format) -> Iterator[Imported]:
    """Take the calls of `file`, some in each transaction, and tell how far it is.

    Raises ImportRefused for a row that is no call or does not continue its line's numbers; those before it may have
    been taken. Calls that are there already are passed over, so the same file may be imported again.
    """
    taken = known = 0
    rows = _read(file, form)
    while batch := list(islice(rows, AT_ONCE)):
        new = state.update(_take, batch)
        taken += new
        known += len(batch) - new
        yield Imported(taken, known)


def _take(parts: Parts, rows: Iterable[tuple[int, Row]]) -> int:
    taken = 0
    for place, row in rows:
        try:
            taken += parts[HitCounter].take(*row)
        except ValueError as error:
            raise ImportRefused(
                f'row {place}: {error}; up to {AT_ONCE} rows before it were not taken either: mend it, and import '
                f'the whole file again') from error
    return taken


def _read(file: BinaryIO, form: Format) -> Iterator[tuple[int, Row]]:
    """Each row with the number of the text line it begins at."""
    rows = iter(lambda: file.readline(LONGEST), b'')
    if form.header:
        given = next(rows, b'')
        if given.removeprefix(b'\xef\xbb\xbf').rstrip() != form.header.encode().rstrip():
            raise ImportRefused(f'row 1 is {given[:80]!r}: it must be {form.header.rstrip()!r}')
    pieces: list[bytes] = []
    size = quotes = 0
    for place, text in enumerate(rows, 2 if form.header else 1):
        begin = place - len(pieces)
        pieces.append(text)
        size += len(text)
        quotes += text.count(b'"')
        if size >= LONGEST:
            raise ImportRefused(f'row {begin} has no end within {LONGEST:,} bytes: mend it')
        if form.is_whole(quotes):
            if text.strip():
                yield begin, _parse(b''.join(pieces), form, begin)
            pieces.clear()
            size = quotes = 0
    if pieces:
        raise ImportRefused(f'row {begin} has no end: mend it')


def _parse(text: bytes, form: Format, place: int) -> Row:
    try:
        row = form.read(text.decode('utf-8', 'surrogateescape').rstrip('\r\n'))
    except (ValueError, RecursionError) as error:
        raise ImportRefused(f'row {place} is no call ({error}): mend it') from error
    return row


def _row(line: Any, number: Any, time: Any, caller_id: Any, name: Any, unique_id: Any) -> Row:
    """What the fields say, if it can be said of a call."""
    for text in (line, time, unique_id, caller_id or '', name or ''):
        if not isinstance(text, str):
            raise ValueError(f'{text!r} is no text')
        text.encode('utf-8', 'surrogateescape')
    if type(number) is not int:
        raise ValueError(f'{number!r} is no number of a call')
    return Row(line, Hit(number, parse_time(time), Caller(caller_id, name, unique_id)))


def _fields(row: Row) -> tuple[str, int, str, str | None, str | None, str]:
    return row.line, row.hit.number, format_time(row.hit.time), *row.hit.caller


# JSON lines. All of it is ASCII, for JSON has no other way to say a byte that is no UTF-8.

def _to_json(row: Row) -> str:
    return json.dumps(dict(zip(FIELDS, _fields(row), strict=True))) + '\n'


def _from_json(text: str) -> Row:
    value = json.loads(text)
    if not isinstance(value, dict) or set(value) != set(FIELDS):
        raise ValueError(f'it must be an object of {", ".join(FIELDS)}')
    return _row(*(value[field] for field in FIELDS))


# CSV. A text stands in quotes, also an empty one; nothing at all is what Asterisk did not know.

def _to_csv(row: Row) -> str:
    line, number, time, *caller = _fields(row)
    return ','.join([_quoted(line), str(number), time, *map(_quoted, caller)]) + '\n'


def _quoted(text: str | None) -> str:
    return '' if text is None else '"' + text.replace('"', '""') + '"'


def _from_csv(text: str) -> Row:
    line, number, time, *caller = _split(text)
    is_number = number is not None and number.isascii() and number.isdecimal()
    return _row(line, int(number or '') if is_number else number, time, *caller)


def _split(text: str) -> list[str | None]:
    fields: list[str | None] = []
    end = -1
    while end < len(text):
        found = _FIELD.match(text, end + 1)
        assert found  # it takes nothing, too
        quoted, plain = found.groups()
        fields.append(plain or None if quoted is None else quoted.replace('""', '"'))
        end = found.end()
        if text[end : end + 1] not in ('', ','):
            raise ValueError(f'a comma is missing at character {end + 1}')
    if len(fields) != len(FIELDS):
        raise ValueError(f'it has {len(fields)} fields, not {len(FIELDS)}')
    return fields


FORMATS = {
    'csv': Format(_HEADER + '\n', _to_csv, _from_csv, lambda quotes: quotes % 2 == 0),
    'jsonl': Format('', _to_json, _from_json, lambda _: True),
}


def format_time(seconds: float) -> str:
    """ISO 8601, UTC, with as many digits as tell this very number from all others, and six at least."""
    exact = Decimal(repr(seconds))
    whole = floor(exact)
    digits = f'{_EXACT.subtract(exact, whole):f}'.partition('.')[2]
    return f'{_BEGIN + timedelta(seconds=whole):%Y-%m-%dT%H:%M:%S}.{digits:0<6}Z'


def parse_time(text: str) -> float:
    """The number that `format_time` wrote so. Raises ValueError."""
    found = re.fullmatch(r'(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,400})?Z', text, re.ASCII)
    if not found:
        raise ValueError(f'{text!r} is no time such as 2026-01-31T12:00:00.000000Z')
    whole = (datetime.fromisoformat(found[1] + '+00:00') - _BEGIN) // timedelta(seconds=1)
    return float(_EXACT.add(whole, Decimal(found[2] or 0)))
