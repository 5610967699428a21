"""The lines that the simulator reads, and their words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitcounter.simulator import Channel, SimulatedCall
from hitcounter.simulator.lines import MAX_LINE, MAX_WORDS, LineReader, parse_args
from tests.support.recordings import NULS


@given(st.lists(st.binary().filter(lambda word: not set(word) & set(b'\n\0')), max_size=MAX_WORDS))
def test_words_that_are_quoted_come_back_as_they_were(words):
    line = b' '.join(b'"' + word.replace(b'\\', rb'\\').replace(b'"', rb'\"') + b'"' for word in words)

    assert parse_args(line) == words


@pytest.mark.parametrize('pieces', NULS)
def test_a_nul_costs_the_rest_of_its_line_and_the_next_one_continues_it(pieces):
    reader = LineReader()
    lines = []
    for piece in pieces:
        reader.feed(piece)
        lines += iter(reader.next_line, None)

    assert lines == NULS[pieces]


def test_a_nul_in_the_last_line_before_the_end_costs_its_rest():
    reader = LineReader()
    reader.feed(b'NOOP\0lost\n')
    assert reader.next_line() is None
    reader.feed_end()

    assert list(iter(reader.next_line, None)) == [b'NOOP']


def test_a_line_with_nuls_has_no_more_bytes_than_others():
    reader = LineReader(10)
    reader.feed(b'abcd\0x\nefghijkl\n')

    assert reader.next_line() == b'abcdefghij'
    reader.feed_end()
    assert reader.next_line() == b'kl'


@given(st.binary())
def test_no_line_makes_words_out_of_nothing(line):
    words = parse_args(line)

    assert sum(map(len, words)) <= len(line)


def test_plain_words_past_the_table_are_lost():
    assert parse_args(b'x ' * (MAX_WORDS + 1)) == [b'x'] * MAX_WORDS


def test_quoted_words_past_the_table_end_asterisk_and_the_call():
    call = SimulatedCall(Channel())

    assert call.receive(b'NOOP' + b' ""' * MAX_WORDS + b'\n') == b''
    assert call.ended
    assert call.status is None


def test_a_full_table_is_no_harm():
    call = SimulatedCall(Channel())

    assert call.receive(b'NOOP' + b' ""' * (MAX_WORDS - 1) + b'\n') == b'200 result=0\n'


def test_the_longest_line_comes_whole():
    value = b'x' * (MAX_LINE - len(b'SET VARIABLE a \n'))
    call = SimulatedCall(Channel())

    assert call.receive(b'SET VARIABLE a ' + value + b'\n') == b'200 result=1\n'
    assert call.receive(b'GET FULL VARIABLE ${a}\n') == b'200 result=1 (' + value + b')\n'


def test_the_rest_of_a_line_one_byte_too_long_is_a_command_that_is_read_with_the_next_bytes():
    value = b'x' * (MAX_LINE - len(b'SET VARIABLE a '))
    call = SimulatedCall(Channel())

    assert call.receive(b'SET VARIABLE a ' + value + b'\n') == b'200 result=1\n'
    assert call.receive(b'NOOP\n') == b'510 Invalid or unknown command\n200 result=0\n'


def test_the_rest_of_a_much_longer_line_is_read_at_once():
    call = SimulatedCall(Channel())

    assert call.receive(b'NOOP ' + b'x' * 9000 + b'\n') == b'200 result=0\n510 Invalid or unknown command\n'


def test_a_long_value_is_cut_by_get_variable_only():
    call = SimulatedCall(Channel(variables={'v': 'x' * 5000}))

    assert call.receive(b'GET VARIABLE v\n') == b'200 result=1 (' + b'x' * 1023 + b')\n'
    assert call.receive(b'GET FULL VARIABLE ${v}\n') == b'200 result=1 (' + b'x' * 5000 + b')\n'


@given(st.data())
def test_a_line_in_pieces_is_one_command(data):
    line = b'SET VARIABLE a "one two"\n'
    cuts = sorted(data.draw(st.sets(st.integers(1, len(line) - 1))))
    call = SimulatedCall(Channel())

    replies = [call.receive(line[start:end]) for start, end in zip([0, *cuts], [*cuts, None], strict=True)]

    assert replies == [b''] * len(cuts) + [b'200 result=1\n']


def test_lines_left_unread_run_when_the_server_closes():
    call = SimulatedCall(Channel())

    assert call.receive(b'NOOP\nVERBOSE x\nNOOP') == b'200 result=0\n'
    assert call.close() == b'200 result=1\n200 result=0\nHANGUP\n'
    assert call.status == 'SUCCESS'
