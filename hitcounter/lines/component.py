"""The component of lines: their settings, their rounds, and how many were turned away when."""

from collections.abc import Iterator
from itertools import islice
from math import inf, nextafter
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from BTrees.LOBTree import LOBTree
from BTrees.OOBTree import OOBTree, OOTreeSet
from persistent import Persistent

from ..errors import ComponentError, RoundRefused, RulesRefused
from ..hits import HitCounter
from ..hits.bounds import check_line
from ..hits.times import format_time
from ..state import Component, Components, State, Tally, query, update
from ..state.storage.periodic import PeriodicTask
from . import rules as deciding
from .clock import AFTER_FAILURE, BEAT, LOOK, Clock
from .identity import SameCaller, keyed
from .outcome import Outcome, Result
from .plan import Plan, Planned
from .round import Entrant, Entry, Round, RoundView, Win
from .settings import DEFAULT, Settings, canonical, from_canonical

#: Seconds in which calls that are turned away are counted together.
MINUTE = 60

#: The clocks of the states that serve.
_clocks: WeakKeyDictionary[State, PeriodicTask] = WeakKeyDictionary()

#: The name in `Lines.tallies` of calls that came after the close of a round; they heard CLOSED.
LATE = 'LATE'

#: Seconds without a sign of life after which a round has a gap: no server ran, and nobody could call.
GAP = 30.0


class Sounds(NamedTuple):
    """What a check of a line's sound files found."""

    #: In seconds since 1970, UTC.
    time: float
    missing: tuple[str, ...]


class LineView(NamedTuple):
    """A line that is declared or has had rounds."""

    settings: Settings
    is_declared: bool
    #: Whether somebody closed it by hand.
    is_closed: bool
    #: What the last check of its sound files found; None if there was none.
    sounds: Sounds | None
    #: Its last round; None if it has had none.
    last: RoundView | None


class _Part(NamedTuple):
    """A part of the records about one caller."""

    #: A line, or a group of winners.
    name: str
    #: A round of the line; None for a group.
    round: int | None = None
    #: Numbers of entries of the round.
    entries: tuple[int, ...] = ()


