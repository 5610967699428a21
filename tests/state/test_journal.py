"""Journals and tallies."""

from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitcounter.state import Journal, Tally, WritingSession, open_database
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
    with closing(open_database('memory:')) as database, closing(WritingSession(database.db)) as session:
        session.root['journal'] = journal = Journal()
        session.commit()
        for _ in range(3 * PIECE):
            journal.append(('x' * 100,))
            session.commit()
        sizes = [len(database.db.storage.load(oid)[0]) for oid in oids(database.db)]
        assert max(sizes) < PIECE * 130
        assert len(sizes) == 2 + 1 + 3  # the root, the journal, its index, its pieces


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
