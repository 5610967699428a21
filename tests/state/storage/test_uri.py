"""URIs as they are shown."""

from __future__ import annotations

import pytest

from hitcounter.errors import DatabaseRefused
from hitcounter.state import open_database
from hitcounter.state.storage.uri import public, without_secrets


@pytest.mark.parametrize(
    ('uri', 'shown'),
    [
        ('zeo://user:secret@host/hits', 'zeo://user:***@host/hits'),
        ('zeo://user:se/c?ret@secret@host', 'zeo://user:***@host'),
        ('zeo://:secret@host', 'zeo://:***@host'),
        ('user:secret@host/hits', 'user:***@host/hits'),
        ('postgres:user:secret@host', 'postgres:***@host'),
        ('//user:secret@host/hits', '//user:***@host/hits'),
        ('postgres://host/hits?user=me&password=secret&port=1', 'postgres://host/hits?user=me&password=***&port=1'),
        ('postgres://host/hits?SSLPassWord=secret', 'postgres://host/hits?SSLPassWord=***'),
        ('postgres://host/hits?p%61ssword=secret', 'postgres://host/hits?p%61ssword=***'),
        ('host/hits?password=secret', 'host/hits?password=***'),
        ('postgres://host/hits?pasword=secret', 'postgres://host/hits?pasword=***'),
        ('postgres://host/hits?psswrd=secret', 'postgres://host/hits?psswrd=***'),
        ('postgres:dbname=hits password=secret host=db', 'postgres:dbname=hits password=*** host=db'),
        ("postgres:dbname=hits password = 'sec ret' host=db", 'postgres:dbname=hits password = *** host=db'),
        ('zeo://host?password=sec ret&pw=secret', 'zeo://host?password=***&pw=***'),
        ('postgres:user=me;password=secret;host=db', 'postgres:user=me;password=***;host=db'),
        ('postgres://user:sec\nret@host', 'postgres://user:***@host'),
        ('postgres://user:post@host', 'postgres://user:***@host'),
        ('zeo://user@host:8100', 'zeo://user@host:8100'),
        ('file:/srv/me@home/hits.fs', 'file:/srv/me@home/hits.fs'),
        ('file:/srv/hits.fs?password=secret', 'file:/srv/hits.fs?password=***'),
        ('memory:', 'memory:'),
    ],
)
def test_a_uri_is_shown_without_its_password(uri: str, shown: str) -> None:
    assert public(uri) == shown


@pytest.mark.parametrize('part', ['a', 'a ', 'a=', 'a=b ', '= ', '//:', '&;', 'a=a '])
def test_a_long_argument_of_a_process_is_shown_at_once(part: str) -> None:
    assert public(part * 50_000) == part * 50_000


def test_an_error_about_a_uri_does_not_repeat_its_password() -> None:
    uri = 'zeo://host:8100?password=s%25t'

    assert without_secrets(f'{uri} failed: no s%t, or "s%25t"', uri) == (
        'zeo://host:8100?password=*** failed: no ***, or "***"'
    )


@pytest.mark.parametrize(
    'uri',
    [
        'nothing://host/hits?password=hunter2',
        'user:hunter2@host/hits',
        'me@host?password=hunter2',
        'zeo://user:hunter2@host:port',
        'zeo://localhost:1?password=hunter2&wait_timeout=1',
        'file:?password=hunter2',
        'file:/no/such.fs?password=hunter2',
        'zconfig:///no/such?password=hunter2',
    ],
)
@pytest.mark.parametrize('read_only', [False, True])
def test_no_refusal_shows_a_password(uri: str, read_only: bool) -> None:
    with pytest.raises(DatabaseRefused) as refused:
        open_database(uri, read_only=read_only)

    assert 'hunter2' not in str(refused.value)
