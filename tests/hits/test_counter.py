"""The hit counter: its component on a real database, its script with a simulated call."""

import inspect
import time
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitcounter.agi import Call, Environment
from hitcounter.errors import ConnectionLost, LineRefused
from hitcounter.hits import APOLOGY, Caller, Hit, HitCounter, Line, forget, tell_the_number
from hitcounter.hits.bounds import check_line, is_usual
from hitcounter.lines.identity import SameCaller
from hitcounter.state import Components, State, open_database
from hitcounter.state.forgetting import erase
from hitcounter.testing import (
    Answered,
    CallerHungUp,
    Channel,
    HangUp,
    HangUpTiming,
    Missing,
    Played,
    SaidNumber,
    connect,
    dial,
)

BOB = Caller('555', 'Bob', '17.1')
UNKNOWN = Caller(None, None, '17.2')


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with (
        open_database(f'file://{tmp_path}/hits.fs', share=True) as database,
        State(database, [HitCounter]) as state,
    ):
        yield state


def test_each_line_counts_for_itself_from_1_on(state: State) -> None:
    hits = state[HitCounter]
    assert [hits.hit(line, BOB) for line in ('31415', '31415', '27182', '31415')] == [1, 2, 1, 3]
    assert hits.lines() == {'27182': 1, '31415': 3}
    assert (hits.count('31415'), hits.count('nosuch')) == (3, 0)


def test_each_call_is_on_record_with_its_number_time_and_caller(state: State) -> None:
    before = time.time()
    state[HitCounter].hit('31415', BOB)
    state[HitCounter].hit('31415', UNKNOWN)
    first, second = state[HitCounter].call('31415', 1), state[HitCounter].call('31415', 2)
    assert first == Hit(1, first.time, BOB)
    assert second == Hit(2, second.time, UNKNOWN)
    assert before <= first.time <= second.time <= time.time()


@pytest.mark.parametrize(('line', 'number'), [('31415', 0), ('31415', 2), ('nosuch', 1)])
def test_a_call_that_was_not_made_is_a_key_error(state: State, line: str, number: int) -> None:
    state[HitCounter].hit('31415', BOB)
    with pytest.raises(KeyError):
        state[HitCounter].call(line, number)


