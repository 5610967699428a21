"""The targets of the fuzzer, on recordings and on what hypothesis makes up: our own errors, no lost step, no hang."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.targets import COMMANDS, TARGETS, seeds

SEEDS = seeds()


@pytest.mark.parametrize('target', TARGETS)
def test_what_a_real_asterisk_sent_keeps_every_promise(target: str) -> None:
    assert len(SEEDS[target]) > 50
    for seed in SEEDS[target]:
        TARGETS[target](seed)


@pytest.mark.parametrize('target', TARGETS)
@given(st.data())
def test_whatever_a_recording_is_changed_into_keeps_every_promise(target: str, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(sorted(SEEDS[target])))
    at = data.draw(st.integers(0, len(seed)))
    until = data.draw(st.integers(at, len(seed)))
    TARGETS[target](seed[:at] + data.draw(st.binary()) + seed[until:])


@pytest.mark.parametrize('command', ['CONTROL STREAM FILE', 'RECORD FILE', 'CHANNEL STATUS', 'WAIT FOR DIGIT'])
@pytest.mark.parametrize('digits', [20, 400, 5000])
@pytest.mark.parametrize('reply', ['200 result=0 endpos=%s\n', '200 result=%s (timeout)\n', '200 result=%s\n'])
def test_a_number_longer_than_any_in_c_is_no_other_error(command: str, digits: int, reply: str) -> None:
    TARGETS['replies'](bytes([list(COMMANDS).index(command)]) + (reply % ('9' * digits)).encode())
