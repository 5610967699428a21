"""A program: one call by SIP to the Asterisk of this network, from a telephone that says of itself what it likes.

invite.py EXTENSION USER [NAME]     USER stands in the From address as it is: 1001%0Ax

It prints the status of each response: 100, 200.
"""

import re
import socket
import sys
import time

ASTERISK = '127.0.0.1', 5060
PATIENCE = 60.0


def main(extension: str, user: str, name: str = '') -> None:
    """Call, and stay on the line until Asterisk hangs up or refuses."""
    udp = socket.AF_INET, socket.SOCK_DGRAM
    with socket.socket(*udp) as sip, socket.socket(*udp) as rtp:
        for endpoint in (sip, rtp):
            endpoint.bind(('127.0.0.1', 0))
        sip.connect(ASTERISK)
        sip.settimeout(PATIENCE)
        call = Call(extension, user, name, sip.getsockname()[1])
        sip.send(call.invite(rtp.getsockname()[1]))
        while True:
            message = sip.recv(65_535).decode(errors='replace')
            if message.startswith('SIP/2.0 '):
                print(message.split()[1], flush=True)  # noqa: T201 for the test that started it
            if message.startswith('BYE '):
                sip.send(answer_to(message))
                return
            if message.startswith('SIP/2.0 200 '):
                sip.send(call.ack(message))
            elif re.match('SIP/2.0 [3-6]', message):
                return


class Call:
    """The requests of the one who calls."""

    def __init__(self, extension: str, user: str, name: str, port: int) -> None:
        self._to = f'sip:{extension}@127.0.0.1'
        self._from = f'"{name}" <sip:{user}@127.0.0.1>;tag=1'
        self._id = f'{time.time()}'
        self._port = port

    def invite(self, rtp: int) -> bytes:
        body = (
            f'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {rtp} RTP/AVP 0\r\n'
            'a=rtpmap:0 PCMU/8000\r\n'
        )
        return self._request('INVITE', f'<{self._to}>', body, 'Content-Type: application/sdp\r\n')

    def ack(self, response: str) -> bytes:
        to = re.search(r'^To: (.*?)\r$', response, re.MULTILINE)
        assert to, response
        return self._request('ACK', to[1])

    def _request(self, method: str, to: str, body: str = '', more: str = '') -> bytes:
        text = (
            f'{method} {self._to} SIP/2.0\r\n'
            f'Via: SIP/2.0/UDP 127.0.0.1:{self._port};branch=z9hG4bK{method}{self._id}\r\n'
            f'Max-Forwards: 70\r\nFrom: {self._from}\r\nTo: {to}\r\nCall-ID: {self._id}\r\nCSeq: 1 {method}\r\n'
            f'Contact: <sip:telephone@127.0.0.1:{self._port}>\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}'
        )
        return text.encode(errors='surrogateescape')


def answer_to(request: str) -> bytes:
    """That all is well."""
    repeated = re.findall(r'^(?:Via|From|To|Call-ID|CSeq): .*?(?=\r$)', request, re.MULTILINE)
    return '\r\n'.join(['SIP/2.0 200 OK', *repeated, 'Content-Length: 0\r\n\r\n']).encode()


if __name__ == '__main__':
    main(*sys.argv[1:])
