"""The cost of one command: through a call, compared with the bare exchange of the same bytes on a socket.

    taskset -c 0 python benchmarks/commands.py [COMMANDS]

Both ends are threads of this process, on one core.
"""

import socket
import sys
import threading
import time
from collections.abc import Callable
from statistics import median

from load import ENVIRONMENT

from hitcounter.agi import Call, Environment
from hitcounter.agi.stream import SocketStream, bound_waits

_COMMAND = b'STREAM FILE hello ""\n'
_REPLY = b'200 result=0 endpos=3520\n'
_ROUNDS = 5


def main(commands: str = '20000') -> None:
    ours, theirs = socket.socketpair()
    bound_waits(ours, 5.0)
    threading.Thread(target=_answer, args=(theirs,), daemon=True).start()
    call = Call(Environment.parse(ENVIRONMENT.format(1).encode()), SocketStream(ours))

    def bare() -> None:
        ours.sendall(_COMMAND)
        ours.recv(479)

    def command() -> None:
        call.stream_file('hello')

    pairs = [(_seconds(bare, int(commands)), _seconds(command, int(commands))) for _ in range(_ROUNDS)]
    exchange, whole = (median(each) * 1e6 for each in zip(*pairs, strict=True))
    extra = median(whole - exchange for exchange, whole in pairs) * 1e6
    print(f'bare exchange {exchange:.1f} us, through a call {whole:.1f} us: a command costs {extra:.1f} us')


def _answer(connection: socket.socket) -> None:
    while connection.recv(4096):
        connection.sendall(_REPLY)


def _seconds(function: Callable[[], None], times: int) -> float:
    begun = time.perf_counter()
    for _ in range(times):
        function()
    return (time.perf_counter() - begun) / times


if __name__ == '__main__':
    main(*sys.argv[1:])
