"""Tests of a database on PostgreSQL: how it is named, made, refused, and what it does when PostgreSQL is away."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import transaction

from hitcounter.errors import DatabaseRefused
from hitcounter.state.storage.away import StorageAway, answering_within
from hitcounter.state.storage.database import address_of, open_database
from tests.support.patience import PATIENCE
from tests.support.postgresql import (
    PASSWORD,
    USER,
    PostgreSQL,
    folder_for_postgresql,
    skip_without_postgresql,
    until,
)

#: Seconds within which a storage that may take one second is given up, on a busy machine too.
BOUND = PATIENCE / 10

_WAITING = "select pid from pg_stat_activity where wait_event = 'SyncRep'"


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the notes of primaries are, for this test alone."""
    monkeypatch.setenv('STATE_DIRECTORY', str(tmp_path / 'notes'))
    return tmp_path / 'notes'


def _set(database: Any, value: int) -> None:
    with transaction.manager, closing(database.db.open()) as connection:
        connection.root()['value'] = value
        transaction.commit()


def _get(database: Any) -> Any:
    with closing(database.db.open()) as connection:
        value = connection.root().get('value')
        transaction.abort()
        return value


def test_what_is_stored_is_there_when_it_is_opened_again(postgresql_uri: str) -> None:
    with open_database(postgresql_uri) as database:
        _set(database, 1)
    with open_database(postgresql_uri, read_only=True) as database:
        assert _get(database) == 1
        assert database.size > 1_000_000


def test_the_description_names_the_server_and_not_the_password(postgresql_uri: str) -> None:
    with open_database(postgresql_uri) as database:
        assert 'PostgreSQL' in database.description
        assert 'primary' in database.description
        assert PASSWORD not in f'{database.description} {database.place} {database!r} {database.db.storage!r}'


def test_three_starts_at_once_on_an_empty_database_all_live(postgresql_uri: str) -> None:
    opened: list[Any] = []
    errors: list[BaseException] = []

    def start() -> None:
        try:
            opened.append(open_database(postgresql_uri))
        except BaseException as error:  # noqa: BLE001 -- for the assertion
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for each in opened:
        each.close()
    assert errors == []
    assert len(opened) == 3


def test_a_database_of_another_program_is_refused(
    postgresql: PostgreSQL, postgresql_database: str, postgresql_uri: str
) -> None:
    postgresql.sql('create table customers (name text)', database=postgresql_database)
    postgresql.sql('grant all on customers to public', database=postgresql_database)
    with pytest.raises(DatabaseRefused, match=r'another program \(customers\)'):
        open_database(postgresql_uri)


def test_a_database_that_its_user_does_not_own_is_refused(postgresql: PostgreSQL) -> None:
    said = r'is refused \(permission denied for schema public\): let its user own the database'
    with pytest.raises(DatabaseRefused, match=said):
        open_database(postgresql.uri('postgres'))


def test_an_empty_database_is_not_made_by_reading(postgresql_uri: str) -> None:
    with pytest.raises(DatabaseRefused, match='is empty'):
        open_database(postgresql_uri, read_only=True)


def test_how_history_is_kept_is_taken_from_the_database(postgresql_uri: str) -> None:
    with open_database(f'{postgresql_uri}?keep_history=1') as database:
        _set(database, 1)
    with open_database(postgresql_uri) as database:
        assert _get(database) == 1
    with pytest.raises(DatabaseRefused, match='made with keep_history=1'):
        open_database(f'{postgresql_uri}?keep_history=0')


@pytest.mark.parametrize(
    ('options', 'said'),
    [('?colour=red', "'colour' is not an option"), ('?keep_history=maybe', "keep_history='maybe' is not 0 or 1")],
)
def test_a_wrong_option_is_refused_without_the_password(postgresql_uri: str, options: str, said: str) -> None:
    with pytest.raises(DatabaseRefused, match=said) as refused:
        open_database(postgresql_uri + options)
    assert PASSWORD not in str(refused.value)
    assert 'Error' not in str(refused.value)


