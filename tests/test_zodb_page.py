"""The table of docs/zodb.md says what ZODB does, as measured here with 10,000 entries."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transaction
import ZODB
from BTrees.IOBTree import IOBTree
from BTrees.Length import Length
from BTrees.LOBTree import LOBTree
from BTrees.OOBTree import OOBTree
from persistent import Persistent
from persistent.list import PersistentList
from persistent.mapping import PersistentMapping
from ZODB.FileStorage import FileStorage
from ZODB.POSException import ConflictError

from hitcounter.state import Journal, Tally
from tests.support.places import TREE

ENTRIES = 10_000

ROWS = re.findall(
    r'^\| `?([\w ]+)`? \| [^|]+ \| ([\d,]+) bytes \| ([\w ]+) \|$', (TREE / 'docs/zodb.md').read_text(), re.M
)

Change = Callable[[Any, int], object]


class Setting(Persistent):
    """One attribute."""

    value = 0


def caller(number: int) -> str:
    return f'+4930{number:07}'


def journal() -> Journal:
    made = Journal()
    for number in range(ENTRIES):
        made.append((float(number), caller(number)))
    return made


def tally() -> Tally:
    made = Tally()
    for number in range(ENTRIES):
        made.add(number)
    return made


def put(mapping: Any, number: int) -> None:
    mapping[number] = 'x' * 12


def put_caller(mapping: Any, number: int) -> None:
    mapping[caller(number)] = -1


#: How to make each type, and how to change the entry of a number.
TYPES: dict[str, tuple[Callable[[], object], Change]] = {
    'plain attribute': (Setting, lambda setting, number: setattr(setting, 'value', setting.value + number)),
    'PersistentMapping': (lambda: PersistentMapping({caller(n): n for n in range(ENTRIES)}), put_caller),
    'PersistentList': (lambda: PersistentList(range(ENTRIES)), lambda many, number: many.append(number)),
    'OOBTree': (lambda: OOBTree({caller(n): n for n in range(ENTRIES)}), put_caller),
    'IOBTree': (lambda: IOBTree({n: caller(n) for n in range(ENTRIES)}), put),
    'LOBTree': (lambda: LOBTree({n: caller(n) for n in range(ENTRIES)}), put),
    'Length': (Length, lambda total, number: total.change(1)),
    'Tally': (tally, lambda totals, number: totals.add(number)),
    'Journal': (journal, lambda records, number: records.append((1.0, caller(number)))),
}


@pytest.fixture
def storage(tmp_path: Path) -> FileStorage:
    return FileStorage(str(tmp_path / 'types.fs'))


@pytest.fixture(params=TYPES)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_the_table_has_a_row_for_each_type() -> None:
    assert {name for name, _, _ in ROWS} == set(TYPES)


def test_a_change_writes_as_many_bytes_as_the_table_says(storage: FileStorage, kind: str) -> None:
    (said,) = (int(written.replace(',', '')) for name, written, _ in ROWS if name == kind)
    make, change = TYPES[kind]
    db = ZODB.DB(storage)
    with db.transaction() as connection:
        connection.root()['one'] = make()
    before = storage.getSize()
    for number in range(20):
        with db.transaction() as connection:
            change(connection.root()['one'], ENTRIES // 2 + number)
    assert (storage.getSize() - before) / 20 == pytest.approx(said, rel=0.2)
    db.close()


def conflicts(db: ZODB.DB, change: Change, first: int, second: int) -> bool:
    """Whether two transactions that begin together, and change the entries of these numbers, conflict."""
    managers = [transaction.TransactionManager(explicit=True) for _ in range(2)]
    for manager in managers:
        manager.begin()
    connections = [db.open(manager) for manager in managers]
    for connection, number in zip(connections, (first, second), strict=True):
        change(connection.root()['one'], number)
    managers[0].commit()
    try:
        managers[1].commit()
    except ConflictError:
        managers[1].abort()
        return True
    finally:
        for connection in connections:
            connection.close()
    return False


def test_two_processes_conflict_or_are_merged_as_the_table_says(storage: FileStorage, kind: str) -> None:
    (said,) = (together for name, _, together in ROWS if name == kind)
    make, change = TYPES[kind]
    db = ZODB.DB(storage)
    with db.transaction() as connection:
        connection.root()['one'] = make()
    one, same, other = 5_000, 5_000, 2_000
    assert conflicts(db, change, one, same) == (said in ('conflict', 'conflict for the same key'))
    assert conflicts(db, change, one, other) == (said == 'conflict')
    db.close()
