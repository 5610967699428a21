"""The ledger of a fault: a line for each time that it happened, and one for all of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tests.support.cluster.judge import Verdict

#: What a test's last line is a row of.
HEAD = (
    f'{"fault":46} {"times":>5} {"acknowledged":>12} {"stored":>6} {"apologies":>9} {"unknown":>7} {"unheard":>7} '
    f'{"longest wait":>12} {"silence":>8}  first number after it: of any server (median, most), of each (median, most)'
)

#: What a test's notes are below.
NOTES = 'besides'


class Ledger:
    """What came of one fault, each time that it was made to happen."""

    def __init__(self, fault: str, record: Callable[[str, object], None]) -> None:
        self._fault = fault
        self._record = record
        self._verdicts: list[Verdict] = []
        self._firsts: list[dict[str, float]] = []

    def add(self, verdict: Verdict, moment: float | None = None) -> None:
        """Write down a verdict, and how long after `moment` the servers first said a number."""
        first = verdict.first_numbers(moment) if moment is not None else {}
        self._verdicts.append(verdict)
        self._firsts.append(first)
        line = (
            f'{self._fault} {len(self._verdicts)}: {verdict.acknowledged} acknowledged, {len(verdict.stored)} stored, '
            f'{verdict.apologies} apologies, {verdict.unknown} unknown, {verdict.lost} unheard, longest wait '
            f'{verdict.longest:.2f} s, longest silence {verdict.silence:.2f} s'
            + ''.join(f', {server} after {after:.2f} s' for server, after in first.items())
        )
        problems = '\n'.join(verdict.problems)
        print(line, problems, sep='\n' if problems else '', flush=True)  # noqa: T201 -- shown with -s, or of a failure
        if file := os.environ.get('HITCOUNTER_LEDGER'):
            with Path(file).open('a') as ledger:
                ledger.write(f'{line}\n{problems}\n' if problems else f'{line}\n')
        assert not problems, f'{line}\n{problems}'

    def note(self, what: str) -> None:
        """Give a line of its own to the summary of the tests."""
        self._record(NOTES, f'{self._fault}: {what}')

    def close(self) -> None:
        """Give the last line to the summary of the tests."""
        verdicts = self._verdicts
        total = [sum(of(verdict) for verdict in verdicts) for of in _COLUMNS]
        row = f'{self._fault:46} {len(verdicts):5} ' + ' '.join(
            f'{value:{width}}' for value, width in zip(total, (12, 6, 9, 7, 7), strict=True)
        )
        longest = max((verdict.longest for verdict in verdicts), default=0.0)
        silence = max((verdict.silence for verdict in verdicts), default=0.0)
        any_server = [min(first.values()) for first in self._firsts if first]
        each = [after for first in self._firsts for after in first.values()]
        self._record(HEAD, f'{row} {longest:10.2f} s {silence:6.2f} s  {_spread(any_server)}, {_spread(each)}')


_COLUMNS: tuple[Callable[[Verdict], int], ...] = (
    lambda verdict: verdict.acknowledged,
    lambda verdict: len(verdict.stored),
    lambda verdict: verdict.apologies,
    lambda verdict: verdict.unknown,
    lambda verdict: verdict.lost,
)


def _spread(seconds: list[float]) -> str:
    return f'{median(seconds):.2f} {max(seconds):.2f} s' if seconds else '-'
