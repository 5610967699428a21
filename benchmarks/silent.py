"""Silent peers: how long a call takes with many open connections that send nothing, and without them.

    python benchmarks/silent.py [CONNECTIONS] [CALLS_AT_ONCE] [ROUNDS]

Half of the connections send nothing, the others stop in the middle of their environment. The server closes each of them
after five seconds, and this program opens it again at once.
"""

import selectors
import socket
import sys
import threading
from typing import cast

from load import ENVIRONMENT, Load, serving

_SECONDS = 3.0


class SilentPeers:
    """`count` connections to `port`, kept open by a thread of their own until `close`."""

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._enough = threading.Event()
        for number in range(count):
            self._open(says=number % 2 == 1)
        self._thread = threading.Thread(target=self._run, name='silent peers')
        self._thread.start()

    def close(self) -> None:
        self._enough.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            cast(socket.socket, key.fileobj).close()
        self._selector.close()

    def _open(self, *, says: bool) -> None:
        peer = socket.create_connection(('127.0.0.1', self._port))
        if says:
            peer.sendall(ENVIRONMENT.format(0).encode()[:100])
        self._selector.register(peer, selectors.EVENT_READ, says)

    def _run(self) -> None:
        while not self._enough.is_set():
            for key, _ in self._selector.select(0.2):
                self._selector.unregister(key.fileobj)
                cast(socket.socket, key.fileobj).close()
                self._open(says=key.data)


def main(connections: str = '1000', at_once: str = '16', rounds: str = '3', port: str = '4599', *command: str) -> None:
    with serving(int(port), command=command):
        Load(int(port)).run(16, 0.5)
        for _ in range(int(rounds)):
            for count in (0, int(connections)):
                peers = SilentPeers(int(port), count)
                load = Load(int(port))
                load.run(int(at_once), _SECONDS)
                peers.close()
                print(
                    f'{count:5} silent: {len(load.results.numbers) / _SECONDS:.0f} calls/s, '
                    f'{load.results.percentiles()}, {load.results.wrong} numbers missing or given twice'
                )


if __name__ == '__main__':
    main(*sys.argv[1:])
