"""A round: one running of a contest or vote on a line, with all its entries and wins."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from BTrees.Length import Length
from BTrees.LOBTree import LOBTree
from BTrees.OOBTree import OOBTree
from persistent import Persistent

from ..errors import RulesRefused
from ..hits import Caller, HitCounter
from ..state import Journal
from . import rules as deciding
from .identity import SameCaller, keyed
from .outcome import Outcome, Result
from .plan import Slot
from .report import FINAL, PROVISIONAL
from .rule_language import term_text
from .rules import Progress, Rules
from .terms import Last, Term

#: Entries that one update erases, which takes 13 ms: each may be in an object of its own.
_AT_ONCE = 200


class Entrant(NamedTuple):
    """Who calls, as far as the rules want to know it."""

    caller: Caller
    #: When the call arrived, in seconds since 1970, UTC.
    arrived: float
    #: The caller in one normal form, or its hash; None if the number is withheld.
    identity: str | None = None


class Win(NamedTuple):
    """An entry that won."""

    #: The entry, by its number in the round.
    number: int
    arrived: float
    #: The caller's identity; None if the number is withheld or forgotten.
    identity: str | None
    #: The terms that it met, as text.
    terms: str


class Entry(NamedTuple):
    """A call that was counted in a round."""

    #: When it arrived, in seconds since 1970, UTC; never before the entry before it.
    arrived: float
    #: Its number on the line, over all rounds.
    line_number: int
    identity: str | None
    #: Whether it could win.
    may_win: bool


class RoundView(NamedTuple):
    """A round as it stands. Times are in seconds since 1970, UTC."""

    line: str
    number: int
    rules: Rules
    #: The SHA-256 of the rules.
    digest: str
    #: When it was opened, and by whom.
    opened: float
    opened_by: str
    #: The window of arrivals, half open; `ends` is None as long as it has no end.
    begins: float
    ends: float | None
    #: Why it ended before its time: 'by hand, by anna' or 'won'; otherwise ''.
    reason: str
    #: Whether the result can no longer change.
    is_final: bool
    entries: int
    #: How many of them won.
    won: int
    #: How many calls had each other result in this round.
    turned_away: Mapping[str, int]
    #: When no server ran during the round: from, until.
    gaps: tuple[tuple[float, float], ...]

    def state_at(self, now: float) -> str:
        """'scheduled', 'open', 'closed' (calls that arrived before the close may still come) or 'final'."""
        if self.is_final:
            return 'final'
        if self.ends is not None and self.ends <= now:  # before it began, if it was called off
            return 'closed'
        return 'scheduled' if now < self.begins else 'open'

    @property
    def result(self) -> str:
        """FINAL, or PROVISIONAL as long as it can change."""
        return FINAL if self.is_final else PROVISIONAL

    @property
    def final_at(self) -> float | None:
        """When the result becomes final, or could have: a server, or "hitcounter round close", makes it so."""
        return None if self.ends is None else self.ends + self.rules.settle


class Round(Persistent):
    """One running of a contest or vote on a line, with rules that cannot change."""

    def __init__(self, number: int, rules: str, opened: float, by: str, key: bytes) -> None:
        self.number = number
        self.rules = rules  # the canonical text
        self.key = key  # of the hashes that are stored in place of numbers; b'' if there are none
        self.opened = opened
        self.opened_by = by
        parsed = deciding.from_canonical(rules)
        self.begins = opened if parsed.opens is None else parsed.opens
        self.ends = parsed.closes
        self.reason = ''
        self.is_final = False
        self._progress: tuple[Any, ...] = tuple(Progress())  # of the fields of Progress, each of its own type
        self.gaps: tuple[tuple[float, float], ...] = ()
        self.entries = Journal()  # of Entry
        self.wins = LOBTree()  # number of the entry: (arrival, identity, terms), in the order of Win
        self.callers = OOBTree()  # identity: calls, or (calls, arrivals that were counted) if the window slides
        self.turned_away = OOBTree()  # result: how many calls, a Length

    def enter(self, counter: HitCounter, line: str, rules: Rules, entrant: Entrant, barred: bool) -> Outcome:
        """Decide about one call that arrived in time."""
        arrived = max(entrant.arrived, self.last_arrival())  # it never goes back
        result, calls = self._admit(rules, entrant.identity, arrived, barred=barred)
        if result is not Result.COUNTED:
            self._note(result)
            if not rules.count_all or self._is_full(rules):
                return Outcome(result, caller_calls=calls, round=self.number, closes=self.ends)
        may_win = result is Result.COUNTED and (entrant.identity is not None or rules.withheld == 'count')
        line_number = counter.hit(line, entrant.caller)
        number = self.entries.append((arrived, line_number, entrant.identity, may_win))
        before = self.progress
        met, progress = deciding.decide(rules, before, number, arrived, may_win)
        if progress is not before:
            self._progress = tuple(progress)
        return Outcome(
            Result.WON if met else result,
            number,
            deciding.to_go(rules, progress, number),
            self._win(number, arrived, entrant.identity, met) if met else '',
            calls,
            self.number,
            closes=self.ends,
            line_number=line_number,
        )

    def _admit(self, rules: Rules, identity: str | None, arrived: float, *, barred: bool) -> tuple[Result, int | None]:
        """Whether the call is counted, and how many this caller has made, if the rules limit them."""
        if identity is None and rules.withheld == 'refuse':
            return Result.WITHHELD, None
        if barred:
            return Result.BARRED, None
        if self._is_full(rules):
            return Result.FULL, None
        if identity is None or rules.limit is None:  # then no caller is noted, which would cost more than all else
            return Result.COUNTED, None
        calls, is_repeat = self._visit(identity, arrived, rules.limit, rules.window)
        return (Result.REPEAT if is_repeat else Result.COUNTED), calls

    def _is_full(self, rules: Rules) -> bool:
        return rules.most_calls is not None and len(self.entries) >= rules.most_calls

    def _visit(self, identity: str, arrived: float, limit: int, window: float | None) -> tuple[int, bool]:
        """Note a call of this caller; returns how many there were with this one, and whether it is one too many."""
        known = self.callers.get(identity)
        if window is None:
            calls = 1 if known is None else known + 1
            self.callers[identity] = calls
            return calls, calls > limit
        calls, *counted = known or (0,)
        recent = [moment for moment in counted if arrived - moment < window]
        is_repeat = len(recent) >= limit
        self.callers[identity] = (calls + 1, *recent, *(() if is_repeat else (arrived,)))
        return calls + 1, is_repeat

    def _note(self, result: Result) -> None:
        try:
            self.turned_away[result.value].change(1)
        except KeyError:
            self.turned_away[result.value] = Length(1)

    def _win(self, number: int, arrived: float, identity: str | None, met: tuple[Term, ...]) -> str:
        """Add a win, or terms to a win; returns the terms as text."""
        _, _, before = self.wins.get(number, (0, None, ''))
        zone = deciding.from_canonical(self.rules).zone
        terms = ' and '.join([*filter(None, [before]), *(term_text(term, zone) for term in met)])
        self.wins[number] = (arrived, identity, terms)
        return terms

    def close(self, ends: float, reason: str) -> None:
        """Take no call that arrived then or later; those are in that were stored before."""
        self.entries.end()  # or a call that arrived later could be, in the transaction of another process
        self.ends = ends
        self.reason = reason

    def finish(self) -> tuple[Win, ...]:
        """Decide what only the end decides; after that the result does not change. Returns the wins that this added."""
        rules, progress = deciding.from_canonical(self.rules), self.progress
        self.is_final = True
        self.entries.end()  # or one could become the last in the transaction of another process
        has_last = any(isinstance(term, Last) for term in rules.win)  # or all entries might be read, for nothing
        last = next(self._who_may_win(), None) if has_last else None
        if last is None:
            return ()
        number, entry = last
        met, progress = deciding.decide_last(rules, progress, has_won=number in self.wins)
        if not met:
            return ()
        self._progress = tuple(progress)
        self._win(number, entry.arrived, entry.identity, met)
        return (self.win(number),)

    def _who_may_win(self) -> Iterator[tuple[int, Entry]]:
        """The entries that may win, the last one first."""
        for number in range(len(self.entries), self.entries.first - 1, -1):
            entry = self.entry(number)
            if entry.may_win:
                yield number, entry

    @property
    def progress(self) -> Progress:
        """What it remembers of its wins."""
        return Progress(*self._progress)

    def entry(self, number: int) -> Entry:
        """That entry. Raises KeyError if there is none, or it is forgotten."""
        return _entry_of(self.entries[number])

    def entries_on_record(self) -> Iterator[tuple[int, Entry]]:
        """The entries that are not forgotten, each with its number."""
        for number, record in self.entries.since(1):
            yield number, _entry_of(record)

    def win(self, number: int) -> Win:
        """The win of that entry. Raises KeyError if it did not win."""
        return Win(number, *self.wins[number])

    @property
    def slot(self) -> Slot:
        """What a script needs to know of it."""
        return Slot(self.number, deciding.from_canonical(self.rules), self.begins, self.ends, self.key)

    def all_wins(self) -> list[Win]:
        """The wins, in the order of their entries."""
        return list(map(self.win, self.wins))

    def is_due(self, now: float) -> bool:
        """Whether its result is to be final."""
        settle = deciding.from_canonical(self.rules).settle
        return not self.is_final and self.ends is not None and now >= self.ends + settle

    def view(self, line: str) -> RoundView:
        rules = deciding.from_canonical(self.rules)
        return RoundView(
            line,
            self.number,
            rules,
            deciding.digest(rules),
            self.opened,
            self.opened_by,
            self.begins,
            self.ends,
            self.reason,
            self.is_final,
            len(self.entries),
            self.progress.winners,  # counting the wins would load them all
            {result: length() for result, length in self.turned_away.items()},
            self.gaps,
        )

    def last_arrival(self) -> float:
        """When the last entry on record arrived, in seconds since 1970, UTC; 0 if there is none."""
        last = self.entries.last
        return _entry_of(last).arrived if last else 0.0

    def is_overdue(self, before: float) -> bool:
        """Whether it ended before that time, and something about its callers is on record."""
        ended = self.is_final and self.ends is not None and self.ends < before
        return ended and (len(self.entries) >= self.entries.first or bool(self.callers) or bool(self.key))

    def forget(self, most: int) -> int:
        """Forget the first entries on record, at most `most`, and their winners; with the last, who called.

        Returns how many.
        """
        first, last = self.entries.first, len(self.entries)
        upto = min(first + most, last + 1)
        self.entries.forget(upto)
        for number, (arrived, _, terms) in list(self.wins.items(first, upto, excludemax=True)):
            self.wins[number] = (arrived, None, terms)
        if upto > last:
            self.callers = OOBTree()
            self.key = b''
        return max(upto - first, 0)

    def identities(self, caller: SameCaller) -> frozenset[str]:
        """The identities that calls of that caller may have in this round."""
        rules = deciding.from_canonical(self.rules)
        forms = caller.forms(rules.country)
        if not rules.forget_numbers:
            return forms
        return frozenset(keyed(self.key, form) for form in forms) if self.key else frozenset()

    def about(self, identities: frozenset[str]) -> Iterator[tuple[int, ...] | None]:
        """The entries and wins of these identities, by their numbers, so many at a time; () if they only called."""
        found = [
            number for number, (_, identity, _) in self.wins.items(max=self.entries.first - 1) if identity in identities
        ]
        some = bool(found) or any(identity in self.callers for identity in identities)
        for number, entry in self.entries_on_record():
            yield None
            if entry.identity in identities:
                found.append(number)
            if len(found) >= _AT_ONCE:
                yield tuple(found)
                found.clear()
        if found or some:
            yield tuple(found)

    def erase(self, identities: frozenset[str], numbers: Iterable[int]) -> int:
        """Remove these identities from the index, and from the entries and wins `numbers`, which stay.

        Returns how many records changed: an identity in the index is one, and so is an entry.
        """
        erased = sum(self.callers.pop(identity, None) is not None for identity in identities)
        for number in numbers:
            if number >= self.entries.first and self.entry(number).identity in identities:
                self.entries.replace(number, tuple(self.entry(number)._replace(identity=None)))
                erased += 1
            if number in self.wins:
                arrived, _, terms = self.wins[number]
                self.wins[number] = (arrived, None, terms)
        return erased

    def check(self) -> Iterator[str]:
        """What is wrong with it, each in a sentence."""
        try:
            deciding.from_canonical(self.rules)
        except RulesRefused as error:
            yield str(error)
        missing = [*self.entries.check()]
        yield from missing or self._check_arrivals()
        for number in self.wins:
            if not 1 <= number <= len(self.entries):
                yield f'entry {number} won, but there are only {len(self.entries)}'
        if len(self.wins) != self.progress.winners:
            yield f'{len(self.wins)} entries won, but {self.progress.winners} were decided'

    def _check_arrivals(self) -> Iterator[str]:
        before, arrived = 0, 0.0
        for number, entry in self.entries_on_record():
            if entry.arrived < arrived:
                yield f'entry {number} arrived before entry {before}'
            before, arrived = number, entry.arrived
        if self.ends is not None and arrived > self.ends:
            yield f'entry {before} arrived after the close'


def _entry_of(record: Any) -> Entry:  # a journal has records of any values
    return Entry(*record)
