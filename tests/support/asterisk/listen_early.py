"""A program: a telephone that calls by SIP, and reports what it got before an answer.

python -m tests.support.asterisk.listen_early EXTENSION

It prints the status of each response, then how many packets of sound had come.
"""

import re
import socket
import sys
from contextlib import suppress

from tests.support.asterisk.invite import ASTERISK, PATIENCE, Call


def main(extension: str) -> None:
    """Call until Asterisk refuses, ends or answers the call."""
    udp = socket.AF_INET, socket.SOCK_DGRAM
    with socket.socket(*udp) as sip, socket.socket(*udp) as rtp:
        for endpoint in (sip, rtp):
            endpoint.bind(('127.0.0.1', 0))
        rtp.setblocking(False)
        sip.connect(ASTERISK)
        sip.settimeout(PATIENCE)
        call = Call(extension, '1001', '', sip.getsockname()[1])
        sip.send(call.invite(rtp.getsockname()[1]))
        status = ''
        while not re.match('[2-6]', status):
            message = sip.recv(65_535).decode(errors='replace')
            status = message.split()[1]
            sys.stdout.write(f'{status}\n')
        sip.send(call.ack(message))
        sys.stdout.write(f'{packets(rtp)}\n')


def packets(rtp: socket.socket) -> int:
    """How many packets have come."""
    count = 0
    with suppress(BlockingIOError):
        while rtp.recv(4096):
            count += 1
    return count


if __name__ == '__main__':
    main(sys.argv[1])
