"""Counts as text."""

from hitcounter.counts import count_of


def test_one_has_no_s_and_thousands_have_commas() -> None:
    assert [count_of(count, 'call') for count in (0, 1, 2, 2000)] == ['0 calls', '1 call', '2 calls', '2,000 calls']