def test_the_calls_of_each_hour_are_totalled(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    for moment in (1000.0, 3599.9, 3600.0, 10_000.0):
        monkeypatch.setattr(time, 'time', lambda moment=moment: moment)
        state[HitCounter].hit('31415', BOB)
    assert state[HitCounter].hours('31415') == {0: 2, 3600: 1, 7200: 1}
    assert state[HitCounter].hours('nosuch') == {}


def test_the_caller_is_answered_and_told_the_number(state: State) -> None:
    state[HitCounter].hit('31415', BOB)
    asterisk = dial(Channel(extension='31415'), lambda call: tell_the_number(call, state, ['hello', 'number']))
    assert asterisk.events == [Answered(), Played('hello'), Played('number'), SaidNumber(2)]
    assert asterisk.variables['HITCOUNTER_NUMBER'] == '2'


def test_a_prompt_that_asterisk_does_not_have_does_not_keep_the_number_back(state: State) -> None:
    asterisk = dial(Channel(missing=frozenset({'nosuch'})), lambda call: tell_the_number(call, state, ['nosuch']))
    assert asterisk.events == [Answered(), Missing('nosuch'), SaidNumber(1)]


@pytest.mark.parametrize('command', ['SET VARIABLE', 'STREAM FILE', 'SAY NUMBER'])
@pytest.mark.parametrize('how', [HangUpTiming.DURING, HangUpTiming.CROSSING, HangUpTiming.AFTER])
def test_a_caller_who_goes_once_counted_stays_counted_and_the_dialplan_has_the_number(
    state: State, command: str, how: HangUpTiming
) -> None:
    asterisk = dial(Channel(hang_up=HangUp(command, how)), partial(tell_the_number, state=state))
    assert CallerHungUp() in asterisk.events
    assert state[HitCounter].count('31415') == 1
    assert asterisk.variables['HITCOUNTER_NUMBER'] == '1'


def test_a_caller_who_goes_before_the_answer_is_not_counted(state: State) -> None:
    asterisk = dial(Channel(hang_up=HangUp('ANSWER')), partial(tell_the_number, state=state))
    assert state[HitCounter].count('31415') == 0
    assert asterisk.events == [Answered(), CallerHungUp()]


def test_what_the_phone_says_of_its_caller_is_stored_as_it_came(state: State) -> None:
    name = b'Zo\xeb "x" \xe9\x9b\xbb'.decode('utf-8', 'surrogateescape')
    dial(Channel(caller_name=name, caller_id='+44 1', unique_id='17.3'), partial(tell_the_number, state=state))
    assert state[HitCounter].call('31415', 1).caller == Caller('+44 1', name, '17.3', withheld=False)


def test_the_first_calls_are_forgotten_and_nothing_else(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    hits = state[HitCounter]
    for moment in (1000.0, 2000.0, 3000.0, 4000.0):
        monkeypatch.setattr(time, 'time', lambda moment=moment: moment)
        hits.hit('31415', BOB)
        hits.hit('27182', BOB)
    before = hits.lines(), hits.hours('31415')
    assert forget(state, 3000.0) == 4
    assert forget(state, 3000.0) == 0
    assert (hits.lines(), hits.hours('31415')) == before
    assert hits.call('31415', 3) == Hit(3, 3000.0, BOB)
    with pytest.raises(KeyError, match='record 2 is forgotten, as are all below 3'):
        hits.call('31415', 2)
    assert hits.hit('31415', BOB) == 5


def test_forgetting_many_holds_up_the_calls_for_a_moment_only(state: State, caplog: pytest.LogCaptureFixture) -> None:
    def hit_often(parts: Components) -> None:
        for _ in range(5000):
            parts[HitCounter].hit('31415', BOB)

    state.update(hit_often)
    caplog.clear()
    assert forget(state, time.time()) == 5000
    assert 'held up' not in caplog.text
    assert state[HitCounter].hit('31415', BOB) == 5001


def erased(state: State, number: str = '+44 7700 900123') -> list[tuple[tuple[str, tuple[int, ...]], int]]:
    return erase(state, HitCounter, SameCaller(number, 'GB'))


def test_one_caller_is_erased_from_all_lines_in_any_spelling(state: State) -> None:
    hits = state[HitCounter]
    for number in ('+447700900123', '555', None, '07700 900123', 'anonymous', '00447700900123', '+447700900124'):
        for line in ('31415', '27182'):
            hits.hit(line, Caller(number, 'Zoë', '17.1', withheld=False))
    hits.hit('31415', Caller('1001', '+44 7700 900123', '17.2'))  # where the number is in the name
    before = {line: [hits.call(line, number) for number in range(1, hits.count(line) + 1)] for line in hits.lines()}
    hours = hits.hours('31415')

    assert erased(state) == [(('27182', (1, 4, 6)), 3), (('31415', (1, 4, 6, 8)), 4)]

    assert erased(state) == []
    assert hits.hours('31415') == hours
    for line, calls in before.items():
        for hit in calls:
            gone = hit.number in (1, 4, 6, 8)
            assert hits.call(line, hit.number) == (hit._replace(caller=Caller(None, None, '')) if gone else hit)
    assert state.query(lambda parts: list(parts[HitCounter].check())) == []
    assert hits.hit('31415', BOB) == 9


def test_the_caller_of_earlier_versions_is_erased_too(state: State) -> None:
    def hit_as_once(parts: Components) -> None:
        counter = parts[HitCounter]
        counter.hit('31415', BOB)
        counter._lines['31415'].calls.append((1000.0, '+447700900123', 'Zoë', '17.1'))  # in schema 1
        counter._lines['31415'].hours.add(0)

    state.update(hit_as_once)
    assert erased(state) == [(('31415', (2,)), 1)]
    assert state[HitCounter].call('31415', 2) == Hit(2, 1000.0, Caller(None, None, ''))


def test_what_was_forgotten_or_erased_meanwhile_is_not_counted(state: State) -> None:
    for _ in range(5):
        state[HitCounter].hit('31415', BOB)
    numbers = (1, 2, 3, 4, 5)
    state[HitCounter].forget('31415', time.time() + 1, 2)
    assert state.update(lambda parts: parts[HitCounter].erase(('31415', (3,)))) == 1
    assert state.update(lambda parts: parts[HitCounter].erase(('31415', numbers))) == 2
    assert state.update(lambda parts: parts[HitCounter].erase(('31415', numbers))) == 0


def test_erasing_many_holds_up_the_calls_for_a_moment_only(state: State, caplog: pytest.LogCaptureFixture) -> None:
    def hit_often(parts: Components) -> None:
        for number in range(20_000):
            parts[HitCounter].hit('31415', Caller('+447700900123' if number % 20 == 0 else '555', 'Bob', '17.1'))

    state.update(hit_often)
    caplog.clear()
    assert sum(count for _, count in erased(state)) == 1000
    assert 'held up' not in caplog.text
    assert state[HitCounter].hit('31415', BOB) == 20_001


def test_a_line_that_does_not_agree_with_its_hours_is_found(state: State) -> None:
    state[HitCounter].hit('31415', BOB)
    state[HitCounter].hit('27182', BOB)
    assert state.query(lambda parts: list(parts[HitCounter].check())) == []
    state.update(lambda parts: parts[HitCounter]._lines['31415'].hours.add(0))
    state.update(lambda parts: parts[HitCounter]._lines['27182'].calls._pieces.clear())
    assert state.query(lambda parts: list(parts[HitCounter].check())) == [
        "line '27182': record 1 is missing, although 1 have been appended",
        "line '31415' has 1 call, but its hours count 2",
    ]


def test_a_call_on_record_that_is_not_among_its_hour_is_found(state: State) -> None:
    state[HitCounter].hit('31415', BOB)
    (hour,) = state[HitCounter].hours('31415')

    def move(parts: Components) -> None:
        parts[HitCounter]._lines['31415'].hours.add(hour, -1)
        parts[HitCounter]._lines['31415'].hours.add(0)

    state.update(move)
    assert state.query(lambda parts: list(parts[HitCounter].check())) == [
        f"line '31415' has 1 call on record in the hour {hour}, but its hours count 0"
    ]
    forget(state, time.time() + 1)
    assert state.query(lambda parts: list(parts[HitCounter].check())) == []


WITHHELD = {'caller_id': '55503', 'caller_name': '55504', 'name': 'SIP/55502-0000', 'rdnis': '55505'}


def test_a_withheld_caller_is_counted_and_nothing_else_is_known(state: State) -> None:
    channel = Channel(presentation=35, unique_id='17.3', **WITHHELD)  # type: ignore[arg-type]
    asterisk = dial(channel, partial(tell_the_number, state=state))
    assert asterisk.events[-1] == SaidNumber(1)
    assert state[HitCounter].call('31415', 1).caller == Caller(None, None, '17.3', withheld=True)


@pytest.mark.parametrize('presentation', [0, 67, 96])
def test_a_caller_whose_number_is_allowed_or_unavailable_is_stored_as_it_came(state: State, presentation: int) -> None:
    dial(
        Channel(presentation=presentation, unique_id='17.3', caller_id='555', caller_name='Bob'),
        partial(tell_the_number, state=state),
    )
    assert state[HitCounter].call('31415', 1).caller == Caller('555', 'Bob', '17.3', withheld=False)


def test_a_withheld_caller_who_may_be_known_is_stored_as_such() -> None:
    environment = Environment.parse(Channel(presentation=35, caller_id='555', unique_id='1.1').environment_block())
    call = Call(environment, _Nobody(), keep_withheld=True)
    assert Caller.of(call) == Caller('555', None, '1.1', withheld=True)


class _Nobody:
    """A stream without another side."""

    def send(self, data: bytes) -> None:
        raise ConnectionLost('nobody is there')

    def receive(self, deadline: float) -> bytes:
        raise ConnectionLost('nobody is there')

    def pending(self) -> bytes:
        return b''


def test_long_texts_of_a_caller_are_cut_and_show_it(state: State) -> None:
    state[HitCounter].hit('31415', Caller('5' * 81, 'é' * 41, '1.' + '1' * 60_000))
    caller = state[HitCounter].call('31415', 1).caller
    assert caller == Caller('5' * 77 + '…', 'é' * 38 + '…', '1.' + '1' * 146 + '…')
    assert [len(str(text).encode()) for text in caller[:3]] == [80, 79, 151]


def test_texts_as_long_as_those_of_asterisk_are_stored_whole(state: State) -> None:
    caller = Caller('5' * 80, b'\xeb'.decode('utf-8', 'surrogateescape') * 80, '1' * 151)
    assert state[HitCounter].hit('9' * 80, caller) == 1
    assert state[HitCounter].call('9' * 80, 1).caller == caller


NO_LINES = {
    '': r'the line is empty: dial or name one of at least one character',
    '9' * 81: r"line '9{80}'... has 81 bytes: dial or name one of at most 80",
    'é' * 41: r"line 'é{41}' has 82 bytes: ",
    '9' * 60_000: r"line '9{80}'... has 60,000 bytes: ",
    '1\x07': r"line '1\\x07' contains the control character '\\x07': dial or name one without it",
    '\x9b31m' * 50: r"'... contains the control character '\\x9b'",
    '\n': r"contains the control character '\\n'",
    '1\0': r"contains the control character '\\x00'",
    'a\u2028b': r"contains the control character '\\u2028'",
    'Zo\udceb': r"line 'Zo\\udceb' is not UTF-8, because of '\\udceb': dial or name one that is",
    '\ud800' * 99: r"'... is not UTF-8, because of '\\ud800'",
}


@pytest.mark.parametrize('line', NO_LINES)
def test_a_line_that_cannot_be_is_refused_in_a_sentence_and_nothing_is_stored(state: State, line: str) -> None:
    for refuse in (state[HitCounter].admit, partial(state[HitCounter].hit, caller=BOB)):
        with pytest.raises(LineRefused, match=NO_LINES[line]) as refused:
            refuse(line)
        assert len(str(refused.value)) < 600
        assert str(refused.value).isprintable()
    assert state[HitCounter].lines() == {}


@pytest.mark.parametrize('line', ['', '9' * 81, '1\x07', 'Zo\udceb'])
def test_a_caller_of_a_line_that_cannot_be_hears_the_apology(state: State, line: str) -> None:
    call, asterisk = connect(Channel(extension=line))
    with pytest.raises(LineRefused, match=NO_LINES[line]):
        tell_the_number(call, state)
    assert asterisk.events == [Answered(), *map(Played, APOLOGY)]
    assert 'HITCOUNTER_NUMBER' not in asterisk.variables


@pytest.mark.parametrize('line', ['', '9' * 81, '1\x07', '\n', 'Zo\udceb'])
def test_an_imported_line_that_no_new_one_could_be_called_goes_on(state: State, line: str) -> None:
    state[HitCounter].import_hit(line, Hit(1, 0.0, BOB))
    assert state[HitCounter].hit(line, BOB) == 2
    assert state[HitCounter].call(line, 2).caller == BOB


@given(
    st.text(st.characters(), max_size=100) | st.text(st.sampled_from('a é\x07\x80\u2028\u202e\udcff😀'), max_size=90)
)
def test_a_line_is_accepted_exactly_if_it_is_short_utf_8_without_control_characters(line: str) -> None:
    is_utf_8 = not any(unicodedata.category(character) == 'Cs' for character in line)
    has_control = any(unicodedata.category(character) in ('Cc', 'Zl', 'Zp') for character in line)
    if is_utf_8 and not has_control and 0 < len(line.encode()) <= 80:
        check_line(line)
    else:
        assert not is_usual(line)
        with pytest.raises(LineRefused):
            check_line(line)


def test_a_caller_on_a_line_too_many_hears_the_apology_and_the_lines_that_are_there_go_on(state: State) -> None:
    for line in ('1', '2'):
        state[HitCounter].import_hit(line, Hit(1, 0.0, BOB))
    call, asterisk = connect(Channel(extension='3'))
    with pytest.raises(LineRefused, match=r"line '3' would be new, and there are already 2 lines, as many as allowed"):
        tell_the_number(call, state, max_lines=2)
    assert asterisk.events == [Answered(), *map(Played, APOLOGY)]
    assert dial(Channel(extension='2'), partial(tell_the_number, state=state, max_lines=1)).events[-1] == SaidNumber(2)
    assert dial(Channel(extension='3'), partial(tell_the_number, state=state, max_lines=3)).events[-1] == SaidNumber(1)
    state[HitCounter].import_hit('4', Hit(1, 0.0, BOB))
    assert state[HitCounter].lines() == {'1': 1, '2': 2, '3': 1, '4': 1}


def test_callers_at_the_same_moment_do_not_begin_a_line_too_many(state: State) -> None:
    def call(line: int) -> bool:
        try:
            state[HitCounter].hit(str(line), BOB, 5)
        except LineRefused:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(call, range(40))) == 5
    assert len(state[HitCounter].lines()) == 5


def test_only_the_next_call_of_a_line_is_imported(state: State) -> None:
    hits = state[HitCounter]
    hits.import_hit('4', Hit(1, 7200.0, BOB))
    for number in (0, 1, 3):
        with pytest.raises(ValueError, match=rf"call {number} does not continue line '4', whose next one is 2"):
            hits.import_hit('4', Hit(number, 7200.0, BOB))
    assert (hits.call('4', 1), hits.lines(), hits.hours('4')) == (Hit(1, 7200.0, BOB), {'4': 1}, {7200: 1})


def test_python_finds_the_source_of_the_persistent_classes() -> None:
    for kind in (HitCounter, Line):
        assert inspect.getsource(kind).startswith(f'class {kind.__name__}(')


def bytes_of(state: State, act: Callable[[], object]) -> int:
    """How many bytes the database grows by."""
    path = Path(str(state._database.path))  # type: ignore[attr-defined]  # a file has one
    before = path.stat().st_size
    act()
    return path.stat().st_size - before


def test_what_one_caller_says_makes_no_other_call_dear(state: State) -> None:
    hits = state[HitCounter]
    hits.hit('31415', BOB)
    honest = bytes_of(state, lambda: [hits.hit('31415', BOB) for _ in range(31)])
    hostile = [Caller('5' * 60_000, 'x' * 60_000, '1' * 60_000)] * 16

    most = bytes_of(state, lambda: [hits.hit('31415', caller) for caller in hostile])
    after = bytes_of(state, lambda: [hits.hit('31415', BOB) for _ in range(16)])
    hits.hit('31415', BOB)
    again = bytes_of(state, lambda: [hits.hit('31415', BOB) for _ in range(64)])

    assert most / 16 < 4_000
    assert after / 16 < 3_000
    assert again / 64 < 1.5 * honest / 31


def test_a_wrong_type_is_said_in_a_sentence_and_counts_nothing() -> None:
    with open_database('memory:') as database, State(database, [HitCounter]) as state:
        with pytest.raises(TypeError, match='the caller is a tuple: give a Caller'):
            state[HitCounter].hit('200', ('555', 'Bob', '1.1'))
        with pytest.raises(TypeError, match='the line 200 is not a text: give the extension'):
            state[HitCounter].hit(200, Caller('555', 'Bob', '1.1'))
        assert state[HitCounter].lines() == {}
