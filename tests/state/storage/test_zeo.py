"""zeo: URIs, against a real runzeo with the certificates and the configuration of docs/zeo.md."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hitcounter.errors import DatabaseRefused, StateUnavailable, UpdateFailed
from hitcounter.hits import Caller, HitCounter
from hitcounter.state import ReadConnection, State, open_database
from hitcounter.state.storage.zeo_place import refuse_plain
from tests.support.patience import PATIENCE
from tests.support.zeo_server import HOST, RunningZEO, free_port, make_certificates, running_zeo

if not shutil.which('openssl'):
    pytest.skip('openssl is not installed', allow_module_level=True)

CALLER = Caller(None, None, '1.1')


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of both ends, and others/, with those of strangers."""
    folder = tmp_path_factory.mktemp('zeo')
    (folder / 'others').mkdir()
    make_certificates(folder)
    make_certificates(folder / 'others')
    return folder


@pytest.fixture(scope='module')
def server(folder: Path) -> Iterator[RunningZEO]:
    with running_zeo(folder) as server:
        yield server


def uri(server: RunningZEO, folder: Path, **changes: str | None) -> str:
    """The URI of the page; an option that is None is left out."""
    options: dict[str, str | None] = {
        'certificate': f'{folder}/client.pem',
        'key': f'{folder}/client.key',
        'authenticate': f'{folder}/server.pem',
        'server_hostname': HOST,
        **changes,
    }
    query = '&'.join(f'{name}={value}' for name, value in options.items() if value is not None)
    return f'zeo://127.0.0.1:{server.port}?{query}'


def refusal(storage: str) -> str:
    with pytest.raises(DatabaseRefused) as refused:
        open_database(storage).close()
    assert '\n' not in str(refused.value)
    return str(refused.value)


def test_calls_are_counted_through_tls(server: RunningZEO, folder: Path) -> None:
    storage = uri(server, folder)
    with open_database(storage) as database, closing(State(database, [HitCounter])) as state:
        first = state[HitCounter].hit('31415', CALLER)
        assert state[HitCounter].hit('31415', CALLER) == first + 1
    with open_database(storage, read_only=True) as database, ReadConnection(database.db) as session:
        assert session.root['hits'].lines()['31415'] == first + 1
        assert database.db.storage.isReadOnly()


def test_a_certificate_with_its_key_in_one_file_needs_no_key(server: RunningZEO, folder: Path, tmp_path: Path) -> None:
    both = tmp_path / 'both.pem'
    both.write_text((folder / 'client.pem').read_text() + (folder / 'client.key').read_text())
    with open_database(uri(server, folder, certificate=str(both), key=None)):
        pass


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        (
            {'certificate': 'others/client.pem', 'key': 'others/client.key'},
            'the server refused this client: name with certificate= one',
        ),
        ({'certificate': None, 'key': None}, 'the server refused this client: name with certificate= one'),
        ({'authenticate': 'others/server.pem'}, 'the certificate of the server is refused'),
        ({'authenticate': None}, 'the certificate of the server is refused'),
        ({'server_hostname': None}, 'the certificate of the server is refused .IP address mismatch'),
        ({'server_hostname': 'zeo.example.org'}, 'the certificate of the server is refused .Hostname mismatch'),
    ],
)
def test_a_wrong_certificate_is_named_as_the_reason(
    server: RunningZEO, folder: Path, changes: dict[str, str | None], reason: str
) -> None:
    full = {
        name: f'{folder}/{value}' if value and name != 'server_hostname' else value for name, value in changes.items()
    }
    with pytest.raises(DatabaseRefused, match=reason):
        open_database(uri(server, folder, **full, wait_timeout='1'))


def test_a_certificate_for_another_name_is_accepted_if_the_uri_says_so(server: RunningZEO, folder: Path) -> None:
    with open_database(uri(server, folder, server_hostname=None, check_hostname='0')):
        pass


def test_a_client_without_tls_is_told_that_the_server_may_want_it(server: RunningZEO) -> None:
    assert 'want TLS, which needs certificate=' in refusal(f'zeo://127.0.0.1:{server.port}?wait_timeout=1')


