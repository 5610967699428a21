"""Counts as text."""


def count_of(count: int, noun: str) -> str:
    """`count` and `noun`, which gets an s unless it is one: '1 call', '2,000 calls'."""
    return f'{count:,} {noun}' if count == 1 else f'{count:,} {noun}s'
