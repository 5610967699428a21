"""What the URI of a database on PostgreSQL says: libpq's connection string, and RelStorage's own options."""

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn
from relstorage.options import Options

#: How libpq connects unless the URI says otherwise: a server that does not answer is given up within seconds.
DEFAULTS = {
    'target_session_attrs': 'read-write',
    'connect_timeout': '2',
    'keepalives_idle': '2',
    'keepalives_interval': '1',
    'keepalives_count': '3',
    'tcp_user_timeout': '4000',
}

#: What PostgreSQL is to do: give up a client that is cut off, be it idle or not, as it allows only so many sessions.
_LIMITS = (
    'tcp_user_timeout=4000',
    'tcp_keepalives_idle=2',
    'tcp_keepalives_interval=1',
    'tcp_keepalives_count=3',
    'client_min_messages=warning',
)

#: Options of RelStorage that a URI may set, with their types; all others are libpq's.
_OPTIONS = {
    'keep_history': bool,
    'cache_local_mb': int,
    'cache_local_object_max': int,
    'commit_lock_timeout': int,
    'pack_gc': bool,
    'blob_dir': str,
    'shared_blob_dir': bool,
}

_TRUTHS = {'1': True, 'true': True, 'yes': True, 'on': True, '0': False, 'false': False, 'no': False, 'off': False}


@dataclass(frozen=True)
class Settings:
    """What a URI says, ready for use. Its text may hold a password: no message may show it."""

    dsn: str = field(repr=False)
    #: Whether old states of the objects are kept; None if the URI leaves it to the database.
    keeps_history: bool | None
    options: dict[str, Any]

    @classmethod
    def of(cls, uri: str) -> 'Settings':
        """Read `uri`. Raises ValueError, which shows no password, if the URI or a file that it names is wrong."""
        base, _, query = uri.partition('?')
        given = dict(parse_qsl(query, keep_blank_values=True))
        options = {name: _value(name, given.pop(name)) for name in _OPTIONS if name in given}
        keeps_history = options.pop('keep_history', None)
        password_file = given.pop('password_file', None)
        libpq = _parsed(base.partition(':')[2], given)
        if password_file is not None:
            libpq['password'] = _text_of(password_file)
        if 'passfile' in given:
            _refuse_ignored(given['passfile'])
        return cls(make_dsn(**_with_limits({**DEFAULTS, **libpq})), keeps_history, options)

    def relstorage(self, keeps_history: bool, read_only: bool) -> Options:
        """The options of RelStorage for a database that was made so."""
        return Options(keep_history=keeps_history, read_only=read_only, **self.options)


def _value(name: str, text: str) -> Any:
    kind = _OPTIONS[name]
    try:
        return _TRUTHS[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        raise ValueError(f'{name}={text!r} is not {"0 or 1" if kind is bool else "a number"}') from None


def _text_of(password_file: str) -> str:
    try:
        text = Path(password_file).read_text(encoding='utf-8').rstrip('\r\n')
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, 'strerror', None) or 'it is not UTF-8'
        raise ValueError(
            f'password_file={password_file!r} cannot be read ({why}): name a file that this user may read'
        ) from None
    if not text:
        raise ValueError(f'password_file={password_file!r} is empty: write the password into it')
    return text


def _refuse_ignored(passfile: str) -> None:
    """Raise ValueError for a file of passwords that libpq would ignore."""
    try:
        with Path(passfile).open('rb') as opened:
            mode = os.fstat(opened.fileno()).st_mode
    except OSError as error:
        raise ValueError(
            f'passfile={passfile!r} cannot be read ({error.strerror}): name a file that this user may read'
        ) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ValueError(f'passfile={passfile!r} is ignored, because others may read it: chmod 600 {passfile}')


def _parsed(rest: str, given: dict[str, str]) -> dict[str, str]:
    query = f'?{urlencode(given, quote_via=quote)}' if given else ''
    try:
        return dict(parse_dsn(f'postgresql:{rest if rest.startswith("//") else "//" + rest}{query}'))
    except (psycopg2.ProgrammingError, UnicodeDecodeError) as error:
        # libpq may repeat what it read, a password included: what it names as wrong is shown, in quotes, if an option
        named = re.search(r'query parameter: "(\w+)"', str(error))
        if named:
            raise ValueError(f'{named[1]!r} is not an option of a URI: correct its name, or leave it out') from None
        raise ValueError(
            'libpq does not understand it: write postgresql://USER@HOST:PORT/DATABASE?OPTION=VALUE'
        ) from None


def _with_limits(libpq: dict[str, str]) -> dict[str, str]:
    """So that PostgreSQL ends the session of a client that is cut off, and sends warnings only."""
    options = ' '.join(filter(None, [libpq.get('options'), *(f'-c {limit}' for limit in _LIMITS)]))
    return {**libpq, 'options': options}
