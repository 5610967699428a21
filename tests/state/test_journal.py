"""Journals and tallies."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitcounter.state import Journal, Tally, WriteConnection, open_database
from hitcounter.state.journal import PIECE


@given(st.integers(0, 4 * PIECE), st.integers(-1, 5 * PIECE))
def test_a_journal_is_a_sequence_that_begins_with_1(count: int, start: int) -> None:
    journal = Journal()
    assert [journal.append((f'record {number}',)) for number in range(1, count + 1)] == list(range(1, count + 1))
    assert len(journal) == count
    assert list(journal.since(start)) == [(n, (f'record {n}',)) for n in range(max(1, start), count + 1)]
    for number in range(1, count + 1):
        assert journal[number] == (f'record {number}',)
    for number in (-1, 0, count + 1):
        with pytest.raises(KeyError):
            journal[number]


def test_a_journal_keeps_its_records_in_small_objects() -> None:
    with open_database('memory:') as database, WriteConnection(database.db) as session:
        session.root['journal'] = journal = Journal()
        session.commit()
        for _ in range(3 * PIECE):
            journal.append(('x' * 100,))
            session.commit()
        sizes = [len(database.db.storage.load(oid)[0]) for oid in oids(database.db)]
        assert max(sizes) < PIECE * 130
        assert len(sizes) == 2 + 1 + 3  # the root, the journal, its index, its pieces


def test_a_long_record_makes_no_later_append_dear() -> None:
    with open_database('memory:') as database, WriteConnection(database.db) as session:
        session.root['journal'] = journal = Journal()
        journal.append(('x' * 60_000,))
        session.commit()
        assert journal.append(('short',)) == 2
        session.commit()
        assert journal._last._p_oid != journal._pieces[1]._p_oid
        assert len(database.db.storage.load(journal._last._p_oid)[0]) < 200
        assert [number for number, _ in journal.since(1)] == [1, 2]
        assert list(journal.check()) == []
        session.abort()
        session._connection.cacheMinimize()
        journal.append(('short',))  # a piece that was loaded again knows how long it is
        assert len(journal._last) == 2


def oids(db: object) -> list[bytes]:
    return [number.to_bytes(8, 'big') for number in range(100) if has(db, number)]


def has(db: object, number: int) -> bool:
    try:
        db.storage.load(number.to_bytes(8, 'big'))  # type: ignore[attr-defined]
    except KeyError:
        return False
    return True


def test_a_tally_adds_up_and_is_0_where_nothing_was_added() -> None:
    tally = Tally()
    tally.add(3)
    tally.add(1, 5)
    tally.add(3, 2)
    assert (tally[1], tally[2], tally[3]) == (5, 0, 3)
    assert list(tally.items()) == [(1, 5), (3, 3)]


@given(st.integers(0, 4 * PIECE), st.lists(st.integers(-1, 6 * PIECE), max_size=3), st.integers(0, 2 * PIECE))
def test_what_is_forgotten_is_gone_and_the_rest_keeps_its_numbers(count: int, below: list[int], more: int) -> None:
    journal = Journal()
    for number in range(1, count + 1):
        journal.append((number,))
    for number in below:
        journal.forget(number)
    first = min(max([1, *below]), count + 1)
    assert journal.first == first
    assert [journal.append((number,)) for number in range(count + 1, count + more + 1)] == list(
        range(count + 1, count + more + 1)
    )
    assert len(journal) == count + more
    for start in (0, 1, first - 1, first, first + 1):
        assert list(journal.since(start)) == [(n, (n,)) for n in range(max(start, first), count + more + 1)]
    for number in range(1, first):
        with pytest.raises(KeyError, match='is forgotten'):
            journal[number]
    assert [journal[number] for number in range(first, count + more + 1)] == [
        (number,) for number in range(first, count + more + 1)
    ]
    assert list(journal.check()) == []


@given(st.integers(1, 4 * PIECE), st.lists(st.integers(1, 4 * PIECE), max_size=5), st.integers(1, 3 * PIECE))
def test_a_record_that_is_replaced_keeps_its_number_and_the_others_stay(
    count: int, replaced: list[int], below: int
) -> None:
    journal = Journal()
    for number in range(1, count + 1):
        journal.append((number, 'somebody'))
    journal.forget(below)
    for number in replaced:
        if journal.first <= number <= count:
            journal.replace(number, (number, None))
        else:
            with pytest.raises(KeyError):
                journal.replace(number, (number, None))
    first = journal.first
    assert list(journal.since(1)) == [
        (number, (number, None if number in replaced else 'somebody')) for number in range(first, count + 1)
    ]
    assert journal.append((count + 1, 'the next')) == count + 1
    assert list(journal.check()) == []


def test_a_record_is_replaced_on_disk(tmp_path: Path) -> None:
    uri = f'file://{tmp_path}/journal.fs'
    with open_database(uri, share=True) as database, WriteConnection(database.db) as session:
        session.root['journal'] = journal = Journal()
        for number in range(1, 2 * PIECE):
            journal.append((number, 'x' * 100))
        session.commit()
        for number in (1, 2 * PIECE - 1):  # in the first piece and in the last one
            journal.replace(number, ('y',))
        session.commit()
    with open_database(uri, share=True) as database, WriteConnection(database.db) as session:
        journal = session.root['journal']
        assert [journal[number] for number in (1, 2 * PIECE - 1)] == [('y',), ('y',)]
        assert journal._last._size() == (PIECE - 2) * 100 + 1
        journal.append(('z',))
        assert len(journal._pieces) == 2


def test_a_journal_that_lost_a_piece_says_so() -> None:
    journal = Journal()
    for number in range(3 * PIECE):
        journal.append((number,))
    del journal._pieces[PIECE + 1]
    assert list(journal.check()) == [f'record {PIECE + 1} should be where record {2 * PIECE + 1} is']
    del journal._pieces[2 * PIECE + 1]
    assert list(journal.check()) == [f'record {PIECE + 1} is missing, although {3 * PIECE} have been appended']


@pytest.mark.parametrize('record', [5, 'abc', [1, 2], None])
def test_what_is_no_tuple_is_no_record(record: object) -> None:
    journal = Journal()
    with pytest.raises(TypeError, match='is not a record: give a tuple of plain immutable values'):
        journal.append(record)  # type: ignore[arg-type]  # that is the mistake
    assert len(journal) == 0
    journal.append((1,))
    with pytest.raises(TypeError, match='is not a record'):
        journal.replace(1, record)  # type: ignore[arg-type]  # that is the mistake
    assert journal[1] == (1,)
