"""Rounds that are over: what is forgotten of them, what is exported, and what a check finds wrong with them."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from hitcounter.hits import Caller, HitCounter
from hitcounter.lines.calling import Desk, Visit
from hitcounter.lines.component import Lines
from hitcounter.lines.outcome import Result
from hitcounter.lines.round import Entrant
from hitcounter.lines.rule_language import parse_win
from hitcounter.lines.rules import Rules, canonical
from hitcounter.state import Components, Database, State, WriteConnection, open_database
from hitcounter.state.forgetting import MOST, forget
from hitcounter.state.upkeep.verification import findings
from tests.support.servers import Run

OPENED, CLOSES = 1_800_000_000.0, 1_800_000_600.0
FINAL = CLOSES + 30


def open_round(
    state: State,
    line: str = 'contest',
    win: str = 'every 2',
    opens: float = OPENED,
    key: bytes = b'k' * 32,
    **more: Any,
) -> None:
    rules = Rules(win=parse_win(win), opens=opens, closes=opens + 600, **more)
    state[Lines].open_round(line, canonical(rules), opens, 'anna', key)


def number(index: int) -> str:
    return f'+4989{index:07}'


def call(state: State, index: int, arrived: float, line: str = 'contest') -> Result:
    return Desk(state).decide(Visit(line, Caller(number(index), None, '17.1'), arrived)).result


def stored(state: State, ask: Any) -> Any:
    """What `ask` returns for the component itself."""
    return state.query(lambda parts: ask(parts[Lines]))


def enter_many(components: Components, first: int, count: int) -> None:
    for index in range(first, first + count):
        entrant = Entrant(Caller(None, None, '17.1'), OPENED + index / 1000, number(index))
        components[Lines].enter(components[HitCounter], 'contest', 1, entrant)


# Forgetting.


def test_a_hundred_thousand_entries_are_forgotten_in_short_updates(state: State, database: Database) -> None:
    entries = 100_000
    open_round(state, limit=1, cooldown=1.0, forget_numbers=True)
    for first in range(0, entries, 2000):
        state.update(enter_many, first, 2000)
    state[Lines].finish_due(FINAL)
    wins = [(win.number, win.terms) for win in state[Lines].wins('contest', 1)]

    with state.subscribe() as updates:
        assert forget(state, Lines, FINAL) == entries + entries / 2  # who won is remembered apart
    counts = [update.result for update in updates]

    assert max(counts) == MOST
    assert len(counts) <= 1.5 * entries / MOST + 10
    assert state[Lines].entries('contest', 1) == []
    assert [(win.number, win.terms) for win in state[Lines].wins('contest', 1)] == wins
    assert len(wins) == entries / 2
    assert {win.identity for win in state[Lines].wins('contest', 1)} == {None}
    assert stored(state, lambda lines: lines._lines['contest'].rounds[1].key) == b''
    assert stored(state, lambda lines: len(lines._lines['contest'].rounds[1].callers)) == 0
    assert stored(state, lambda lines: [*lines._winners]) == []
    (view,) = state[Lines].rounds('contest')
    assert (view.entries, view.won, view.is_final) == (entries, entries / 2, True)
    assert [*findings(database)] == []
    assert forget(state, Lines, FINAL) == 0


@pytest.mark.parametrize(('before', 'forgotten'), [(CLOSES, 0), (CLOSES + 1e-3, 4)])
def test_only_rounds_that_ended_before_that_time_are_forgotten(state: State, before: float, forgotten: int) -> None:
    open_round(state, 'contest', 'at 9')
    open_round(state, 'later', 'at 9', CLOSES)
    for line, arrived in (('contest', OPENED), ('later', CLOSES)):
        for index in range(4):
            call(state, index, arrived, line)
    state[Lines].finish_due(CLOSES + 630)
    assert forget(state, Lines, before) == forgotten
    assert len(state[Lines].entries('later', 1)) == 4


def test_a_round_that_is_not_final_keeps_its_entries(state: State) -> None:
    open_round(state, win='at 9')
    call(state, 1, OPENED)
    assert forget(state, Lines, CLOSES + 1000) == 0
    assert len(state[Lines].entries('contest', 1)) == 1


@pytest.mark.parametrize('forget_numbers', [False, True])
def test_a_winner_is_barred_as_long_as_the_rules_say_and_then_forgotten_with_the_key(
    state: State, forget_numbers: bool
) -> None:
    cooldown = 10_000.0
    rules = {'cooldown': cooldown, 'winners_of': 'wxyz', 'forget_numbers': forget_numbers}
    open_round(state, 'contest', 'at 1', **rules)
    assert call(state, 1, OPENED) is Result.WON
    state[Lines].finish_due(FINAL)
    forget(state, Lines, OPENED + cooldown)  # which is after the round

    open_round(state, 'other', 'every 1', OPENED + 9500, key=b'another' * 5, **rules)
    assert call(state, 1, OPENED + cooldown - 1e-3, 'other') is Result.BARRED
    state[Lines].finish_due(OPENED + 20_000)
    assert stored(state, lambda lines: dict(lines._keys.items())) == ({'wxyz': b'k' * 32} if forget_numbers else {})

    forget(state, Lines, OPENED + 20_000)
    assert stored(state, lambda lines: [*lines._winners, *lines._keys]) == []
    keys = stored(state, lambda lines: [one.key for book in lines._lines.values() for one in book.rounds.values()])
    assert set(keys) <= {b''} or not forget_numbers


def test_the_key_of_a_group_stays_while_a_round_uses_it(state: State) -> None:
    open_round(state, 'contest', 'at 1', cooldown=1.0, forget_numbers=True)
    call(state, 1, OPENED)
    assert forget(state, Lines, OPENED + 100) == 1  # the winner
    assert stored(state, lambda lines: [*lines._keys]) == ['contest']
    call(state, 1, OPENED + 200)
    (first, second) = state[Lines].entries('contest', 1)
    assert first.identity == second.identity


# Export.


@pytest.mark.parametrize('form', ['csv', 'jsonl'])
def test_entries_and_wins_are_exported(storage: str, run: Run, form: str) -> None:
    with open_database(storage, share=True) as database, State(database, [HitCounter, Lines]) as state:
        open_round(state, win='at 2')
        for index in range(3):
            call(state, index, OPENED + index)
    done = run('main', 'export', '--component', 'lines', '--format', form, '--storage', storage, '-')
    assert done.returncode == 0, done.stderr
    if form == 'csv':
        rows = [*csv.DictReader(io.StringIO(done.stdout))]
        assert [row['won'] for row in rows] == ['', 'at 2', '']
        assert [row['identity'] for row in rows] == [number(index) for index in range(3)]
        assert [row['arrived'][:19] for row in rows] == [f'2027-01-15T08:00:0{second}' for second in range(3)]
        assert {row['line'] for row in rows} == {'contest'}
    else:
        assert len(done.stdout.splitlines()) == 3
        assert '"won": "at 2"' in done.stdout


# Checks.


def remove_win(one: Any) -> None:
    del one.wins[2]


def add_win(one: Any) -> None:
    one.wins[99] = (OPENED, None, 'at 99')


def forget_last_piece(one: Any) -> None:
    one.entries._pieces.clear()


def put_rules(one: Any) -> None:
    one.rules = one.rules.replace('every', 'ever')


def put_entry_late(one: Any) -> None:
    one.entries.replace(4, (CLOSES + 5, 4, None, True))


def swap_entries(one: Any) -> None:
    one.entries.replace(2, (OPENED - 5, 2, None, True))


@pytest.mark.parametrize(
    ('damage', 'sentence'),
    [
        (remove_win, '1 entries won, but 2 were decided'),
        (add_win, 'entry 99 won, but there are only 4'),
        (forget_last_piece, 'missing'),
        (put_rules, 'is not the canonical text of rules'),
        (put_entry_late, 'entry 4 arrived after the close'),
        (swap_entries, 'entry 2 arrived before entry 1'),
    ],
)
def test_what_is_wrong_with_a_round_is_found(state: State, database: Database, damage: Any, sentence: str) -> None:
    open_round(state)
    for index in range(4):
        call(state, index, OPENED + index)
    assert [*findings(database)] == []
    with WriteConnection(database.db) as session:
        damage(session.root['lines']._lines['contest'].rounds[1])
        session.commit()
    found = [str(finding) for finding in findings(database)]
    assert any(sentence in one for one in found), found
    assert all('contest' in one for one in found), found


# Databases that move.


def test_a_round_goes_on_after_it_was_copied(state: State, database: Database, storage: str, run: Run) -> None:
    with open_database(storage, share=True) as source, State(source, [HitCounter, Lines]) as first:
        open_round(first, win='at 2', limit=1)
        call(first, 1, OPENED)
    copied = storage.replace('hits.fs', 'copy.fs')
    done = run('main', 'copy', storage, copied)
    assert done.returncode == 0, done.stderr
    with open_database(copied, share=True) as there, State(there, [HitCounter, Lines]) as second:
        assert call(second, 1, OPENED + 1) is Result.REPEAT
        assert call(second, 2, OPENED + 2) is Result.WON


def test_a_round_goes_on_from_its_backup(storage: str, run: Run) -> None:
    with open_database(storage, share=True) as source, State(source, [HitCounter, Lines]) as state:
        open_round(state, win='at 2', limit=1)
        call(state, 1, OPENED)
    assert run('main', 'backup', 'backups', '--storage', storage).returncode == 0
    with open_database(storage, share=True) as source, State(source, [HitCounter, Lines]) as state:
        assert call(state, 2, OPENED + 1) is Result.WON
    path = Path(storage.removeprefix('file://'))
    path.rename(path.with_name('lost.fs'))
    restored = run('main', 'restore', 'backups', '--storage', storage)
    assert restored.returncode == 0, restored.stderr
    with open_database(storage, share=True) as source, State(source, [HitCounter, Lines]) as state:
        assert [view.won for view in state[Lines].rounds('contest')] == [0]
        assert call(state, 1, OPENED + 2) is Result.REPEAT
        assert call(state, 3, OPENED + 3) is Result.WON
