"""Command lines, against a model of Asterisk's own parser."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitcounter.agi.protocol.command import LINE_LIMIT, WORD_LIMIT, compose, quote
from hitcounter.errors import CommandRefused
from hitcounter.simulator.lines import parse_args

SENDABLE = st.text(st.characters(exclude_characters='\n\r\0', exclude_categories=['Cs']))
ANYTHING = st.text()
LONE = re.compile('[\ud800-\udc7f\udd00-\udfff]').search


@given(st.lists(SENDABLE, max_size=20))
def test_asterisk_reads_the_words_that_were_meant(words: list[str]) -> None:
    line = compose('SET VARIABLE', *words)
    assert line.endswith(b'\n')
    assert parse_args(line[:-1]) == [b'SET', b'VARIABLE', *(word.encode() for word in words)]


@given(st.lists(ANYTHING, max_size=5))
def test_a_command_is_one_line_or_is_refused(words: list[str]) -> None:
    try:
        line = compose('EXEC', *words)
    except CommandRefused:
        assert any(character in word for word in words for character in '\n\r\0') or any(map(LONE, words))
    else:
        assert line.count(b'\n') == 1
        assert not any(character in line for character in b'\r\0')


def test_half_of_a_character_is_refused() -> None:
    with pytest.raises(CommandRefused, match=r"'\\ud83d' is half of a character"):
        compose('NOOP', 'smile \ud83d')


def test_plain_words_are_sent_as_they_are() -> None:
    assert compose('STREAM FILE', 'hello-world', '0123456789*#') == b'STREAM FILE hello-world 0123456789*#\n'


@pytest.mark.parametrize(
    ('word', 'quoted'),
    [
        ('', '""'),
        ('two words', '"two words"'),
        ('a\tb', '"a\tb"'),
        ('say "hi"', r'"say \"hi\""'),
        ('back\\slash', r'"back\\slash"'),
        ("'", "'"),
        ('${X}', '${X}'),
        ('Zoë', 'Zoë'),
    ],
)
def test_a_word_is_quoted_where_asterisk_would_break_it(word: str, quoted: str) -> None:
    assert quote(word) == quoted


def test_bytes_that_are_no_utf_8_go_back_as_they_came() -> None:
    assert compose('NOOP', b'Zo\xeb'.decode('utf-8', 'surrogateescape')) == b'NOOP Zo\xeb\n'


@pytest.mark.parametrize('character', ['\n', '\r', '\0'])
def test_a_line_end_or_a_nul_is_refused_and_shown(character: str) -> None:
    with pytest.raises(CommandRefused, match='remove it'):
        compose('SET VARIABLE', 'x', f'a{character}HANGUP')


@pytest.mark.parametrize('name', ['', '  ', 'NOOP\nHANGUP', 'FAILURE', 'Failure is a word'])
def test_what_is_no_name_of_a_command_is_refused(name: str) -> None:
    with pytest.raises(CommandRefused, match='not the name of a command'):
        compose(name)


def test_a_line_may_be_as_long_as_asterisk_reads_and_no_longer() -> None:
    overhead = len(compose('NOOP', 'x')) - 1
    assert len(compose('NOOP', 'x' * (LINE_LIMIT - overhead))) == LINE_LIMIT
    with pytest.raises(CommandRefused, match='8192 bytes'):
        compose('NOOP', 'x' * (LINE_LIMIT - overhead + 1))


def test_a_line_may_have_as_many_words_as_asterisks_table_and_no_more() -> None:
    compose('SET VARIABLE', *['x'] * (WORD_LIMIT - 2))
    with pytest.raises(CommandRefused, match='128 words'):
        compose('SET VARIABLE', *['x'] * (WORD_LIMIT - 1))
