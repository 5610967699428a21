"""Only the storage room knows the kinds of storage: other code asks a database or an address."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from ZODB.FileStorage import FileStorage

import hitcounter
from hitcounter.errors import DatabaseRefused
from hitcounter.state.storage.data_file import DatabaseFile
from hitcounter.state.storage.database import address_of, open_database
from hitcounter.state.storage.guarded import GuardedFile

PACKAGE = Path(hitcounter.__file__).parent
ROOM = PACKAGE / 'state' / 'storage'

#: Classes that stand for one kind of storage.
KINDS = {
    'ClientStorage',
    'FileAddress',
    'FileDatabase',
    'FileStorage',
    'GuardedFile',
    'MemoryAddress',
    'ResolvedAddress',
    'View',
    'ZeoAddress',
    'ZeoDatabase',
}

#: The simulator and the AGI have addresses of their own, which are not of databases.
OTHERS = ('agi', 'simulator')

#: What a branch would ask of an object called like one of these.
OF_DATABASES = ('address', 'database', 'db', 'storage')


def branches(source: str) -> Iterator[str]:
    """The expressions of `source` that find out what kind of storage something is."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name | ast.alias) and (node.id if isinstance(node, ast.Name) else node.name) in KINDS:
            yield ast.unparse(node)
        if isinstance(node, ast.Call) and _asks_for_kind(node):
            yield ast.unparse(node)
        if isinstance(node, ast.Attribute) and node.attr in ('path', 'scheme') and _is_of_database(node.value):
            yield ast.unparse(node)
        if isinstance(node, ast.Constant) and node.value in ('file:', 'memory:', 'zeo:', 'zeo', 'postgres'):
            yield ast.unparse(node)


def _asks_for_kind(call: ast.Call) -> bool:
    asks = isinstance(call.func, ast.Name) and call.func.id in ('hasattr', 'isinstance', 'getattr', 'type')
    return asks and _is_of_database(call.args[0]) and ast.unparse(call.args[-1]) not in ('Database', 'ZODB.DB')


def _is_of_database(node: ast.expr) -> bool:
    return ast.unparse(node).rpartition('.')[2].lstrip('_') in OF_DATABASES


@pytest.mark.parametrize(
    'source',
    [
        'if database.path: pass',
        'size = os.path.getsize(self.database.path)',
        'if hasattr(storage, "iterator"): pass',
        'if isinstance(database.db.storage, View): pass',
        'if uri.startswith("file:"): pass',
        'from .storage.file import FileDatabase',
    ],
)
def test_a_branch_is_found(source: str) -> None:
    assert list(branches(source))


def test_no_branch_on_the_kind_of_storage_is_outside_the_storage_room() -> None:
    for path in PACKAGE.rglob('*.py'):
        name = path.relative_to(PACKAGE)
        if ROOM not in path.parents and name.parts[0] not in OTHERS:
            assert not list(branches(path.read_text())), name


def test_no_name_of_a_guarded_file_is_one_of_the_storage_that_it_extends(tmp_path: Path) -> None:
    own = {'end_packing'}
    with open_database(f'file:{tmp_path}/hits.fs', share=True) as database:
        names = {name for name in (*vars(GuardedFile), *vars(database.db.storage._storage)) if 'GuardedFile__' in name}
    assert '_GuardedFile__guard' in names
    assert {name for name in vars(GuardedFile) if not name.startswith(('_GuardedFile__', '__'))} - own <= {
        *dir(FileStorage),
        *dir(DatabaseFile),
    }
    assert not own & {*dir(FileStorage)}


@pytest.mark.parametrize(
    ('uri', 'instead'),
    [
        ('memory:', 'use what its own storage offers for that'),
        ('zeo://127.0.0.1:1', 'run this on the machine of the ZEO server'),
        ('demo:(memory://)/(memory://)', 'use what its own storage offers for that'),
    ],
)
def test_what_is_not_a_file_says_so(uri: str, instead: str) -> None:
    with pytest.raises(DatabaseRefused, match=f'is not a file: {instead}'):
        address_of(uri).file()
    assert not address_of(uri).files


def test_an_address_opens_itself(tmp_path: Path) -> None:
    address = address_of(f'file:{tmp_path}/hits.fs?connection_pool_size=3')
    assert (address.file(), address.files) == (f'{tmp_path}/hits.fs', (f'{tmp_path}/hits.fs',))
    with address.open(share=True) as database:
        assert database.is_new
        assert database.is_packed_when_due
        assert database.size == (tmp_path / 'hits.fs').stat().st_size
    with address.open_as_stored() as database:
        assert [oid for oid, _ in database.records()] == [bytes(8)]
    with address_of('memory:').open() as database:
        assert not any([database.is_new, database.is_packed_when_due, database.is_remote, database.is_outdated])
        assert database.server_status() is None


def test_an_address_shows_no_password() -> None:
    address = address_of('zeo://host:1?username=me&password=secret')
    assert 'secret' not in f'{address!r} {address}'
    assert 'host:1' in str(address)


@pytest.mark.parametrize('uri', ['nonsense', '', ':x'])
def test_what_is_not_a_uri_is_refused_when_it_is_used(uri: str) -> None:
    address = address_of(uri)
    for use in address.open, address.open_as_stored, address.open_alone, address.file:
        with pytest.raises(DatabaseRefused, match='is not a URI of a database: write it like file:'):
            use()
