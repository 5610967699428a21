"""The calls of the hit counter as CSV and as JSON lines, a row for each; what is written reads back the same.

The records of other components are written in the same way, but not read.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, BinaryIO, NamedTuple

from ..counts import count_of
from ..errors import ExportFailed, ImportRefused
from ..state import Components, ReadConnection, State
from ..state.model.blame import described
from ..state.transactions.interrupts import put_off
from .counter import HitCounter
from .hit import ERASED, Caller, Hit, fields_of
from .times import Moment, format_time, hour_of, parse_time

__all__ = [
    'EARLIER',
    'FIELDS',
    'FORMATS',
    'Format',
    'Imported',
    'Row',
    'export_records',
    'forgotten_calls',
    'format_time',
    'import_calls',
    'parse_time',
]

#: The fields of a call.
FIELDS = ('line', 'number', 'time', 'caller_id', 'name', 'unique_id', 'withheld')

#: The fields of a call in schema 1 of the hit counter. Such rows are read, and written for earlier programs.
EARLIER = FIELDS[:-1]

#: Bytes that a row may have.
LONGEST = 1_000_000

#: Calls that one transaction imports, so that it does not hold up others for long.
AT_ONCE = 200

_PLAIN = re.compile(r'[^",\r\n]+').fullmatch
_FIELD = re.compile(r'"((?:[^"]|"")*)"|([^",\r\n]*)')
_BOOLEANS = {'yes': True, 'no': False}


class Row(NamedTuple):
    """One call of one line."""

    line: str
    hit: Hit


class Format(NamedTuple):
    """How rows are written and read."""

    #: The line before the first row, for these fields, or nothing.
    heading: Callable[[Sequence[str]], str]
    #: The row as text. Raises TypeError for what is not a plain value.
    spell: Callable[[Mapping[str, object]], str]
    #: The call in a row that has these fields. Raises ValueError if it is not a call.
    read: Callable[[str, Sequence[str]], Row]
    #: Whether a row ends at the end of a text line, given the number of quotation marks in the row by then.
    is_whole: Callable[[int], bool]

    @property
    def header(self) -> str:
        """The line before the first call, or nothing."""
        return self.heading(FIELDS)

    def write(self, row: Row) -> str:
        return self.spell(fields_of(row.line, row.hit))


class Imported(NamedTuple):
    """How many calls were imported so far, and how many were there already."""

    new: int
    known: int

    def __str__(self) -> str:
        return f'{count_of(self.new, "call")} imported, {self.known:,} already there'


def export_records(
    session: ReadConnection,
    name: str,
    form: Format,
    fields: Sequence[str] | None = None,
    first: Iterable[Mapping[str, object]] = (),
) -> Iterator[bytes]:
    """The heading, which may be empty, and each row of the component `name`, as of when the connection was opened.

    `fields` are those to write. None means those of the first row; without a row there is then no heading. The rows
    `first` come before those of the component. Raises ExportFailed for an error of the component.
    """
    wanted = fields
    if fields is not None:
        yield form.heading(fields).encode()
    try:
        for count, row in enumerate(chain(first, session.root[name].export())):
            if count % AT_ONCE == 0:
                session.trim_cache()
            if fields is None:
                fields = tuple(row)
                yield form.heading(fields).encode()
            if wanted is None and row.keys() != set(fields):
                raise ValueError(f'row {count + 1} has other fields than the first')
            spelled = form.spell({field: row[field] for field in fields})
            yield spelled.encode('utf-8', 'surrogateescape')
    except (Exception, SystemExit) as error:  # a component may raise anything
        raise ExportFailed(
            f'the component {name!r} could not be exported ({described(error)}): fix its export(), or look for damage '
            f'with "hitcounter verify"'
        ) from error


def forgotten_calls(session: ReadConnection) -> Iterator[Mapping[str, object]]:
    """A row without a caller for each forgotten call, so that an import finds all numbers of a line."""
    counter: HitCounter = session.root[HitCounter.name]
    for line in counter.lines():
        for hit in _forgotten(counter, line):
            yield fields_of(line, hit)


def _forgotten(counter: HitCounter, line: str) -> Iterator[Hit]:
    """What is known of the forgotten calls of `line`: their numbers, and the hours in which they were counted."""
    on_record = Counter(hour_of(hit.time) for hit in counter.since(line, 1))
    numbers = range(1, counter.count(line) - on_record.total() + 1)
    hours = (hour for hour, total in counter.hours(line).items() for _ in range(total - on_record[hour]))
    for number, hour in zip(numbers, hours, strict=False):
        yield Hit(number, float(hour), ERASED)


def import_calls(state: State, file: BinaryIO, form: Format) -> Iterator[Imported]:
    """Import the calls of `file`, some in each transaction, and yield the progress.

    Raises ImportRefused for a row that is not a call or does not continue its line's numbers; those before it may have
    been imported. Calls that are there already are skipped, so the same file may be imported again. Ctrl-C waits for
    the transaction that is being stored.
    """
    imported = known = 0
    rows = _read(file, form)
    while batch := list(islice(rows, AT_ONCE)):
        with put_off() as late:
            new = state.update(_import, batch)
        imported += new
        known += len(batch) - new
        yield Imported(imported, known)
        if late.came:
            raise KeyboardInterrupt


def _import(components: Components, rows: Iterable[tuple[int, Row]]) -> int:
    """Import the rows, each with its place in the file, and return how many calls were new."""
    imported = 0
    for place, row in rows:
        try:
            imported += _import_row(components[HitCounter], row)
        except ValueError as error:
            raise ImportRefused(
                f'row {place}: {error}; up to {AT_ONCE} rows before it were not imported either: fix it, and import '
                f'the whole file again'
            ) from error
    return imported


def _import_row(counter: HitCounter, row: Row) -> bool:
    """Import a call, and return whether it is new. Raises ValueError if it does not fit those of its line."""
    line, hit = row
    last = counter.count(line)
    if hit.number > 1 and not last:
        raise ValueError(
            f'line {line!r} would begin with call {hit.number}: if the calls before it were forgotten, '
            f'export with --forgotten, or move the whole database by a backup'
        )
    if 1 <= hit.number <= last:
        known = next(counter.since(line, hit.number), hit)
        if known.number == hit.number and not _is_same(known, hit):  # else it is forgotten
            raise ValueError(f'the database has another call {hit.number} of line {line!r}')
        return False
    counter.import_hit(line, hit)
    return True


def _is_same(known: Hit, other: Hit) -> bool:
    """Whether both are the same call, if `known` still says who called.

    If one does not say whether the caller was withheld, that is left out.
    """
    if known.caller == ERASED:
        return known[:2] == other[:2]
    if known.caller.withheld is None or other.caller.withheld is None:
        return known[:2] == other[:2] and known.caller[:3] == other.caller[:3]
    return known == other


def _read(file: BinaryIO, form: Format) -> Iterator[tuple[int, Row]]:
    """Each row, with the number of the text line at which it begins."""
    rows = iter(lambda: file.readline(LONGEST), b'')
    fields = _heading(next(rows, b''), form) if form.header else FIELDS
    pieces: list[bytes] = []
    size = quotes = 0
    for place, text in enumerate(rows, 2 if form.header else 1):
        begin = place - len(pieces)
        pieces.append(text)
        size += len(text)
        quotes += text.count(b'"')
        if size >= LONGEST:
            raise ImportRefused(f'row {begin} has no end within {LONGEST:,} bytes: fix it')
        if form.is_whole(quotes):
            if text.strip():
                yield begin, _parse(b''.join(pieces), form, fields, begin)
            pieces.clear()
            size = quotes = 0
    if pieces:
        raise ImportRefused(f'row {begin} has no end: fix it')


def _heading(given: bytes, form: Format) -> Sequence[str]:
    """The fields that the first text line names."""
    for fields in (FIELDS, EARLIER):
        if given.removeprefix(b'\xef\xbb\xbf').rstrip() == form.heading(fields).encode().rstrip():
            return fields
    raise ImportRefused(f'row 1 is {given[:80]!r}: it must be {form.header.rstrip()!r}')


def _parse(text: bytes, form: Format, fields: Sequence[str], place: int) -> Row:
    try:
        row = form.read(text.decode('utf-8', 'surrogateescape').rstrip('\r\n'), fields)
    except (ValueError, RecursionError) as error:
        raise ImportRefused(f'row {place} is not a call ({error}): fix it') from error
    return row


def _row(line: Any, number: Any, time: Any, caller_id: Any, name: Any, unique_id: Any, withheld: Any = None) -> Row:
    """The call that has these fields. Raises ValueError if none can have them."""
    for text in (line, time, unique_id, caller_id or '', name or ''):
        if not isinstance(text, str):
            raise ValueError(f'{text!r} is not a text')
        text.encode('utf-8', 'surrogateescape')
    if type(number) is not int:
        raise ValueError(f'{number!r} is not the number of a call')
    if withheld not in (True, False, None) or type(withheld) is int:
        raise ValueError(f'{withheld!r} does not say whether the caller was withheld')
    return Row(line, Hit(number, parse_time(time), Caller(caller_id, name, unique_id, withheld)))


# JSON lines, all ASCII: JSON has no other way to write a byte that is not UTF-8.


def _to_json(row: Mapping[str, object]) -> str:
    return json.dumps(row, allow_nan=False) + '\n'


def _from_json(text: str, _: Sequence[str]) -> Row:
    value = json.loads(text)
    if not isinstance(value, dict) or set(value) not in (set(FIELDS), set(EARLIER)):
        raise ValueError(f'it must be an object with {", ".join(FIELDS)}')
    return _row(**value)


# CSV. Texts are in quotes, even empty ones; an empty field is what Asterisk did not know.


def _csv_heading(fields: Sequence[str]) -> str:
    return ','.join(field if _PLAIN(field) else _spelled(field) for field in fields) + '\n'


def _to_csv(row: Mapping[str, object]) -> str:
    return ','.join(map(_spelled, row.values())) + '\n'


def _spelled(value: object) -> str:
    if value is None:
        return ''
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, int | float | Moment):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    raise TypeError(f'{type(value).__name__} is not a text, a number, a boolean or None')


def _from_csv(text: str, fields: Sequence[str]) -> Row:
    line, number, time, caller_id, name, unique_id, *more = _split(text, len(fields))
    is_number = number is not None and number.isascii() and number.isdecimal()
    withheld = [_BOOLEANS.get(said, said) if said is not None else None for said in more]
    return _row(line, int(number or '') if is_number else number, time, caller_id, name, unique_id, *withheld)


def _split(text: str, count: int) -> list[str | None]:
    fields: list[str | None] = []
    end = -1
    while end < len(text):
        found = _FIELD.match(text, end + 1)
        assert found  # it also matches nothing
        quoted, plain = found.groups()
        fields.append(plain or None if quoted is None else quoted.replace('""', '"'))
        end = found.end()
        if text[end : end + 1] not in ('', ','):
            raise ValueError(f'a comma is missing at character {end + 1}')
    if len(fields) != count:
        raise ValueError(f'it has {count_of(len(fields), "field")}, not {count}')
    return fields


FORMATS = {
    'csv': Format(_csv_heading, _to_csv, _from_csv, lambda quotes: quotes % 2 == 0),
    'jsonl': Format(lambda _: '', _to_json, _from_json, lambda _: True),
}