class Lines(Component):
    """The lines that are declared or have had rounds: their settings, rounds, entries and wins."""

    name = 'lines'
    depends = (HitCounter,)

    def __init__(self) -> None:
        self.version = 0  # counts what changes the plans
        self._lines = OOBTree()
        self._active = OOTreeSet()  # the lines with rounds that are not final
        self._winners = OOBTree()  # group: (identity: when it won last)
        self._keys = OOBTree()  # group: the key of the hashes of its winners
        self._beat = _Beat()

    # Lines.

    @update
    def declare(self, line: str, settings: Settings) -> None:
        """Declare a line, or change its settings. Raises LineRefused for a name that no line can have."""
        if line not in self._lines:
            check_line(line)
        self._book(line).settings = canonical(settings)
        self.version += 1

    @update
    def remove(self, line: str) -> None:
        """Forget the settings of a line, and its rounds; its count stays. Raises RoundRefused while one takes calls."""
        book = self._known(line)
        if book.active:
            raise RoundRefused(
                f'round {book.active[0]} of line {line!r} is not final: close it, and remove the line once it is'
            )
        del self._lines[line]
        self.version += 1

    @update
    def close_line(self, line: str, closed: bool = True) -> None:
        """Turn away all calls of a line, whatever its rounds and hours say, until it is opened again."""
        self._known(line).is_closed = closed
        self.version += 1

    @update
    def sounds_checked(self, line: str, when: float, missing: tuple[str, ...]) -> None:
        """Note which sound files of a line the Asterisk that was asked does not have."""
        self._known(line).sounds = (when, *missing)

    @query
    def view(self, line: str) -> LineView:
        """A line as it stands. Raises RoundRefused for one that is not declared and has had no round."""
        return self._view(line, self._known(line))

    @query
    def views(self) -> dict[str, LineView]:
        """All lines that are declared or have had rounds."""
        return {line: self._view(line, book) for line, book in self._lines.items()}

    @query
    def planned(self, line: str) -> Planned:
        """The plan of one line, and the version that it is of."""
        return Planned(self.version, self.plan(line))

    @query
    def plan(self, line: str) -> Plan | None:
        """What a script needs to know of one line; None if it is not declared and has had no round."""
        book = self._lines.get(line)
        return None if book is None else self._plan(book)

    @query
    def tallies(self, line: str) -> dict[str, dict[int, int]]:
        """How many calls each result turned away, by the second since 1970, UTC, at which a minute began."""
        book = self._lines.get(line)
        return {} if book is None else {result: dict(tally.items()) for result, tally in book.turned_away.items()}

    # Rounds.

    @update
    def open_round(self, line: str, rules: str, now: float, by: str, key: bytes = b'') -> int:
        """Open a round by `rules`, the canonical text; returns its number on the line.

        `key` is the one of its hashes if the rules ask for them: give random bytes. Raises RulesRefused if another
        round of the line takes calls in the same time.
        """
        if line not in self._lines:
            check_line(line)
        book = self._book(line)
        self._finish_due(line, book, now)
        number = book.rounds.maxKey() + 1 if book.rounds else 1
        new = Round(number, rules, now, by, self._key(line, rules, key))
        for other in book.unfinished():
            if _overlap(new, other):
                raise RulesRefused(
                    f'round {other.number} of line {line!r} takes calls in that time as well: close it first, or '
                    f'choose another time'
                )
        book.rounds[number] = new
        book.active = (*book.active, number)
        self._active.add(line)
        self.version += 1
        return number

    @update
    def close_round(self, line: str, now: float, by: str, number: int | None = None) -> RoundView:
        """Close that round; without a number the one that takes calls, or else the next one, before it begins."""
        book = self._known(line)
        ending = [one for one in book.unfinished() if one.ends is None or now < one.ends]
        if number is not None:
            ending = [one for one in ending if one.number == number]
        if not ending:
            raise RoundRefused(f'line {line!r} has no round that takes calls: see "hitcounter round list"')
        closing = min(ending, key=lambda one: one.begins)
        just_after_the_last = nextafter(closing.last_arrival(), inf)  # somebody was stored since `now` was taken
        closing.close(max(now, just_after_the_last), f'by hand, by {by}')
        self.version += 1
        self._finish_due(line, book, now)
        return closing.view(line)

    @update
    def finish_due(self, now: float) -> list[RoundView]:
        """Make the results final of all rounds whose time is over; returns these rounds."""
        return [view for line, book in self._books_with_rounds() for view in self._finish_due(line, book, now)]

    @query
    def rounds(self, line: str) -> list[RoundView]:
        """All rounds of a line, the first one first; none for a line that has had none."""
        book = self._lines.get(line)
        return [] if book is None else [one.view(line) for one in book.rounds.values()]

    @query
    def unfinished(self, known: int = -1) -> tuple[int, list[RoundView]] | None:
        """The rounds of all lines whose results are not final, and the version that they are of.

        None if that is the version `known`: then the same rounds are unfinished, by the same windows.
        """
        if self.version == known:
            return None
        return self.version, [one.view(line) for line, book in self._books_with_rounds() for one in book.unfinished()]

    @query
    def entries(self, line: str, number: int) -> list[Entry]:
        """The entries of a round that are not forgotten, in order."""
        return [entry for _, entry in self._round(line, number).entries_on_record()]

    @query
    def entry(self, line: str, number: int, entry: int) -> Entry:
        """One entry of a round. Raises KeyError if there is none, or it is forgotten."""
        return self._round(line, number).entry(entry)

    @query
    def wins(self, line: str, number: int) -> list[Win]:
        """The wins of a round, in the order of their entries."""
        return self._round(line, number).all_wins()

    # Signs of life.

    @query
    def beaten(self) -> float:
        """When a server last said that it runs, in seconds since 1970, UTC; 0 if none did."""
        return self._beat.time

    @update
    def beat(self, now: float) -> None:
        """Note that a server runs, unless another one just did; see `note_gaps`."""
        if abs(now - self._beat.time) >= BEAT / 2:
            self._beat.time = now

    @update
    def note_gaps(self, now: float) -> list[RoundView]:
        """Note, as a server starts, that none ran since the last beat; returns the rounds that have a gap by that."""
        found = []
        for line, book in self._books_with_rounds():
            for one in book.unfinished():
                since = max(one.begins, self._beat.time, one.last_arrival())
                until = now if one.ends is None else min(now, one.ends)
                if until - since > GAP:
                    one.gaps = (*one.gaps, (since, until))
                    found.append(one.view(line))
        self._beat.time = now
        return found

    # What a call needs: called within an update by `calling`.

    def is_at(self, version: int) -> bool:
        """Whether the plans are of that version; the transaction conflicts with each other one that changes them.

        Otherwise a process could count a call by a plan that another process has just changed.
        """
        if self._p_jar is not None:  # it may be just made
            self._p_jar.readCurrent(self)
        return bool(self.version == version)

    def enter(self, counter: HitCounter, line: str, number: int, entrant: Entrant) -> Outcome:
        """Decide about one call of a round."""
        book = self._lines[line]
        one: Round = book.rounds[number]
        rules = deciding.from_canonical(one.rules)
        outcome = one.enter(counter, line, rules, entrant, self._is_barred(rules, line, entrant))
        if outcome.result is Result.WON:
            self._note_winner(rules, line, entrant.identity, entrant.arrived)
            if rules.close_when_won and deciding.is_won_out(rules, one.progress):
                one.close(one.last_arrival(), 'won')
                self.version += 1
        elif outcome.result is not Result.COUNTED:
            book.turn_away(outcome.result, entrant.arrived)
        return outcome

    def turn_away(self, line: str, outcome: Outcome, arrived: float) -> None:
        """Count a call that no round takes."""
        self._lines[line].turn_away(outcome.result, arrived, is_late=outcome.is_late)

    def _is_barred(self, rules: deciding.Rules, line: str, entrant: Entrant) -> bool:
        if rules.cooldown is None or entrant.identity is None:
            return False
        won = self._winners.get(rules.winners_of or line, {}).get(entrant.identity)
        return won is not None and entrant.arrived - won < rules.cooldown

    def _note_winner(self, rules: deciding.Rules, line: str, identity: str | None, arrived: float) -> None:
        """Remember when a caller won, for the rounds of the group that bar winners."""
        group = rules.winners_of or line
        if identity is None or (rules.cooldown is None and (rules.forget_numbers or group in self._keys)):
            return  # a hash by the key of one round, or a number among hashes, is compared with nothing
        if group not in self._winners:
            self._winners[group] = OOBTree()
        winners = self._winners[group]
        winners[identity] = max(arrived, winners.get(identity, 0.0))  # 'last' is won later than it arrived

    def _key(self, line: str, text: str, key: bytes) -> bytes:
        """The key of a new round's hashes: of its group if winners are barred, who must be recognised in all of it."""
        rules = deciding.from_canonical(text)
        group = rules.winners_of or line
        if not rules.forget_numbers:
            key = b''
        if rules.cooldown is None:
            return key
        if not self._ways_of_storing(group) <= {bool(key)}:
            raise RulesRefused(
                f'the winners of {group!r} are known by {"numbers" if key else "hashes"}, with which this round could '
                f'not compare its callers: choose the same way of storing them, or another group'
            )
        if key:
            return bytes(self._keys.setdefault(group, key))
        self._keys.pop(group, None)  # of rounds that nobody won
        return key

    def _ways_of_storing(self, group: str) -> set[bool]:
        """Whether the winners of a group are known by hashes, now or when somebody wins a round that is not final."""
        ways = {group in self._keys} if group in self._winners else set()
        for line, book in self._books_with_rounds():
            for one in book.unfinished():
                rules = deciding.from_canonical(one.rules)
                if rules.cooldown is not None and (rules.winners_of or line) == group:
                    ways.add(rules.forget_numbers)
        return ways

    # The records of old rounds.

    def overdue(self, before: float) -> Iterator[_Part | None]:
        for line, book in self._lines.items():
            for one in book.rounds.values():
                yield _Part(line, one.number) if one.is_overdue(before) else None
        for group in {*self._winners, *self._keys}:  # after the rounds, which may use the key
            yield _Part(group)

    @update
    def forget(self, key: _Part, before: float, most: int = 1000) -> int:
        """Forget the entries of a final round that ended before that time, and who won; returns how many.

        Of a group of winners, those are forgotten whose cooldown was over before that time, and after the last of
        them and of the rounds that use it the key of their hashes.
        """
        name, number = key[:2]
        if number is None:
            return self._forget_winners(name, before, most)
        if name not in self._lines:  # it was removed meanwhile
            return 0
        one: Round = self._lines[name].rounds[number]
        return one.forget(most) if one.is_overdue(before) else 0

    def _forget_winners(self, group: str, before: float, most: int) -> int:
        rounds = [one for book in self._lines.values() for one in book.rounds.values()]
        rules = map(deciding.from_canonical, (one.rules for one in rounds))
        cooldown = max((one.cooldown or 0.0 for one in rules), default=0.0)
        winners = self._winners.get(group, {})
        over = list(islice((identity for identity, won in winners.items() if won + cooldown < before), most))
        for identity in over:
            del winners[identity]
        if not winners:
            self._winners.pop(group, None)
            if all(one.key != self._keys.get(group) for one in rounds):
                self._keys.pop(group, None)
        return len(over)

    def about(self, caller: SameCaller) -> Iterator[_Part | None]:
        for line, book in self._lines.items():
            for one in book.rounds.values():
                for numbers in one.about(one.identities(caller)):
                    yield None if numbers is None else _Part(line, one.number, numbers)
        for group, winners in self._winners.items():
            if any(identity in winners for identity in self._winners_of(group, caller)):
                yield _Part(group)

    def erase(self, key: _Part, caller: SameCaller) -> int:
        """Erase the caller from entries and wins, which stay, from the index of callers, or from those of winners."""
        if key.round is None:
            winners = self._winners[key.name]
            return sum(winners.pop(one, None) is not None for one in self._winners_of(key.name, caller))
        if key.name not in self._lines:  # it was removed meanwhile
            return 0
        one: Round = self._lines[key.name].rounds[key.round]
        return one.erase(one.identities(caller), key.entries)

    def _winners_of(self, group: str, caller: SameCaller) -> set[str]:
        """The identities that wins of that caller may have in that group."""
        rounds = [one for book in self._lines.values() for one in book.rounds.values()]
        countries = {deciding.from_canonical(one.rules).country for one in rounds}
        forms = {form for country in ('', *countries) for form in caller.forms(country)}
        keys = {self._keys.get(group, b''), *(one.key for one in rounds)} - {b''}
        return forms | {keyed(key, form) for key in keys for form in forms}

    def export(self) -> Iterator[dict[str, object]]:
        for line, book in self._lines.items():
            for one in book.rounds.values():
                for number, entry in one.entries_on_record():
                    won = one.wins.get(number)
                    yield {
                        'line': line,
                        'round': one.number,
                        'entry': number,
                        'arrived': format_time(entry.arrived),
                        'line_number': entry.line_number,
                        'identity': entry.identity,
                        'may_win': entry.may_win,
                        'won': won[-1] if won else None,
                    }

    def check(self) -> Iterator[str]:
        for line, book in self._lines.items():
            for one in book.rounds.values():
                yield from (f'round {one.number} of line {line!r}: {sentence}' for sentence in one.check())

    @classmethod
    def serve(cls, state: State) -> None:
        clock = Clock(state[cls])
        clock.begin()
        _clocks[state] = PeriodicTask('lines clock', LOOK, clock.look, AFTER_FAILURE)

    @classmethod
    def stop_serving(cls, state: State) -> None:
        _clocks.pop(state).close()

    def _known(self, line: str) -> '_Book':
        book: _Book | None = self._lines.get(line)
        if book is None:
            raise RoundRefused(f'line {line!r} is not declared and has had no round: see "hitcounter lines"')
        return book

    def _round(self, line: str, number: int) -> Round:
        rounds = self._known(line).rounds
        if number not in rounds:
            raise RoundRefused(f'line {line!r} has no round {number}: see "hitcounter round list"')
        found: Round = rounds[number]
        return found

    def _book(self, line: str) -> '_Book':
        book: _Book | None = self._lines.get(line)
        if book is None:
            book = self._lines[line] = _Book()
        return book

    def _view(self, line: str, book: '_Book') -> LineView:
        return LineView(
            from_canonical(book.settings) if book.settings else DEFAULT,
            bool(book.settings),
            book.is_closed,
            Sounds(book.sounds[0], tuple(book.sounds[1:])) if book.sounds else None,
            book.rounds[book.rounds.maxKey()].view(line) if book.rounds else None,
        )

    def _plan(self, book: '_Book') -> Plan:
        settings = from_canonical(book.settings) if book.settings else DEFAULT
        slots = [one.slot for one in book.unfinished()]
        return Plan(settings, book.is_closed, tuple(slots), bool(book.rounds))

    def _books_with_rounds(self) -> 'list[tuple[str, _Book]]':
        """The lines with rounds that are not final, which are few, however many are declared."""
        return [(line, self._lines[line]) for line in self._active]

    def _finish_due(self, line: str, book: '_Book', now: float) -> list[RoundView]:
        due = [one for one in book.unfinished() if one.is_due(now)]
        for one in due:
            for win in one.finish():
                self._note_winner(deciding.from_canonical(one.rules), line, win.identity, win.arrived)
            book.active = tuple(number for number in book.active if number != one.number)
            self.version += 1
        if due and not book.active:
            self._active.remove(line)
        return [one.view(line) for one in due]