@pytest.mark.parametrize(
    ('option', 'text', 'mode', 'said'),
    [
        ('password_file', None, 0o600, r'cannot be read \(No such file or directory\): name a file that this user may'),
        ('password_file', b'\n', 0o600, 'is empty: write the password into it'),
        ('password_file', b'\xff', 0o600, r'cannot be read \(it is not UTF-8\)'),
        ('passfile', None, 0o600, r'cannot be read \(No such file or directory\): name a file that this user may'),
        ('passfile', b'*:*:*:*:x', 0o640, 'is ignored, because others may read it: chmod 600'),
    ],
)
def test_a_file_that_gives_no_password_is_refused(
    option: str, text: bytes | None, mode: int, said: str, tmp_path: Path
) -> None:
    file = tmp_path / 'secret'
    if text is not None:
        file.write_bytes(text)
        file.chmod(mode)
    with pytest.raises(DatabaseRefused, match=f"cannot be opened: {option}='{file}' {said}"):
        open_database(f'postgresql://hits@127.0.0.1:1/hits?{option}={file}')


def test_a_postgresql_that_is_not_there_is_refused_without_the_guesses_of_libpq() -> None:
    with pytest.raises(DatabaseRefused) as refused:
        open_database('postgresql://hits@127.0.0.1:1/hits')
    assert str(refused.value) == (
        '\'postgresql://hits@127.0.0.1:1/hits\' cannot be reached (connection to server at "127.0.0.1", port 1 failed: '
        'Connection refused): check its address, user, password, database and options, and that PostgreSQL runs'
    )


def test_a_wrong_password_and_an_unknown_database_are_refused(postgresql: PostgreSQL, postgresql_database: str) -> None:
    with pytest.raises(DatabaseRefused, match='password authentication failed') as refused:
        open_database(postgresql.uri(postgresql_database, password='not-the-password'))
    assert 'not-the-password' not in str(refused.value)
    with pytest.raises(DatabaseRefused, match='database "nowhere" does not exist'):
        open_database(postgresql.uri('nowhere'))


def test_a_password_comes_from_a_file(postgresql: PostgreSQL, postgresql_database: str, tmp_path: Path) -> None:
    file = tmp_path / 'password'
    file.write_text(f'{PASSWORD}\n')
    uri = postgresql.uri(postgresql_database, password='', password_file=str(file))
    with open_database(uri) as database:
        _set(database, 1)


def test_of_several_hosts_the_one_that_answers_is_used(postgresql: PostgreSQL, postgresql_database: str) -> None:
    uri = postgresql.uri(postgresql_database).replace('@', '@127.0.0.1:1,', 1)
    assert PASSWORD not in str(address_of(uri))
    with open_database(uri) as database:
        _set(database, 1)


def test_a_postgresql_that_does_not_answer_is_away_in_time(postgresql: PostgreSQL, postgresql_uri: str) -> None:
    with open_database(postgresql_uri) as database, closing(database.db.open()) as connection:
        transaction.begin()
        connection.root()['value'] = 1
        postgresql.pause()
        try:
            began = time.monotonic()
            with pytest.raises(StorageAway), answering_within(1.0):
                transaction.commit()
            assert time.monotonic() - began < BOUND
        finally:
            postgresql.resume()
            transaction.abort()
        connection.root()['value'] = 3
        transaction.commit()
        assert _get(database) == 3


@pytest.fixture
def without_its_standby(postgresql: PostgreSQL, postgresql_uri: str) -> Iterator[None]:
    """As long as a test runs, commits wait for a standby that is not there."""
    yield
    postgresql.configure(synchronous_standby_names='')


def _lose_the_standby(postgresql: PostgreSQL) -> None:
    postgresql.configure(synchronous_standby_names='nobody')
    until(lambda: postgresql.sql('show synchronous_standby_names') == [('nobody',)], 'the setting is taken up')
    postgresql.end_sessions("backend_type = 'client backend'")  # new sessions know it from their first commit on


def _warm_up(database: Any) -> None:
    """Let the sessions that were ended be replaced."""
    with suppress(StorageAway):
        _get(database)
    transaction.abort()


@pytest.mark.usefixtures('without_its_standby')
def test_a_commit_that_waits_for_its_standby_is_away_in_time(postgresql: PostgreSQL, postgresql_uri: str) -> None:
    with open_database(postgresql_uri) as database:
        _set(database, 1)
        _lose_the_standby(postgresql)
        _warm_up(database)
        began = time.monotonic()
        with pytest.raises(StorageAway), answering_within(1.0):
            _set(database, 2)
        assert time.monotonic() - began < BOUND
        transaction.abort()


