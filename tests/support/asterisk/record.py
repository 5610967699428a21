"""Records what the real Asterisk answers to some commands, in the form of tests/transcripts.

    python -m tests.support.asterisk.record FOLDER COMMAND...

FOLDER is that of tests/asterisk/install. An Asterisk is started in a network of its own, and somebody calls.

    python -m tests.support.asterisk.record /var/tmp/asterisk 'ANSWER' 'SAY NUMBER 42 ""' >tests/transcripts/cmd-new.txt
"""

import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.support.asterisk.telephony import Asterisk
from tests.support.patience import PATIENCE

_LAST_LINES = (b'200 ', b'510 ', b'511 ', b'520 ')  # of a reply


def record(asterisk: Asterisk, commands: Sequence[str]) -> Iterator[str]:
    """The lines of the transcript of a call in which these commands are given, one after the other."""
    yield f'# Asterisk: {", ".join(commands)}'
    with asterisk.listen(4574) as listener:
        listener.settimeout(PATIENCE)
        caller = asterisk.dial('31422')
        connection, _ = listener.accept()
        connection.settimeout(PATIENCE)
        with connection, connection.makefile('rb') as lines:
            yield from _until(lines, lambda line: line == b'\n')
            for command in commands:
                yield from _exchange(connection, lines, command)
            connection.shutdown(socket.SHUT_WR)
            yield '# server shut down its sending side'
            yield from _until(lines, lambda line: False)
            yield '# Asterisk closed the connection'
        caller.ends()


def _exchange(connection: socket.socket, lines: Iterator[bytes], command: str) -> Iterator[str]:
    begun = time.monotonic()
    connection.sendall(f'{command}\n'.encode())
    yield f'> {command}'
    replies = list(_until(lines, lambda line: line.startswith(_LAST_LINES)))
    seconds = time.monotonic() - begun
    if seconds >= 0.2:
        yield f'# +{seconds:.1f} s'
    yield from replies


def _until(lines: Iterator[bytes], is_last: Callable[[bytes], bool]) -> Iterator[str]:
    for line in lines:
        yield f'< {line.decode(errors="surrogateescape")}'.rstrip('\n')
        if is_last(line):
            return


def main() -> None:
    folder, *commands = sys.argv[1:]
    asterisk = Asterisk(Path(folder))
    try:
        asterisk.wait_until_ready()
        for line in record(asterisk, commands):
            sys.stdout.write(f'{line}\n')
    finally:
        asterisk.stop()


if __name__ == '__main__':
    main()
