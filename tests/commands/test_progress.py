"""The progress of a long task."""

import sys

import pytest

from hitcounter.commands import progress
from hitcounter.commands.progress import Progress


def test_without_a_terminal_a_line_comes_only_after_many(capsys: pytest.CaptureFixture[str]) -> None:
    calls = Progress('call', 'read')
    for count in range(0, 250_001, 50_000):
        calls.reach(count)
    calls.finish()
    assert capsys.readouterr().err.splitlines() == ['100,000 calls read', '200,000 calls read', '250,000 calls read']


def test_on_a_terminal_one_line_counts_up(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
    monkeypatch.setattr(progress, '_PAUSE', -1.0)
    calls = Progress('call', 'read')
    calls.reach(5)
    calls.reach(1005)
    calls.finish()
    assert capsys.readouterr().err == '\r5 calls read\r1,005 calls read\r1,005 calls read\n'