@pytest.mark.usefixtures('without_its_standby')
def test_a_commit_whose_wait_was_cancelled_is_not_acknowledged(postgresql: PostgreSQL, postgresql_uri: str) -> None:
    with open_database(postgresql_uri) as database:
        _set(database, 1)
        _lose_the_standby(postgresql)
        _warm_up(database)
        stored = threading.Event()

        def store() -> None:
            _set(database, 2)
            stored.set()

        thread = threading.Thread(target=store)
        thread.start()
        cancel = f'select pg_cancel_backend(pid) from ({_WAITING}) as waiting'
        for _ in range(2):
            until(lambda: postgresql.sql(cancel), 'a wait is cancelled')
        until(lambda: postgresql.sql(_WAITING), 'a commit waits')
        assert not stored.is_set()
        postgresql.configure(synchronous_standby_names='')
        thread.join(PATIENCE)
        assert stored.is_set()
        assert _get(database) == 2


def test_a_session_that_was_ended_is_away_and_comes_back(postgresql: PostgreSQL, postgresql_uri: str) -> None:
    with open_database(postgresql_uri) as database:
        _set(database, 1)
        postgresql.end_sessions("datname like '%'")
        for value in (2, 3):
            try:
                _set(database, value)
            except StorageAway:
                transaction.abort()
        _set(database, 4)
        assert _get(database) == 4


def test_an_old_primary_is_refused_by_a_process_that_starts(postgresql_uri: str, notes: Path) -> None:
    with open_database(postgresql_uri):
        pass
    (note,) = notes.glob('*.primary')
    cluster = note.read_text().split()[0]
    note.write_text(f'{cluster} 7\n')
    with pytest.raises(DatabaseRefused, match=r'old primary \(timeline 1, and 7 was seen\)'):
        open_database(postgresql_uri)


def test_a_note_keeps_the_newest_when_a_process_that_knows_less_writes(postgresql_uri: str, notes: Path) -> None:
    with open_database(postgresql_uri):
        (note,) = notes.glob('*.primary')
        cluster = note.read_text().split()[0]
        note.write_text(f'{cluster} 7 1\n')
    assert note.read_text() == f'{cluster} 7 1\n'


