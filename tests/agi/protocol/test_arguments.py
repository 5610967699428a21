"""Arguments of applications, against a model of how Asterisk splits them, and times."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitcounter.agi.protocol.arguments import join_arguments, milliseconds, plain, timestamp, whole_seconds
from hitcounter.errors import CommandRefused

TEXT = st.text(st.sampled_from('ab ,"\\()[]{}^|/@$:;\'é'))


def split(options: str, slots: int) -> list[str]:
    """`__ast_app_separate_args` of Asterisk's app.c: the last of the slots takes all that is left, as it is."""
    arguments = []
    at = 0
    while at < len(options) and len(arguments) < slots - 1:
        argument, depth, bracket, quoted = '', 0, 0, False
        while at < len(options):
            character = options[at]
            at += 1
            if character == '"':
                quoted = not quoted
                continue
            if character == '\\':
                argument += options[at : at + 1]
                at += 1
                continue
            if character == ',' and not (depth or bracket or quoted):
                break
            depth = max(depth + (character == '(') - (character == ')'), 0)
            bracket = max(bracket + (character == '[') - (character == ']'), 0)
            argument += character
        arguments.append(argument)
    return [*arguments, options[at:]]


@given(st.lists(TEXT, min_size=1, max_size=5))
def test_asterisk_splits_the_arguments_that_were_meant(arguments):
    try:
        options = join_arguments(arguments)
    except CommandRefused:
        assert any(sign in argument for argument in arguments for sign in ('${', '$['))
    else:
        assert split(options + ',', len(arguments) + 1) == [*arguments, '']


@given(st.lists(TEXT, max_size=5))
def test_what_may_be_expanded_is_never_sent(arguments):
    try:
        options = join_arguments(arguments)
    except CommandRefused:
        return
    assert '${' not in options
    assert '$[' not in options


@pytest.mark.parametrize(
    ('arguments', 'options'),
    [
        ([], ''),
        (['a', 'b', 3], 'a,b,3'),
        (['', '', 'c'], ',,c'),
        (['a,b'], r'a\,b'),
        (['say "hi"'], r'say \"hi\"'),
        (['back\\slash'], r'back\\slash'),
        (['L(1000:500)M(macro)'], 'L(1000:500)M(macro)'),
        (['L(a,b)'], r'L(a\,b)'),
        ([':-('], r':-\('),
        ([')('], r'\)\('),
        (['[1'], r'\[1'),
        ([['a', 'b,c']], r'a&b\,c'),
        ([('a',)], 'a'),
    ],
)
def test_arguments_are_joined_and_escaped(arguments, options):
    assert join_arguments(arguments) == options


@pytest.mark.parametrize('argument', ['a&b', '${EXTEN}', '$[1+1]', ['a', 'b&c']])
def test_what_no_escape_keeps_together_is_refused(argument):
    with pytest.raises(CommandRefused, match='contains'):
        join_arguments(['x', argument])


@pytest.mark.parametrize('text', [',', '"', '\\', '(', ')', '[', ']', '${', '$['])
def test_where_there_is_no_escape_all_of_it_is_refused(text):
    with pytest.raises(CommandRefused, match='contains'):
        plain(f'a{text}b')


@pytest.mark.parametrize(
    ('time', 'count'), [(0, 0), (1, 1000), (1.1, 1100), (0.0001, 1), (timedelta(minutes=1), 60_000)]
)
def test_times_are_seconds_and_become_milliseconds(time, count):
    assert milliseconds(time) == count


def test_whole_seconds_are_rounded_up():
    assert [whole_seconds(time) for time in (0, 0.2, 1, 1.001)] == [0, 1, 1, 2]


def test_a_moment_may_be_seconds_since_1970():
    assert timestamp(12.9) == 12
