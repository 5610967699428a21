"""Waits for a ZEO server that have an end: ZEO itself waits for ever for an answer of a server that hangs."""

import socket
import struct
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any

from ZEO.ClientStorage import ClientStorage
from ZEO.Exceptions import ClientDisconnected

from .away import answer_deadline, answering_within

#: Seconds that a server may take to answer a thread that has set itself no time, such as a shell's.
ANSWER_TIMEOUT = 30.0

#: Seconds for a server's pack, or for another answer that takes as long as the database is large.
LONG_ANSWER_TIMEOUT = 86400.0

#: Seconds for closing a connection, which waits for no server.
CLOSE_TIMEOUT = 10.0

#: close() discards what was not yet sent: a commit that was given up must not arrive later.
_DISCARD = struct.pack('ii', 1, 0)


def with_bounded_waits(storage: ClientStorage) -> ClientStorage:
    """`storage`, whose calls raise ClientDisconnected if the server has not answered in the time of the thread.

    The connection is then dropped, and made again, because nobody knows which calls the server will still answer.
    """
    runner = storage._server
    send = runner.io_call

    def io_call(coroutine: Coroutine[Any, Any, Any], wait: bool = True) -> Any:
        future = send(coroutine, wait=False)
        return _answer(future, runner) if wait else future

    runner.io_call = io_call
    storage.tpc_abort = partial(storage.tpc_abort, timeout=0)  # a server that is away has aborted it by itself
    close = storage.close

    def close_soon() -> None:
        if not runner.is_closed():
            runner.loop.call_soon_threadsafe(_hang_up, runner.client)
        with answering_within(CLOSE_TIMEOUT):  # whose time is over has to close it, too, or its thread would stay
            close()

    storage.close = close_soon
    return storage


def _answer(future: Any, runner: Any) -> Any:
    deadline = answer_deadline()
    seconds = ANSWER_TIMEOUT if deadline is None else max(0.0, deadline - time.monotonic())
    try:
        return future.result(seconds)
    except TimeoutError as error:
        if future.done():  # the coroutine's own
            raise
        runner.loop.call_soon_threadsafe(_give_up, future, runner.client)
        raise ClientDisconnected(f'the server did not answer within {seconds:.1f} s') from error


def _give_up(future: Any, client: Any) -> None:
    """Drop the connection of `client`, and begin to connect again. It runs in the thread of ZEO's client."""
    future.add_done_callback(_ignore)
    protocol = client.protocol
    if protocol is None or not client.operational:  # it is connecting already
        return
    transport = protocol.sm_protocol.transport
    transport.get_extra_info('socket').setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)
    _hang_up(client)
    client.disconnected(protocol)


def _hang_up(client: Any) -> None:
    """Close the connection of `client`; with TLS, ZEO would wait until the server agrees."""
    protocol = client.protocol
    if protocol is None or protocol.closed:
        return
    transport = protocol.sm_protocol.transport
    protocol.close()
    transport.abort()


def _ignore(future: Any) -> None:
    future.exception()  # else ZEO logs that nobody asked for it
