"""PostgreSQL by TLS, as libpq does it: the options of the URI reach it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hitcounter.errors import DatabaseRefused
from hitcounter.state.storage.database import open_database
from tests.support.patience import PATIENCE
from tests.support.postgresql import PASSWORD, PostgreSQL

if not shutil.which('openssl'):
    pytest.skip('openssl is not installed', allow_module_level=True)


def _make_certificate(folder: Path, name: str) -> Path:
    """A certificate for 127.0.0.1 that is signed by itself, beside its key."""
    certificate = folder / f'{name}.pem'
    command = ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    command += ['-subj', f'/CN={name}', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2']
    command += ['-keyout', str(certificate.with_suffix('.key')), '-out', str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    return certificate


@pytest.fixture(scope='module')
def certificate(own_postgresql: PostgreSQL) -> Path:
    """That of a PostgreSQL which takes TLS."""
    certificate = _make_certificate(own_postgresql.folder, 'server')
    owner = own_postgresql.files.stat()
    for file in certificate, certificate.with_suffix('.key'):
        file.chmod(0o600)
        os.chown(file, owner.st_uid, owner.st_gid)
    files = {'ssl_cert_file': str(certificate), 'ssl_key_file': str(certificate.with_suffix('.key'))}
    own_postgresql.configure(ssl='on', **files)
    own_postgresql.restart()
    return certificate


def test_a_server_whose_certificate_is_known_is_trusted(own_postgresql: PostgreSQL, certificate: Path) -> None:
    name = own_postgresql.new_database()
    with open_database(own_postgresql.uri(name, sslmode='verify-full', sslrootcert=str(certificate))):
        (in_use,) = own_postgresql.sql(
            'select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid) where datname = %s', name
        )
        assert in_use == (True,)


def test_a_server_whose_certificate_is_not_known_is_refused(
    own_postgresql: PostgreSQL, certificate: Path, tmp_path: Path
) -> None:
    other = _make_certificate(tmp_path, 'other')
    assert other.read_bytes() != certificate.read_bytes()
    uri = own_postgresql.uri(own_postgresql.new_database(), sslmode='verify-full', sslrootcert=str(other))
    with pytest.raises(DatabaseRefused, match='certificate verify failed') as refused:
        open_database(uri)
    assert PASSWORD not in str(refused.value)
