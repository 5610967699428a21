"""Damage of each single byte of the last transactions; the plain tests take a sample of them."""

from pathlib import Path

import pytest

from tests.support.damage import COMMITS, IntactFile, fill, holds, indexed_or_not, intact, is_refused


@pytest.fixture
def database(tmp_path: Path) -> IntactFile:
    path = tmp_path / 'hits.fs'
    fill(path, COMMITS)
    return intact(path)


@indexed_or_not
def test_a_file_cut_at_any_byte_of_what_was_acknowledged_is_refused(database: IntactFile, indexed: bool) -> None:
    for cut in database.tail:
        database.put(database.whole[:cut], indexed=indexed)
        assert is_refused(database.path), cut


@indexed_or_not
def test_a_transaction_that_nobody_was_told_of_is_cut_off_wherever_it_ends(tmp_path: Path, indexed: bool) -> None:
    path = tmp_path / 'hits.fs'
    fill(path, COMMITS)
    told = intact(path)
    fill(path, 1)
    longer = path.read_bytes()

    for cut in range(len(told.whole), len(longer)):
        told.put(longer[:cut], indexed=indexed)
        assert holds(path, told.content), cut
        assert path.read_bytes() == told.whole


@indexed_or_not
def test_no_changed_byte_makes_the_file_shorter(database: IntactFile, indexed: bool) -> None:
    for position in database.tail:
        damaged = bytearray(database.whole)
        damaged[position] ^= 0x01
        database.put(bytes(damaged), indexed=indexed)
        if not is_refused(database.path):
            assert database.path.read_bytes() == damaged, position
