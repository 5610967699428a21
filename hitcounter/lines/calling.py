"""A call on a line, decided: outside of the update what the plan says, in one update what the records say."""

from threading import Lock
from typing import Any, NamedTuple

from ..hits import Caller, HitCounter
from ..hits.bounds import is_usual
from ..state import Components, State
from .component import Lines
from .identity import keyed, normal_form
from .outcome import Outcome, Result
from .plan import Planned, Slot
from .round import Entrant
from .settings import DEFAULT, Settings


class Visit(NamedTuple):
    """One call on a line, as the script knows it."""

    line: str
    caller: Caller
    #: When it arrived, in seconds since 1970, UTC.
    arrived: float
    #: Who calls, if that is known otherwise than by the caller ID: the account that is logged in, say.
    identity: str | None = None


#: Lines whose plans a desk knows. Callers may make more lines than that.
MOST_PLANS = 10_000


class Desk:
    """Decides about the calls of all lines, for every thread.

    It knows the plans of the lines that were called, each as of some version. Each update sees whether that is still
    the version in the database; if not, it changes nothing, and is made again by the new plan.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._lock = Lock()  # of both below, while they change; a plan of another version is out of date
        self._version = -1
        self._plans: dict[str, Planned] = {}

    def settings(self, line: str) -> Settings:
        """The settings of `line`, by the plan that was known last."""
        known = self._plans.get(line)
        return DEFAULT if known is None or known.plan is None else known.plan.settings

    def decide(self, visit: Visit, max_lines: int = 0) -> Outcome:
        """Count the call, or turn it away; what that led to is on disk.

        Raises LineRefused for a new line that cannot be or is one too many, and otherwise as an update does.
        """
        known = self._plans.get(visit.line)
        if known is None or known.version != self._version:
            known = self._look_up(visit.line)
        while (outcome := self._by(known, visit, max_lines)) is None:
            known = self._look_up(visit.line)
        return outcome

    def _look_up(self, line: str) -> Planned:
        """The plan of `line`, as the database has it now."""
        planned = self._state[Lines].planned(line)
        with self._lock:
            if line not in self._plans and len(self._plans) >= MOST_PLANS:
                del self._plans[next(iter(self._plans))]
            self._plans[line] = planned
            self._version = planned.version
        return planned

    def _by(self, known: Planned, visit: Visit, max_lines: int) -> Outcome | None:
        """What is decided if that is the plan in the database; None if it is not."""
        version, plan = known
        slot = plan and plan.slot_at(visit.arrived)
        if slot:
            decided = self._state.update(_enter, version, visit.line, slot.number, _entrant(visit, slot))
            return Outcome(Result(decided[0]), *decided[1:]) if decided else None
        refusal = plan and plan.refusal_at(visit.arrived)
        if refusal:
            is_up_to_date = self._state.update(_turn_away, version, visit, refusal)
            return refusal if is_up_to_date else None
        if not plan and (max_lines or not is_usual(visit.line)):
            self._state[HitCounter].admit(visit.line, max_lines)  # what is refused here does not hold up any update
        number = self._state.update(_count, version, visit, 0 if plan else max_lines)
        return Outcome(Result.COUNTED, number) if number else None


def decide(components: Components, visit: Visit, max_lines: int = 0) -> Outcome:
    """Count the call, or turn it away, in an update that does more than that: for scripts of other packages.

    If that update raises, the call is not counted either. Raises LineRefused as HitCounter.hit does. `Desk.decide` is
    for scripts that have nothing to add: it looks at opening hours outside of the update.
    """
    lines, counter = components[Lines], components[HitCounter]
    lines.is_at(lines.version)  # and is to stay there
    plan = lines.plan(visit.line)
    slot = plan and plan.slot_at(visit.arrived)
    if slot:
        return lines.enter(counter, visit.line, slot.number, _entrant(visit, slot))
    refusal = plan and plan.refusal_at(visit.arrived)
    if refusal:
        lines.turn_away(visit.line, refusal, visit.arrived)
        return refusal
    return Outcome(Result.COUNTED, counter.hit(visit.line, visit.caller, 0 if plan else max_lines))


# The updates. They return scalars, which is fast; None, 0 or False says that the plans are out of date.


def _count(components: Components, version: int, visit: Visit, max_lines: int) -> int:
    if not components[Lines].is_at(version):
        return 0
    return components[HitCounter].hit(visit.line, visit.caller, max_lines)


def _enter(components: Components, version: int, line: str, number: int, entrant: Entrant) -> tuple[Any, ...] | None:
    lines = components[Lines]
    if not lines.is_at(version):
        return None
    result, *more = lines.enter(components[HitCounter], line, number, entrant)
    return (result.value, *more)


def _turn_away(components: Components, version: int, visit: Visit, refusal: Outcome) -> bool:
    lines = components[Lines]
    if not lines.is_at(version):
        return False
    lines.turn_away(visit.line, refusal, visit.arrived)
    return True


# What the log, and the list of transactions, call them.
_count.__qualname__ = 'hits.hit'
_enter.__qualname__ = 'lines.enter'
_turn_away.__qualname__ = 'lines.turn_away'


def _entrant(visit: Visit, slot: Slot) -> Entrant:
    """Who calls, as the rules of the round want to know it."""
    caller = visit.caller
    form = visit.identity
    if form is None and not caller.withheld:
        form = normal_form(caller.caller_id, slot.rules.country)
    if slot.rules.forget_numbers:
        caller = Caller(None, None, caller.unique_id, caller.withheld)
        form = form and keyed(slot.key, form)
    return Entrant(caller, visit.arrived, form)
