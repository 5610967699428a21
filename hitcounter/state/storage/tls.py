"""TLS as a client of ZEO uses it: a context made of the files that a URI names, and why a server does not answer."""

import os
import socket
import ssl
from dataclasses import dataclass

from ...errors import DatabaseRefused

#: Seconds to wait for the greeting of a server when finding out why it cannot be reached.
_GREETING_TIMEOUT = 2.0

#: runzeo closes the connection and sends no alert.
_STRANGER = 'the server refused this client: name with certificate= one that the authenticate of the server contains'


@dataclass(frozen=True)
class Files:
    """The files of one end, named as in the <ssl> section of ZEO."""

    certificate: str | None = None
    key: str | None = None
    #: A file, or a folder, with the certificates that are believed; None for those of the system.
    authenticate: str | None = None

    def context(self, *, check_hostname: bool = True) -> ssl.SSLContext:
        """What a client connects with. Raises DatabaseRefused, with a sentence about the file that is wrong."""
        context = self._believing()
        context.check_hostname = check_hostname
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # as ZEO does
        if self.certificate:
            self._load(context, self.certificate)
        elif self.key:
            raise DatabaseRefused('key= has no certificate: name the file of its certificate with certificate=')
        return context

    def _believing(self) -> ssl.SSLContext:
        path = self.authenticate
        if path is None:
            return ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
        if os.path.isdir(path):
            return ssl.create_default_context(ssl.Purpose.SERVER_AUTH, capath=path)
        _check(path, 'authenticate')
        try:
            return ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=path)
        except ssl.SSLError as error:
            raise DatabaseRefused(
                f'authenticate={path!r} has no certificate that can be read: name a PEM file'
            ) from error

    def _load(self, context: ssl.SSLContext, certificate: str) -> None:
        _check(certificate, 'certificate')
        if self.key:
            _check(self.key, 'key')
        asked: list[bool] = []
        try:
            context.load_cert_chain(certificate, self.key, lambda: _no_passphrase(asked))
        except ssl.SSLError as error:
            raise DatabaseRefused(_misfit(certificate, self.key, bool(asked), error)) from error


def _no_passphrase(asked: list[bool]) -> str:
    """Note that a passphrase was asked for; OpenSSL would ask for it at the terminal, and wait."""
    asked.append(True)
    return ''


def _check(path: str, option: str) -> None:
    try:
        with open(path, 'rb'):
            pass
    except OSError as error:
        raise DatabaseRefused(
            f'{option}={path!r} cannot be read ({error.strerror}): name a PEM file that this user may read'
        ) from error


def _misfit(certificate: str, key: str | None, is_encrypted: bool, error: ssl.SSLError) -> str:
    if is_encrypted:
        return f'key={key or certificate!r} has a passphrase: use a key without one, which only this user may read'
    if error.reason == 'KEY_VALUES_MISMATCH':
        return f'key={key or certificate!r} is not the key of certificate={certificate!r}: name the two that fit'
    if key is None:
        return f'certificate={certificate!r} is not a PEM file with a certificate and its key: name the key with key='
    return f'certificate={certificate!r} and key={key!r} are not a certificate and its key: name two PEM files'


def why_silent(address: tuple[str, int], context: ssl.SSLContext | None, hostname: str | None) -> str:
    """Why the ZEO server at `address` cannot be used, as far as one more attempt shows, and what to do."""
    try:
        with socket.create_connection(address, _GREETING_TIMEOUT) as plain:
            if context is None:
                return _greeting(plain)
            with context.wrap_socket(plain, server_hostname=hostname or address[0]) as channel:
                return _greeting(channel)
    except ssl.SSLCertVerificationError as error:
        reason = error.verify_message
        return f'the certificate of the server is refused ({reason}): check authenticate= and server_hostname='
    except ssl.SSLError as error:
        return _refusal(error)
    except TimeoutError:
        return 'nothing answers: check the address, the network, and whether the server hangs'
    except OSError as error:
        return f'{error.strerror or error}: check the address, and that the server runs'


def _greeting(channel: socket.socket) -> str:
    channel.settimeout(_GREETING_TIMEOUT)
    is_encrypted = isinstance(channel, ssl.SSLSocket)
    try:
        if channel.recv(64):  # a ZEO server speaks first
            return 'a ZEO server answers: check that it has a storage of that name, and is not busy'
    except TimeoutError:
        wish = '' if is_encrypted else ', or want TLS, which needs certificate= and authenticate='
        return f'the server says nothing: it may hang{wish}'
    return _STRANGER if is_encrypted else 'the server closed the connection: check that it is a ZEO server'


def _refusal(error: ssl.SSLError) -> str:
    reason = (error.reason or str(error)).replace('_', ' ').lower()
    if 'wrong version' in reason or 'record layer' in reason:
        return 'the server does not use TLS: give it an <ssl> section'
    if 'alert' in reason:
        return f'{_STRANGER} ({reason})'
    return f'TLS failed ({reason}): check the certificates of both ends'
