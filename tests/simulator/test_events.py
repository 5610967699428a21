"""The events of a simulated call."""

import pytest

from hitcounter import simulator, testing
from hitcounter.simulator import events
from hitcounter.simulator.events import (
    CallEvent,
    Ran,
    SaidDate,
    SaidDateTime,
    SaidDigits,
    SaidLetters,
    SaidPhonetically,
    SaidTime,
    Waited,
)

KINDS = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, CallEvent)]


def test_every_event_is_public_and_listed_once() -> None:
    assert sorted(events.__all__) == sorted(kind.__name__ for kind in KINDS)
    for name in events.__all__:
        assert name in simulator.__all__
        assert getattr(testing, name) is getattr(events, name)


@pytest.mark.parametrize('kind', [kind for kind in KINDS if kind is not CallEvent])
def test_every_event_says_itself(kind: type[CallEvent]) -> None:
    assert '__str__' in vars(kind)


@pytest.mark.parametrize(
    ('event', 'said'),
    [
        (SaidDigits('12'), 'says the digits 1 2'),
        (SaidLetters('ab'), 'spells "ab"'),
        (SaidPhonetically('ab'), 'spells "ab" in words'),
        (SaidDate(0), 'says the date 1970-01-01'),
        (SaidTime(60), 'says the time 00:01 UTC'),
        (SaidDateTime(60), 'says 1970-01-01 00:01 UTC'),
        (SaidDateTime(10**25), 'says 10000000000000000000000000 seconds after 1970'),
        (Waited(0.5), 'waits 0.5 s'),
        (Ran('Dial', 'PJSIP/100'), 'runs Dial(PJSIP/100)'),
    ],
)
def test_an_event_is_said_in_a_few_words(event: CallEvent, said: str) -> None:
    assert str(event) == said