def test_a_folder_that_cannot_be_written_is_logged_once(
    postgresql_uri: str, notes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notes.write_text('a file, and no folder')
    with open_database(postgresql_uri) as database:
        _set(database, 1)
    assert caplog.text.count('cannot be written') == 1


FORKING = """
import os, sys, time
from contextlib import closing
from hitcounter.state.storage.postgresql.driver import connect
from hitcounter.state.storage.postgresql.settings import Settings
dsn = Settings.of(sys.argv[1]).dsn
with closing(connect(dsn)) as session:
    session.due = 0.0001  # as of a call that is on its way when another thread forks
    child = os.fork()
    if not child:
        with closing(connect(dsn)):
            time.sleep(0.5)
        os._exit(0)
    session.due = None
    os.waitpid(child, 0)
    session.cursor().execute('select')
"""


def test_a_forked_process_does_not_cut_the_connections_of_its_parent(postgresql_uri: str) -> None:
    subprocess.run([sys.executable, '-c', FORKING, postgresql_uri], check=True, timeout=PATIENCE)


def test_a_notice_of_the_server_does_not_reach_standard_output(
    postgresql: PostgreSQL, postgresql_database: str, postgresql_uri: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with open_database(postgresql_uri) as database:
        postgresql.sql(
            """
            create function shout() returns trigger language plpgsql as
            $$ begin raise warning 'shouted'; return new; end $$;
            create trigger shout after update on object_state for each row execute function shout()
            """,
            database=postgresql_database,
        )
        _set(database, 1)
        _set(database, 2)
    assert capfd.readouterr().out == ''


def test_relstorage_logs_no_traceback_of_its_own(
    postgresql: PostgreSQL, postgresql_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with open_database(postgresql_uri) as database:
        postgresql.end_sessions("datname like '%'")
        try:
            _set(database, 1)
        except StorageAway:
            transaction.abort()
    assert [each for each in caplog.records if each.name.startswith('relstorage') and each.exc_info] == []


def test_a_database_whose_connection_could_not_be_opened_is_closed(postgresql: PostgreSQL, postgresql_uri: str) -> None:
    with open_database(postgresql_uri) as database:
        postgresql.pause()
        try:
            with pytest.raises(StorageAway), answering_within(1.0):
                database.db.open()
            with pytest.raises(StorageAway), answering_within(1.0):
                database.db.open(transaction.TransactionManager())
        finally:
            postgresql.resume()
        _set(database, 1)
        assert _get(database) == 1


def test_transactions_of_a_postgresql_that_goes_away_meanwhile_are_away(
    postgresql: PostgreSQL, postgresql_uri: str
) -> None:
    with open_database(f'{postgresql_uri}?keep_history=1') as database:
        _set(database, 1)
        transactions = database.transactions()  # closed, it could not read the records of its first one
        first = next(transactions)
        assert [record.oid for record in first]
        _expect_away(postgresql, first)


@pytest.mark.parametrize('keep_history', [0, 1])
def test_records_of_a_postgresql_that_goes_away_meanwhile_are_away(
    postgresql: PostgreSQL, postgresql_uri: str, keep_history: int
) -> None:
    with open_database(f'{postgresql_uri}?keep_history={keep_history}') as database:
        _set(database, 1)
        _expect_away(postgresql, database.records())


def _expect_away(postgresql: PostgreSQL, found: Iterable[Any]) -> None:
    postgresql.pause()
    try:
        with pytest.raises(StorageAway), answering_within(1.0):
            list(found)
    finally:
        postgresql.resume()


def test_a_postgresql_that_lacks_what_was_stored_is_refused_until_the_note_is_removed(notes: Path) -> None:
    skip_without_postgresql()
    with folder_for_postgresql() as folder, closing(PostgreSQL(folder)) as server:
        uri = server.uri(server.new_database())
        with open_database(uri) as database:
            _set(database, 1)
        server.stop()
        shutil.copytree(server.files, folder / 'backup', symlinks=True)
        server.start()
        with open_database(uri) as database:
            _set(database, 2)
            server.stop()
            _restore(folder / 'backup', server)
            server.start()
            with pytest.raises(StorageAway, match='lacks what was stored'):
                _get(database)
            transaction.abort()
        with pytest.raises(DatabaseRefused, match='lacks what was stored') as refused:
            open_database(uri)
        (note,) = notes.glob('*.primary')
        assert str(note) in str(refused.value)
        assert 'check its address' not in str(refused.value)
        note.unlink()
        with open_database(uri) as database:
            assert _get(database) == 1


def _restore(backup: Path, server: PostgreSQL) -> None:
    owner = server.files.stat()
    shutil.rmtree(server.files)
    shutil.copytree(backup, server.files, symlinks=True)
    for each in [server.files, *server.files.rglob('*')]:
        os.chown(each, owner.st_uid, owner.st_gid)


def test_a_unix_socket_and_a_file_of_passwords_are_used(
    postgresql: PostgreSQL, postgresql_database: str, tmp_path: Path
) -> None:
    with open_database(postgresql.socket_uri(postgresql_database)) as database:
        _set(database, 1)
    file = tmp_path / 'passwords'
    file.write_text(f'{postgresql.host}:{postgresql.port}:*:{USER}:{PASSWORD}\n')
    file.chmod(0o600)
    uri = f'postgres://{USER}@{postgresql.host}:{postgresql.port}/{postgresql_database}?passfile={file}'
    with open_database(uri) as database:
        assert _get(database) == 1


def test_a_password_is_decoded_and_never_shown(postgresql: PostgreSQL, postgresql_database: str) -> None:
    password = 'p@ss/%w:rd ?&'
    role = f'role_of_{postgresql_database}'
    postgresql.sql(f'create role {role} login')
    postgresql.sql(f'alter role {role} password %s', password)
    postgresql.sql(f'alter database {postgresql_database} owner to {role}')
    with open_database(postgresql.uri(postgresql_database, user=role, password=password)) as database:
        _set(database, 1)
        assert 'p@ss' not in f'{database!r} {database.db.storage!r} {database.description} {database.place}'


def test_without_the_extra_a_sentence_names_it() -> None:
    code = (
        'import sys; sys.modules["psycopg2"] = None\n'
        'from hitcounter.state import open_database\n'
        'open_database("postgresql://u:secret@h/d")'
    )
    command = [sys.executable, '-c', code]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE).stderr.splitlines()[
        -1
    ]
    assert 'pip install hitcounter-agi[postgresql]' in said
    assert 'secret' not in said
