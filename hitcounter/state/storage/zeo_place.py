"""Where a ZEO server is: one on another machine is not connected to without TLS."""

import ipaddress
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ...errors import DatabaseRefused
from .uri import public


@contextmanager
def naming(uri: str) -> Iterator[None]:
    """Begin each refusal with the URI."""
    try:
        yield
    except DatabaseRefused as error:
        raise DatabaseRefused(f'{public(uri)!r} cannot be opened: {error}') from error


def refuse_plain(address: tuple[str, int]) -> None:
    """Raise DatabaseRefused if `address` is not on this machine, or is not known."""
    host, port = address
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise DatabaseRefused(f'{host!r} has no address ({error.strerror}): check the name') from error
    for place in _away_from_here(str(entry[4][0]) for entry in found):
        raise DatabaseRefused(
            f'{host!r} ({place}) is another machine, and the connection would have no TLS. Whoever reaches or imitates '
            f'a ZEO server can run code here: give the server and this URI certificates '
            f'(?certificate=...&key=...&authenticate=...), or say insecure=1 if the network is protected otherwise'
        )


def _away_from_here(places: Iterable[str]) -> Iterator[str]:
    return (place for place in places if not ipaddress.ip_address(place.partition('%')[0]).is_loopback)
