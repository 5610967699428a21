"""The stream of a session, over real sockets and pipes; and the audio beside it."""

import math
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from hitcounter.agi.audio import Audio
from hitcounter.agi.stream import SocketStream, StdioStream, bound_waits
from hitcounter.errors import ConnectionLost
from tests.support.patience import PATIENCE


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
    assert SocketStream(ours).receive(time.monotonic() + PATIENCE) == b'200 result=0\n'


def test_silence_lasts_until_the_deadline_and_no_longer(pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(TimeoutError):
        SocketStream(pair[0]).receive(time.monotonic() + 0.05)


def test_what_has_not_come_is_not_waited_for(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    assert SocketStream(ours).pending() == b''
    theirs.send(b'HANGUP\n')
    assert SocketStream(ours).pending() == b'HANGUP\n'


def test_what_has_come_over_tcp_is_pending_until_it_is_read() -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener, socket.create_connection(listener.getsockname()) as theirs:
        ours, _ = listener.accept()
        with ours:
            stream = SocketStream(ours)
            assert stream.pending() == b''
            for sent in (b'HANGUP\n', b'x' * 300):
                theirs.sendall(sent)
                assert stream.wait(PATIENCE)
                assert stream.pending() == sent
                assert stream.pending() == b''


def test_a_close_is_a_lost_connection(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.close()
    with pytest.raises(ConnectionLost, match='closed'):
        SocketStream(ours).receive(time.monotonic() + PATIENCE)
    with pytest.raises(ConnectionLost, match='accepted no command'):
        SocketStream(ours).send(b'ANSWER\n')


def test_a_reset_is_a_lost_connection() -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.send(b'unread')
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    theirs.close()
    with ours, pytest.raises(ConnectionLost, match='sent no reply'):
        SocketStream(ours).receive(time.monotonic() + PATIENCE)


def test_a_peer_that_reads_nothing_does_not_hold_the_sender_for_ever(pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(ConnectionLost):
        SocketStream(pair[0]).send(b'x' * 10_000_000)


@pytest.fixture
def pipes() -> Iterator[tuple[StdioStream, int, int]]:
    """A stream over pipes, and the ends at which the other side reads and writes."""
    incoming, to_it = os.pipe()
    from_it, outgoing = os.pipe()
    with closing(StdioStream(incoming, outgoing)) as stream:
        yield stream, from_it, to_it
    for file in (from_it, to_it):
        with suppress(OSError):
            os.close(file)


def test_bytes_go_both_ways_through_pipes(pipes: tuple[StdioStream, int, int]) -> None:
    stream, from_it, to_it = pipes
    stream.send(b'ANSWER\n')
    assert os.read(from_it, 100) == b'ANSWER\n'
    assert stream.pending() == b''
    os.write(to_it, b'200 result=0\n')
    assert stream.receive(time.monotonic() + PATIENCE) == b'200 result=0\n'
    os.write(to_it, b'HANGUP\n')
    assert stream.pending() == b'HANGUP\n'


def test_a_long_line_goes_through_a_pipe_whole(pipes: tuple[StdioStream, int, int]) -> None:
    stream, from_it, _ = pipes
    line = b'NOOP ' + b'x' * 8185 + b'\n'
    stream.send(line)
    assert os.read(from_it, 10_000) == line


def test_silence_of_a_pipe_lasts_until_the_deadline(pipes: tuple[StdioStream, int, int]) -> None:
    with pytest.raises(TimeoutError):
        pipes[0].receive(time.monotonic() + 0.05)


def test_closed_pipes_are_a_lost_connection(pipes: tuple[StdioStream, int, int]) -> None:
    stream, from_it, to_it = pipes
    os.close(from_it)
    os.close(to_it)
    with pytest.raises(ConnectionLost, match='closed'):
        stream.receive(math.inf)
    with pytest.raises(ConnectionLost, match='accepted no command'):
        stream.send(b'ANSWER\n')


def test_a_full_pipe_does_not_hold_the_sender_for_ever(
    pipes: tuple[StdioStream, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('hitcounter.agi.stream._SEND_TIMEOUT', 0.01)
    with pytest.raises(ConnectionLost, match='the pipe is full'):
        pipes[0].send(b'x' * 1_000_000)


def test_after_the_close_nothing_is_sent(pipes: tuple[StdioStream, int, int]) -> None:
    pipes[0].close()
    pipes[0].close()
    with pytest.raises(ConnectionLost, match='over'):
        pipes[0].send(b'ANSWER\n')


def test_audio_comes_in_pieces_and_silence_is_nothing() -> None:
    file, sink = os.pipe()
    audio = Audio(file)
    try:
        assert audio.read(0.01) == b''
        os.write(sink, b'\0\1' * 3000)
        assert audio.read() + audio.read() == b'\0\1' * 3000
    finally:
        os.close(sink)
    with pytest.raises(ConnectionLost, match='audio'):
        audio.read()
    os.close(file)