def test_a_server_without_tls_and_one_that_does_not_run_are_said_to_be_so(folder: Path, tmp_path: Path) -> None:
    make_certificates(tmp_path)
    with running_zeo(tmp_path, tls=False) as server:
        assert 'the server does not use TLS' in refusal(uri(server, folder, wait_timeout='1'))
        with open_database(f'zeo://localhost:{server.port}'):
            pass
    assert 'Connection refused' in refusal(uri(server, folder, wait_timeout='1'))


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'key': '/no/such.key'}, "key='/no/such.key' cannot be read .No such file or directory.: name a PEM file"),
        ({'certificate': '/no/such.pem'}, "certificate='/no/such.pem' cannot be read"),
        ({'authenticate': '/no/such.pem'}, "authenticate='/no/such.pem' cannot be read"),
        ({'key': '{folder}/server.key'}, 'is not the key of certificate='),
        ({'key': None}, 'is not a PEM file with a certificate and its key: name the key with key='),
        ({'certificate': None}, 'key= has no certificate'),
        ({'authenticate': '{folder}/server.key'}, 'has no certificate that can be read: name a PEM file'),
        ({'key': '{folder}/zeo.conf'}, 'are not a certificate and its key'),
        ({'key': '{folder}/locked.key'}, 'has a passphrase: use a key without one'),
        ({'key': ''}, 'key= is empty'),
        ({'insecure': '1'}, 'insecure=1 and authenticate= contradict each other'),
        ({'certifcate': 'x'}, 'certifcate'),
        ({'wait_timeout': 'soon'}, 'soon'),
        ({'demostorage': '1'}, 'demostorage is not supported'),
    ],
)
def test_a_wrong_option_is_refused_in_a_sentence(
    server: RunningZEO, folder: Path, changes: dict[str, str | None], sentence: str
) -> None:
    lock = ['openssl', 'pkey', '-aes256', '-passout', 'pass:secret', '-in', 'client.key', '-out', 'locked.key']
    subprocess.run(lock, cwd=folder, check=True, timeout=PATIENCE)
    full = {name: value and value.format(folder=folder) for name, value in changes.items()}
    with pytest.raises(DatabaseRefused, match=sentence):
        open_database(uri(server, folder, **full))


def test_tls_is_refused_for_a_unix_socket(tmp_path: Path) -> None:
    assert 'a unix socket needs no TLS' in refusal(f'zeo://{tmp_path}/socket?authenticate=x.pem')


@pytest.mark.parametrize('host', ['192.0.2.1', '[2001:db8::1]', '0.0.0.0', 'me@192.0.2.1'])
def test_plain_zeo_to_another_machine_is_refused_before_a_connection(host: str) -> None:
    started = time.monotonic()
    told = refusal(f'zeo://{host}:9991?wait_timeout=60')
    assert 'is another machine, and the connection would have no TLS' in told
    assert 'insecure=1' in told
    assert time.monotonic() - started < PATIENCE / 2


def test_plain_zeo_to_another_machine_is_tried_if_the_uri_says_so() -> None:
    assert 'no connection within 1 s' in refusal('zeo://192.0.2.1:9991?wait_timeout=1&insecure=1')


@pytest.mark.parametrize('host', ['127.0.0.1', '127.9.9.9', '::1', 'localhost'])
def test_plain_zeo_to_this_machine_is_not_refused(host: str) -> None:
    refuse_plain((host, 1))


def test_a_name_without_an_address_is_refused() -> None:
    assert 'has no address' in refusal('zeo://no-such-host.invalid')


@pytest.mark.parametrize('database', ['', 'zodb'])
def test_zconfig_to_another_machine_without_tls_is_refused(tmp_path: Path, database: str) -> None:
    client = '%import ZEO\n<clientstorage>\nserver 192.0.2.1:9991\nwait-timeout 60\n</clientstorage>\n'
    if database:
        header, _, rest = client.partition('\n')
        client = f'{header}\n<zodb>\n{rest}</zodb>\n'
    (tmp_path / 'zeo.conf').write_text(client)
    assert 'is another machine, and the connection would have no TLS' in refusal(f'zconfig://{tmp_path}/zeo.conf')


def test_a_server_that_hangs_keeps_a_caller_no_longer_than_his_clock(folder: Path, tmp_path: Path) -> None:
    make_certificates(tmp_path)
    with running_zeo(tmp_path) as server:
        with open_database(uri(server, tmp_path)) as database:
            with closing(State(database, [HitCounter], timeout=3.0)) as state:
                assert state[HitCounter].hit('1', CALLER) == 1
                with server.stopped():
                    started = time.monotonic()
                    with pytest.raises(UpdateFailed):
                        state[HitCounter].hit('1', CALLER)
                    assert time.monotonic() - started < 3.0 + PATIENCE / 20
                stored = _counted(state)
            with ReadConnection(database.db) as session:
                assert session.root['hits'].lines()['1'] == stored
        with server.stopped(), pytest.raises(DatabaseRefused, match=r'says nothing|nothing answers'):
            open_database(uri(server, tmp_path, wait_timeout='1'))


def _counted(state: State) -> int:
    """The number of the first call that is counted once the server goes on."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return state[HitCounter].hit('1', CALLER)
        except (UpdateFailed, StateUnavailable):
            assert time.monotonic() < end


def test_a_database_whose_server_hangs_is_closed_in_a_bounded_time(folder: Path, tmp_path: Path) -> None:
    make_certificates(tmp_path)
    with running_zeo(tmp_path) as server:
        database = open_database(uri(server, tmp_path))
        with server.stopped():
            started = time.monotonic()
            database.close()
            assert time.monotonic() - started < PATIENCE / 4


def test_nobody_listens_on_a_free_port() -> None:
    assert 'Connection refused' in refusal(f'zeo://127.0.0.1:{free_port()}?wait_timeout=1')
