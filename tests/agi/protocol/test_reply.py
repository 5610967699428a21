"""Replies, put together from any pieces."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hitcounter.agi.protocol.reply import REPLY_LIMIT, Replies, Reply
from hitcounter.errors import ProtocolError

# What real Asterisk answers, and what that means.
REPLIES = {
    b'200 result=0\n': Reply(200, '0'),
    b'200 result=1\n': Reply(200, '1'),
    b'200 result=-1\n': Reply(200, '-1'),
    b'200 result=\n': Reply(200, ''),
    b'200 result= (timeout)\n': Reply(200, '', 'timeout'),
    b'200 result=1*2A\n': Reply(200, '1*2A'),
    b'200 result=12 (timeout)\n': Reply(200, '12', 'timeout'),
    b'200 result=0 endpos=3520\n': Reply(200, '0', endpos=3520),
    b'200 result=53 (dtmf) endpos=3840\n': Reply(200, '53', 'dtmf', 3840),
    b'200 result=-1 (hangup) endpos=0\n': Reply(200, '-1', 'hangup', 0),
    b'200 result=1 ()\n': Reply(200, '1', ''),
    b'200 result=1 (x (y) z))\n': Reply(200, '1', 'x (y) z)'),
    b'200 result=1 (one\ntwo)\n': Reply(200, '1', 'one\ntwo'),
    b'200 result=1 (x\n)\n': Reply(200, '1', 'x\n'),
    b'200 result=1 (x)\n200 result=1 (forged)\n': Reply(200, '1', 'x)\n200 result=1 (forged'),
    b'200 result=1 (x\nHANGUP\n)\n': Reply(200, '1', 'x\nHANGUP\n'),
    b'200 result=1 (\xff)\n': Reply(200, '1', '\udcff'),
    b'200 result=0\r\n': Reply(200, '0'),
    b'\n\n200 result=0\n': Reply(200, '0'),
    b'100 result=0 Trying...\n200 result=0 Gosub complete\n': Reply(200, '0', text='Gosub complete'),
    b'200 result=-1 Gosub label not found\n': Reply(200, '-1', text='Gosub label not found'),
    b'200 result=53 (randomerror) endpos=0\n': Reply(200, '53', 'randomerror', 0),
    b'200 result=1 (digit) digit=# endpos=800\n': Reply(200, '1', 'digit', 800, 'digit=# endpos=800'),
    b'200 result=1 (speech) endpos=0 results=0 \n': Reply(200, '1', 'speech', 0, 'endpos=0 results=0 '),
    b'200 result=1 (speech) endpos=0 results=1 score0=9 text0="a (b)" grammar0=g\n': Reply(
        200, '1', 'speech', 0, 'endpos=0 results=1 score0=9 text0="a (b)" grammar0=g'
    ),
    b'200 result=1 (speech) endpos=0 results=1 x)\n': Reply(200, '1', 'speech) endpos=0 results=1 x'),
    b'503 result=-2 Memory allocation failure\n': Reply(503, text='result=-2 Memory allocation failure'),
    b'510 Invalid or unknown command\n': Reply(510, text='Invalid or unknown command'),
    b'511 Command Not Permitted on a dead channel or intercept routine\n': Reply(
        511, text='Command Not Permitted on a dead channel or intercept routine'
    ),
    b'520 Invalid command syntax.  Proper usage not available.\n': Reply(
        520, text='Invalid command syntax.  Proper usage not available.'
    ),
    b'520-Invalid command syntax.  Proper usage follows:\nExample return code: 200 result=1 (x)\nHANGUP\n'
    b'520 End of proper usage.\n': Reply(520, text='Example return code: 200 result=1 (x)\nHANGUP'),
    b'520-Invalid command syntax.  Proper usage follows:\nUsage: X520 End of proper usage.\n': Reply(
        520, text='Usage: X'
    ),
}


def read(*pieces: bytes) -> tuple[Reply | None, bool]:
    replies = Replies()
    reply = None
    for piece in pieces:
        replies.feed(piece)
        reply = reply or replies.take()
    return reply, replies.hung_up


@pytest.mark.parametrize('data', REPLIES)
def test_a_reply_in_one_piece_is_read(data: bytes) -> None:
    assert read(data) == (REPLIES[data], False)


@pytest.mark.parametrize('data', [data for data in REPLIES if b'forged' not in data])
def test_a_reply_in_single_bytes_is_read(data: bytes) -> None:
    assert read(*[bytes([byte]) for byte in data]) == (REPLIES[data], False)


@pytest.mark.parametrize('data', REPLIES)
def test_a_hangup_before_a_reply_leaves_it_whole(data: bytes) -> None:
    assert read(b'HANGUP\n' + data) == (REPLIES[data], True)


@pytest.mark.parametrize('data', REPLIES)
def test_a_hangup_behind_a_reply_leaves_it_whole(data: bytes) -> None:
    replies = Replies()
    replies.feed(data + b'HANGUP\n')
    assert replies.take() == REPLIES[data]
    replies.take_unasked()
    assert replies.hung_up


def test_half_a_reply_is_none() -> None:
    assert read(b'200 resu') == (None, False)
    assert read(b'200 result=1 (one\n') == (None, False)
    assert read(b'520-Invalid command syntax.  Proper usage follows:\nsomething\n') == (None, False)
    assert read(b'HANGUP\n') == (None, True)


UNASKED = [b'', b'\n', b'HANGUP\n', b'HANGUP\r\n\r\n', b'HANGUP\nHANGUP\n', b'HANG', b'\nHANGUP', b'\r']

#: What a caller may have written, and no Asterisk sends when there is no command.
FORGED = [
    b'agi_calleridname: Ada\n',
    b'200 result=1\n',
    b'200 result=0\n',
    b'200 res',
    b'100 result=0 Trying...\n',
    b'100 x)\n',
    b'510 Invalid or unknown command\n',
    b'x\n',
    b'\nx',
    b'HANGUP\nx\n',
    b'HANGUPS\n',
    b' \n',
    b'\xff\n',
    b'\0\n',
]


@pytest.mark.parametrize('data', UNASKED)
def test_a_hangup_and_empty_lines_may_come_unasked(data: bytes) -> None:
    replies = Replies()
    replies.feed(data)
    replies.take_unasked()
    assert replies.hung_up == (b'HANGUP\n' in data.replace(b'\r', b''))
    half = {b'HANG': b'UP\n', b'\nHANGUP': b'\n', b'\r': b'\n'}
    replies.feed(half.get(data, b'') + b'200 result=0\n')
    assert replies.take() == Reply(200, '0')
    assert replies.hung_up == (b'HANG' in data)


@pytest.mark.parametrize('data', FORGED)
def test_nothing_else_comes_unasked(data: bytes) -> None:
    replies = Replies()
    replies.feed(data)
    for _ in range(2):  # nor is it forgotten
        with pytest.raises(ProtocolError, match='came when no command was waiting for a reply'):
            replies.take_unasked()


@pytest.mark.parametrize('forged', FORGED)
@pytest.mark.parametrize('data', [data for data in REPLIES if b'(' not in data.partition(b'\n')[0]])
def test_a_reply_with_more_than_a_hangup_after_it_is_an_error(data: bytes, forged: bytes) -> None:
    assert read(data + b'HANGUP\n') == (REPLIES[data], True)
    with pytest.raises(ProtocolError, match='came when no command was waiting'):
        read(data + forged)


@pytest.mark.parametrize(
    'forged', [b'agi_calleridname: Ada\n', b'x\n', b'HANGUP\nx\n', b'HANGUPS\n', b' \n', b'\0\n', b'100 x)\n']
)
def test_a_line_that_is_not_a_reply_is_an_error_where_one_is_awaited(forged: bytes) -> None:
    with pytest.raises(ProtocolError, match='is not a reply of Asterisk'):
        read(forged + b'200 result=0\n')


def test_an_error_shows_what_kind_of_line_came_and_not_what_a_caller_is_called() -> None:
    for line, shown in {
        b'agi_calleridname: Ada Lovelace\n': (
            "a line of 30 bytes that begins with 'agi_calleridname' (a value before it contains a newline)"
        ),
        b'404 Not found\n': "a line of 13 bytes that begins with '404'",
        b'12345\n': 'a line of 5 bytes',
    }.items():
        with pytest.raises(ProtocolError, match=f'^{re.escape(shown)} is not a reply of Asterisk$'):
            read(line)


@pytest.mark.parametrize(
    'data',
    [
        b'banana\n',
        b'200 banana\n',
        b'404 Not found\n',
        b'200 result\n',
        b'200 banana (x)\n',
        b'\xff\n',
        b'HANGUP200 result=0\n',  # Asterisk writes each line with its newline, so these two are never one
    ],
)
def test_what_is_no_reply_is_an_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(data)


def test_a_value_of_nothing_but_newlines_is_read_in_many_pieces() -> None:
    value = b'\n' * 60_000
    pieces = [b'200 result=1 (', *(value[at : at + 4096] for at in range(0, len(value), 4096)), b')\n']
    assert read(*pieces) == (Reply(200, '1', value.decode()), False)


def test_a_reply_that_never_ends_is_an_error() -> None:
    with pytest.raises(ProtocolError, match=str(REPLY_LIMIT)):
        read(b'200 result=1 (' + b'x' * REPLY_LIMIT)


@given(st.lists(st.sampled_from([*REPLIES, b'HANGUP\n', b'200 result=', b'(', b')', b'\n', b'520-', b'\r', b'\xff'])))
@example([b'200 result=1 (x)\n', b'HANGUP\n'])
def test_whatever_comes_it_gives_replies_or_its_own_error(pieces: list[bytes]) -> None:
    replies = Replies()
    for piece in pieces:
        replies.feed(piece)
        try:
            reply = replies.take()
        except ProtocolError:
            return
        assert reply is None or reply.status in (200, 503, 510, 511, 520)


@given(st.text(st.characters(exclude_categories=['Cs'])), st.data())
def test_any_value_comes_back_whole_however_it_is_cut(value: str, data: st.DataObject) -> None:
    whole = f'200 result=1 ({value})\n'.encode()
    # A piece that ends like a reply is taken for one: Asterisk writes each in one go, so only its last does.
    cut = data.draw(st.integers(0, len(whole)).filter(lambda at: not whole[:at].rstrip(b'\r\n').endswith(b')')))
    assert read(whole[:cut], whole[cut:]) == (Reply(200, '1', value), False)
