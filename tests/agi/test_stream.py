"""The stream of a session, over real sockets."""

import socket
import time
from collections.abc import Iterator

import pytest

from hitcounter.agi.stream import SocketStream, bound_waits
from hitcounter.errors import ConnectionLost


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    bound_waits(ours, 0.01)
    with ours, theirs:
        yield ours, theirs


def test_bytes_go_both_ways(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    SocketStream(ours).send(b'ANSWER\n')
    assert theirs.recv(100) == b'ANSWER\n'
    theirs.send(b'200 result=0\n')
    assert SocketStream(ours).receive(time.monotonic() + 5) == b'200 result=0\n'


def test_silence_lasts_until_the_deadline_and_no_longer(pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(TimeoutError):
        SocketStream(pair[0]).receive(time.monotonic() + 0.05)


def test_what_has_not_come_is_not_waited_for(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    assert SocketStream(ours).pending() == b''
    theirs.send(b'HANGUP\n')
    assert SocketStream(ours).pending() == b'HANGUP\n'


def test_a_close_is_a_lost_connection(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.close()
    with pytest.raises(ConnectionLost, match='closed'):
        SocketStream(ours).receive(time.monotonic() + 5)
    with pytest.raises(ConnectionLost, match='took no command'):
        SocketStream(ours).send(b'ANSWER\n')


def test_a_reset_is_a_lost_connection() -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.send(b'unread')
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    theirs.close()
    with ours, pytest.raises(ConnectionLost, match='sent no reply'):
        SocketStream(ours).receive(time.monotonic() + 5)


def test_a_peer_that_reads_nothing_does_not_hold_the_sender_for_ever(pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(ConnectionLost):
        SocketStream(pair[0]).send(b'x' * 10_000_000)
