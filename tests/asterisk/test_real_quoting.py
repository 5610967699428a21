"""Real Asterisk reads back what was sent: hundreds of odd texts in one call, and none of them means anything to it."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hitcounter.agi import Call
from hitcounter.agi.protocol.command import LINE_LIMIT, compose
from hitcounter.errors import CommandRefused, Hangup
from hitcounter.simulator import Channel, SimulatedCall
from tests.support.asterisk.session import TakeCall
from tests.support.asterisk.telephony import Asterisk
from tests.support.patience import PATIENCE
from tests.support.recordings import NULS

SPECIAL = (
    '"',
    '\\',
    ' ',
    '\t',
    ',',
    ';',
    '&',
    '$',
    '${',
    '$[',
    '${EXTEN}',
    '{',
    '}',
    '(',
    ')',
    '[',
    ']',
    "'",
    '|',
    '=',
    ':',
    '#',
    '%',
    '200 result=1 (x)',
    'HANGUP',
    '520-',
    'é',
    '電',
    '\xa0',
    '\x0b',
    '\x1b',
    '\udcff',
    '\udcc3',
)
PIECE = (
    st.sampled_from(SPECIAL)
    | st.sampled_from('ab1')
    | st.characters(exclude_characters='\n\r\0', exclude_categories=['Cs'])
)
TEXT = st.lists(PIECE, max_size=12).map(''.join)
LONG = st.builds(lambda text, size: (text * size)[:size], TEXT.filter(bool), st.integers(1000, LINE_LIMIT))


def encoded(text: str | None) -> bytes | None:
    """As Asterisk has it: bytes that are not UTF-8 by themselves may be a letter together."""
    return None if text is None else text.encode('utf-8', 'surrogateescape')


def for_each(texts: st.SearchStrategy[object], check: Callable[..., None], count: int = 300) -> None:
    """Run `check` with so many of the `texts`, all within this call."""
    settings(max_examples=count, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck))(
        given(texts)(check)
    )()


@pytest.fixture
def call(take_call: TakeCall) -> Call:
    return take_call().call


def test_a_variable_is_what_it_was_set_to(call: Call) -> None:
    def comes_back(text: str) -> None:
        call.set_variable('ODD', text)
        assert encoded(call.get_variable('ODD')) == encoded(text)
        assert encoded(call.get_full_variable('ODD')) == encoded(text)

    for_each(TEXT, comes_back)


def test_a_long_variable_is_what_it_was_set_to_or_was_refused(call: Call) -> None:
    def comes_back(text: str) -> None:
        if len(compose('SET VARIABLE', 'ODD', text, limit=10**6)) > LINE_LIMIT:
            with pytest.raises(CommandRefused, match='shorten it'):
                call.set_variable('ODD', text)
        else:
            call.set_variable('ODD', text)
            assert encoded(call.get_variable('ODD')) == encoded(text)

    for_each(LONG, comes_back, 100)


@pytest.mark.parametrize('text', ['é', '\\', '"', '\udcff', 'x'])
def test_the_longest_line_comes_back_whole(call: Call, text: str) -> None:
    def size(value: str) -> int:
        return len(compose('SET VARIABLE', 'ODD', value))

    value = ' ' + text * ((LINE_LIMIT - size(' ')) // (size(' ' + text) - size(' ')))
    value += 'x' * (LINE_LIMIT - size(value))
    assert size(value) == LINE_LIMIT

    call.set_variable('ODD', value)

    assert encoded(call.get_variable('ODD')) == encoded(value)


def test_the_database_has_what_was_put_there(call: Call) -> None:
    def comes_back(texts: tuple[str, str]) -> None:
        key, value = texts
        call.database_put('odd', f'a{key}', value)
        assert encoded(call.database_get('odd', f'a{key}')) == encoded(value)

    for_each(st.tuples(TEXT, TEXT), comes_back)


@pytest.mark.parametrize('expansion', ['no', 'yes'])
def test_an_application_gets_each_argument_whole_or_it_is_refused(call: Call, expansion: str) -> None:
    call.set_variable('AGIEXECFULL', expansion)

    def arrive(texts: Sequence[str]) -> None:
        for number in range(4):
            call.set_variable(f'ODD{number}', 'not set')
        try:
            call.exec('MSet', *(f'ODD{number}={text}' for number, text in enumerate(texts)))
        except CommandRefused:
            assert any(sign in text for text in texts for sign in ('&', '${', '$['))
            texts = ()
        kept = [encoded(call.get_variable(f'ODD{number}')) for number in range(4)]
        assert kept == [*map(encoded, texts), *[b'not set'] * (4 - len(texts))]

    for_each(st.lists(TEXT, min_size=1, max_size=3), arrive)


@pytest.mark.parametrize('expansion', ['no', 'yes'])
def test_variables_that_are_set_at_once_are_what_they_were_set_to(call: Call, expansion: str) -> None:
    call.set_variable('AGIEXECFULL', expansion)

    def come_back(values: dict[str, str]) -> None:
        call.set_variables({**values, '_HEIR': 7, 'CALLERID(num)': 55})
        assert all(encoded(call.get_variable(name)) == encoded(value) for name, value in values.items())
        assert (call.get_variable('HEIR'), call.get_variable('CALLERID(num)')) == ('7', '55')

    for_each(st.dictionaries(st.sampled_from(['ODD0', 'ODD1', 'ODD2']), TEXT), come_back)


def test_a_hundred_variables_are_set_at_once_and_long_ones_too(call: Call) -> None:
    values = {f'ODD{number}': f'value {number}' for number in range(100)} | {'LONG': 'é' * 4000, 'LONGER': 'x' * 8000}
    call.set_variables(values)
    assert {name: call.get_full_variable(name) for name in values} == values


def test_variables_are_set_at_once_on_a_dead_channel_too(call: Call) -> None:
    call.exec('Hangup')
    assert call.wait_for_hangup(PATIENCE)
    with pytest.raises(Hangup):
        call.answer()
    call.set_variables({'ODD': 'dead', 'EMPTY': '', 'COMMA': 'a,b', 'NUMBER': 7})
    names = ('ODD', 'EMPTY', 'COMMA', 'NUMBER')
    assert [call.get_variable(name) for name in names] == ['dead', '', 'a,b', '7']


def test_a_subroutine_gets_each_argument_whole_or_it_is_refused(call: Call) -> None:
    def arrive(texts: tuple[str, str, str]) -> None:
        try:
            call.gosub('subroutines', 'keeps', 1, *texts)
        except CommandRefused:
            assert any(sign in text for text in texts for sign in (*',"\\()[]', '${', '$['))
        else:
            assert [encoded(call.get_variable(f'KEPT{number}')) for number in (1, 2, 3)] == [*map(encoded, texts)]

    harmless = TEXT.map(lambda text: text.translate(str.maketrans('', '', ',"\\()[]')))
    for_each(st.tuples(*[harmless] * 3) | st.tuples(*[TEXT] * 3), arrive, 150)  # Asterisk takes 30 ms for each


@pytest.mark.parametrize('expansion', ['no', 'yes'])
def test_what_a_caller_says_dials_nobody_else(asterisk: Asterisk, call: Call, expansion: str) -> None:
    start = len(asterisk.log)
    call.set_variable('AGIEXECFULL', expansion)
    call.set_variable('OTHER', '&Local/leg-3@legs')
    second = 'Local/leg-2@legs'

    for said in (f'&{second}', '${OTHER}', '$[1]', f',1,&{second}', f'\\&{second}', f'"&{second}'):
        with pytest.raises(CommandRefused):
            call.exec('Dial', f'Local/leg-1@legs{said}', 5)
    call.exec('Dial', 'Local/leg-1@legs,1,G(subroutines^keeps^1)', 5)
    call.exec('Dial', ['Local/leg-4@legs', 'Local/leg-5@legs'], 5)

    for leg in (4, 5):
        asterisk.log.wait(f'leg-{leg} rings', start)
    assert set(asterisk.log.all(r'leg-(\d) rings')) == {'4', '5'}


def test_with_full_expansion_asterisk_does_expand_what_is_sent_raw(call: Call) -> None:
    call.set_variable('AGIEXECFULL', 'yes')
    call.command('EXEC', 'MSet', 'ODD=${EXTEN}')
    assert call.get_variable('ODD') == '31422'


@pytest.mark.parametrize('pieces', NULS)
def test_a_nul_costs_the_rest_of_its_line_as_it_does_in_the_simulator(
    take_call: TakeCall, pieces: tuple[bytes, ...]
) -> None:
    session = take_call()
    expected = SimulatedCall(Channel())

    got = session.exchange(pieces, sum(expected.receive(piece).count(b'\n') for piece in pieces))

    replies = SimulatedCall(Channel())
    assert got == b''.join(map(replies.receive, pieces))
    name = 'abcd'[list(NULS).index(pieces)]
    assert session.call.get_variable(name) == expected.variables[name]