def lines_in(components: Components) -> Lines | None:
    """The component of lines; None if the database is as an earlier version left it, and only read."""
    try:
        return components[Lines]
    except ComponentError:
        return None


class _Book(Persistent):
    """What is stored of one line."""

    def __init__(self) -> None:
        self.settings = ''  # as `canonical` writes them; '' if the line is not declared
        self.is_closed = False
        self.rounds = LOBTree()  # Round by number
        self.active: tuple[int, ...] = ()  # the rounds that are not final
        self.sounds: tuple[Any, ...] | None = None  # when they were checked, and what was missing
        self.turned_away = OOBTree()  # result: a Tally by minute

    def unfinished(self) -> list[Round]:
        return [self.rounds[number] for number in self.active]

    def turn_away(self, result: Result, arrived: float, *, is_late: bool = False) -> None:
        name = LATE if is_late else result.value
        if name not in self.turned_away:
            self.turned_away[name] = Tally()
        self.turned_away[name].add(int(arrived) // MINUTE * MINUTE)


class _Beat(Persistent):
    """When a server last said that it runs."""

    def __init__(self) -> None:
        self.time = 0.0


def _overlap(one: Round, other: Round) -> bool:
    """Whether both take calls at some time."""
    begins = max(one.begins, other.begins)
    return all(each.ends is None or begins < each.ends for each in (one, other))
