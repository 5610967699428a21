"""What a call on a line is in for: closed by hand before the window of a round, and that before opening hours."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from hitcounter.lines.outcome import Outcome, Result
from hitcounter.lines.plan import Plan, Slot
from hitcounter.lines.rules import Rules
from hitcounter.lines.settings import DEFAULT, Settings

MICROSECOND = 1e-6
ALWAYS = Rules()
OFFICE = Settings(hours='Mo-Fr 08:00-18:00', zone='Europe/Berlin')
IN_OFFICE_HOURS = Rules(hours=OFFICE.hours, zone=OFFICE.zone)
ONE, TWO = Slot(1, ALWAYS, 1000.0, 2000.0), Slot(2, ALWAYS, 3000.0, 4000.0)


def berlin(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo('Europe/Berlin')).timestamp()


def told(plan: Plan, arrived: float) -> int | Outcome | None:
    """The number of the round that takes the call, or the refusal; None if it is counted without a round."""
    slot = plan.slot_at(arrived)
    return slot.number if slot else plan.refusal_at(arrived)


def closed(opens: float | None = None, closes: float | None = None) -> Outcome:
    return Outcome(Result.CLOSED, opens=opens, closes=closes)


LATE = Outcome(Result.CLOSED, is_late=True)

MONDAY, SATURDAY = '2026-11-30', '2026-11-28'


@pytest.mark.parametrize(
    ('plan', 'arrived', 'expected'),
    [
        (Plan(DEFAULT, False), 1500.0, None),
        (Plan(DEFAULT, True), 1500.0, closed()),
        (Plan(OFFICE, False), berlin(f'{MONDAY} 12:00'), None),
        (Plan(OFFICE, False), berlin(f'{SATURDAY} 12:00'), closed(opens=berlin(f'{MONDAY} 08:00'))),
        (Plan(OFFICE, True), berlin(f'{MONDAY} 12:00'), closed()),
        # The window of a round, and not the hours of the line, which 1970-01-01 at 01:25 are closed.
        (Plan(OFFICE, False, (ONE,)), 1500.0, 1),
        (Plan(OFFICE, True, (ONE,)), 1500.0, closed()),
        (Plan(OFFICE, False, (ONE,)), berlin(f'{MONDAY} 12:00'), LATE),
        (Plan(OFFICE, False, (), had_round=True), berlin(f'{MONDAY} 12:00'), LATE),
        (Plan(OFFICE, True, (), had_round=True), berlin(f'{MONDAY} 12:00'), closed()),
    ],
)
def test_closed_by_hand_comes_before_the_window_of_a_round_and_that_before_hours(
    plan: Plan, arrived: float, expected: int | Outcome | None
) -> None:
    assert told(plan, arrived) == expected


@pytest.mark.parametrize(
    ('arrived', 'expected'),
    [
        (0.0, closed(opens=1000.0)),
        (1000.0 - MICROSECOND, closed(opens=1000.0)),
        (1000.0, 1),
        (2000.0 - MICROSECOND, 1),
        (2000.0, closed(opens=3000.0)),
        (3000.0 - MICROSECOND, closed(opens=3000.0)),
        (3000.0, 2),
        (4000.0 - MICROSECOND, 2),
        (4000.0, LATE),
        (berlin(f'{MONDAY} 12:00') - MICROSECOND, LATE),
    ],
)
@pytest.mark.parametrize('slots', [(ONE, TWO), (TWO, ONE)])  # the order is that in which they were opened
def test_windows_are_half_open_to_the_microsecond(
    arrived: float, expected: int | Outcome, slots: tuple[Slot, ...]
) -> None:
    assert told(Plan(DEFAULT, False, slots, had_round=True), arrived) == expected


def test_a_microsecond_of_today_is_enough() -> None:
    begins = berlin(f'{MONDAY} 20:00')
    plan = Plan(DEFAULT, False, (Slot(1, ALWAYS, begins, begins + 10),))
    assert told(plan, begins - MICROSECOND) == closed(opens=begins)
    assert told(plan, begins) == told(plan, begins + 10 - MICROSECOND) == 1
    assert told(plan, begins + 10) == LATE


def test_a_round_without_an_end_takes_calls_for_ever() -> None:
    plan = Plan(DEFAULT, False, (Slot(7, ALWAYS, 1000.0, None),))
    assert told(plan, 999.0) == closed(opens=1000.0)
    assert told(plan, 1e12) == 7


@pytest.mark.parametrize(
    ('arrived', 'expected'),
    [
        (f'{MONDAY} 08:00', 1),
        (f'{MONDAY} 17:59:59.999999', 1),
        (f'{MONDAY} 18:00', '2026-12-01 08:00'),
        (f'{SATURDAY} 12:00', f'{MONDAY} 08:00'),
    ],
)
def test_a_round_without_an_end_keeps_the_hours_of_its_rules(arrived: str, expected: int | str) -> None:
    plan = Plan(DEFAULT, False, (Slot(1, IN_OFFICE_HOURS, berlin('2026-11-20 12:00'), None),))
    assert told(plan, berlin(arrived)) == (expected if isinstance(expected, int) else closed(berlin(expected)))


def test_a_caller_outside_hours_is_not_promised_an_opening_after_the_close() -> None:
    ends = berlin(f'{MONDAY} 07:00')  # closed by hand during the weekend, say
    plan = Plan(DEFAULT, False, (Slot(1, IN_OFFICE_HOURS, berlin('2026-11-20 12:00'), ends),))
    assert told(plan, berlin(f'{SATURDAY} 12:00')) == closed(closes=ends)
    assert told(plan, ends) == LATE


def test_a_round_that_begins_outside_its_hours_opens_with_them() -> None:
    plan = Plan(DEFAULT, False, (Slot(1, IN_OFFICE_HOURS, berlin(f'{SATURDAY} 12:00'), None),))
    assert told(plan, berlin('2026-11-27 12:00')) == closed(opens=berlin(f'{MONDAY} 08:00'))


def test_the_next_round_may_open_before_the_hours_of_this_one() -> None:
    ends = berlin(f'{MONDAY} 07:00')
    first = Slot(1, IN_OFFICE_HOURS, berlin('2026-11-20 12:00'), ends)
    plan = Plan(DEFAULT, False, (first, Slot(2, ALWAYS, ends, None)))
    assert told(plan, berlin(f'{SATURDAY} 12:00')) == closed(opens=ends, closes=ends)
