"""What the package uses of other packages beside their documented interface: each name, and what breaks without it.

A new release of ZODB, ZEO or another package that changes such a name fails here first, with one sentence.
"""

from __future__ import annotations

import ast
import inspect
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
import transaction
import ZEO.asyncio.client
import ZEO.asyncio.server
import ZODB
import ZODB._compat
from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher
from IPython.core.oinspect import OInfo
from IPython.terminal.interactiveshell import TerminalInteractiveShell
from IPython.terminal.ipapp import TerminalIPythonApp
from IPython.terminal.prompts import Prompts
from persistent.mapping import PersistentMapping
from traitlets.config import Config
from ZEO.ClientStorage import ClientStorage
from ZEO.StorageServer import StorageServer, ZEOStorage
from ZEO.zconfig import ClientStorageConfig
from ZODB.FileStorage import FileStorage, fspack
from ZODB.FileStorage import format as file_format
from ZODB.FileStorage.FileStorage import RedundantPackWarning, TempFormatter, packed_version
from ZODB.scripts import repozo
from ZODB.serialize import ObjectReader
from zodburi.datatypes import convert_int
from zodburi.resolvers import client_storage_resolver, file_storage_resolver

from hitcounter.state.storage.sharing import PrivateFolder, SharedStorageServer, connect, folder_of
from hitcounter.state.upkeep.backup import _options
from tests.support.foreign import imports, private_names

#: Attributes of objects, which `things` has, and what breaks without them.
ATTRIBUTES = {
    'file': {
        '_file': 'a packed file does not replace the old one, and a file that cannot be opened stays open',
        '_tfile': 'after a full disk, the next transaction would store what is left of the one before',
        '_tfmt': 'as _tfile, whose records it reads',
        '_lock_file': 'a file that cannot be opened stays locked',
        '_lock': 'calls would read the file while a packed one replaces it',
        '_commit_lock': 'after a pack, nobody can commit',
        '_pos': 'after a pack or a full disk, transactions are written to the wrong place',
        '_tstatus': 'the transactions are written without their status, and none can be read',
        '_files': 'readers go on with the file from before a pack',
        '_file_name': 'no pack, index or log message finds the file',
        '_is_read_only': 'the index of a file that is open for reading is never written',
        '_index': 'an empty database is packed, which fails',
        '_tindex': 'after a pack, the objects of the transaction before it are looked up at wrong places',
        '_pack_gc': 'a pack keeps what nobody can reach',
        '_pack_is_in_progress': 'an undo during a pack loses objects',
        'blob_dir': 'a pack keeps the blobs of what it removed',
    },
    'connection': {
        '_needs_to_join': 'a transaction over a network is not marked, and its outcome cannot be looked up',
        '_registered_objects': 'plain lists in changed objects are not named in the log',
        '_creating': 'plain lists in new objects are not named in the log',
        '_cache': 'as _creating; and lost changes are not found in tests',
        '_reader': 'lost changes are not found in tests; an error of a stored class is reported as damage',
        '_storage': 'what a migration would change cannot be counted, and its dry run shows nothing',
        '_savepoint_storage': 'finding lost changes reports what a savepoint has stored',
        '_log': 'ZODB logs each error a second time, without saying what to do',
    },
    'savepoint': {
        'index': 'what a migration would change cannot be counted',
        'creating': 'a migration reports new objects as changed ones',
        'load': 'what a migration would change cannot be counted',
    },
    'server': {
        'acceptor': 'a server does not end, because its clients are not disconnected',
        'lock_managers': 'a client can keep all others from committing, for ever',
        'stats': 'status does not list the processes that use the database',
        'server_status': 'status says nothing of the server',
        'close': 'a server does not end',
        'start_thread': 'a server does not start',
    },
    'acceptor': {
        'event_loop': 'as acceptor',
        'server': 'as acceptor',
        'factory': 'clients that are just connecting are not disconnected at the end',
    },
    'lock manager': {'timeout': 'a client can keep all others from committing, for ever'},
    'statistics': {'connections': 'status does not list the processes that use the database'},
    'handler': {
        '_iterators': 'the server keeps the file open for each history that a client did not read to its end',
        'connection': 'a client that hangs cannot be disconnected',
        'connected': 'the lock of a disconnected client is not given back',
        'storage': 'no client can commit',
        'transaction': 'no client can commit',
        'stats': 'no client can commit',
        'async_': 'clients are not told how large the database is',
        'read_only': 'a client that may only read can pack',
    },
    'protocol': {
        'loop': 'the time-outs of clients do not start',
        'sm_protocol': 'a client that hangs cannot be disconnected, and status does not see its process',
        'pause_writing': 'a client that reads nothing fills the memory of the server',
        'resume_writing': 'a client that was slow once is disconnected',
        'close': 'the lock of a disconnected client is not given back',
    },
    'sized messages': {'transport': 'as sm_protocol'},
    'client': {
        '_oids': 'after a restart of the server, a client gives two objects the same id',
        '_cache': 'after a restore, a client goes on with what was there before',
        'server_sync': 'a transaction begins with an older state than others have stored',
        'sync': 'as server_sync',
        'ping': 'as server_sync',
        'notify_connected': 'as _oids',
        'notify_disconnected': 'as _cache',
        '_server': 'a ZEO server that hangs holds up callers without end',
        'tpc_abort': 'an update that failed waits for a server that is away',
        'close': 'a database whose ZEO server hangs is closed only after ten seconds',
    },
    'runner': {
        'io_call': 'a ZEO server that hangs holds up callers without end',
        'loop': 'as io_call',
        'client': 'as io_call',
        'is_closed': 'a database behind a ZEO server cannot be closed',
    },
    'client connection': {
        'protocol': 'the connection to a ZEO server that hangs is not given up',
        'operational': 'as protocol',
        'disconnected': 'as protocol',
    },
    'client protocol': {
        'sm_protocol': 'a commit that was given up may still be carried out',
        'closed': 'as sm_protocol',
        'close': 'the connection to a ZEO server that hangs is not given up',
    },
    'zconfig section': {'config': 'a zconfig: file may name a server on another machine, without TLS'},
    'reader': {'_get_class': 'an error of a stored class is reported as damage', 'getState': 'as _reader'},
}

#: Functions that are called or overridden, how many arguments they get, and what breaks otherwise.
FUNCTIONS: dict[Callable[..., Any], tuple[int, str]] = {
    FileStorage._restore_index: (1, "another user's pickle is loaded"),
    FileStorage._save_index: (1, 'the index is readable for others, or not written'),
    FileStorage._clear_temp: (1, 'after a full disk, the next transaction would store what is left of the one before'),
    FileStorage._finish: (5, 'the server closes its file when the disk fails, and answers nobody'),
    FileStorage._finish_finish: (2, 'nothing can be stored'),
    FileStorage._initIndex: (3, 'a packed file does not replace the old one'),
    FileStorage._remove_blob_files_tagged_for_removal_during_pack: (1, 'a pack keeps the blobs of what it removed'),
    file_format.FileStorageFormatter._read_data_header: (
        4,
        'a pack cannot be abandoned, and keeps a server from ending',
    ),
    fspack.FileStoragePacker: (4, 'nothing can be packed'),
    fspack.FileStoragePacker.pack: (1, 'nothing can be packed'),
    fspack.GC: (5, 'nothing can be packed'),
    fspack.GC.findReachableAtPacktime: (2, 'a pack that meets damage does not say where'),
    fspack.GC.findrefs: (2, 'a pack that meets damage does not say where'),
    TempFormatter: (1, 'after a full disk, nothing can be stored'),
    ZODB.Connection.Connection._commit: (2, 'plain lists in stored objects are not named in the log'),
    ObjectReader._get_class: (3, 'an error of a stored class is reported as damage'),
    ZEOStorage._check_tid: (2, 'no client can commit'),
    ZEOStorage._invalidate: (2, 'clients do not learn what others stored'),
    ZEOStorage._clear_transaction: (1, 'the lock of a client is kept after its commit'),
    ZEOStorage._pack_impl: (2, 'a client cannot pack, or not say why it failed'),
    ZEOStorage.iterator_gc: (2, 'the server keeps the file open for each history that was not read to its end'),
    ZEOStorage.get_size_info: (1, 'clients are not told how large the database is'),
    ZEOStorage.notify_connected: (2, 'a client that reads nothing fills the memory of the server'),
    ZEOStorage.notify_disconnected: (1, 'the lock of a disconnected client is not given back'),
    StorageServer.create_client_handler: (1, 'none of what the server adds to ZEO takes effect'),
    ZEO.asyncio.server.Acceptor: (4, 'a server does not start'),
    ZEO.asyncio.server.Result: (2, 'no client can commit'),
    ClientStorage.tpc_abort: (2, 'an update that failed waits for a server that is away'),
    client_storage_resolver.interpret_kwargs: (1, 'the options of a zeo: URI cannot be read'),
    convert_int: (1, 'insecure=1 of a zeo: URI cannot be read'),
    ClientStorage.notify_connected: (3, 'after a restart of the server, a client gives two objects the same id'),
    repozo.do_backup: (1, 'no backup can be made'),
    repozo.do_verify: (1, 'no backup can be made, since each is verified'),
    repozo.do_recover: (1, 'no backup can be restored'),
    repozo.find_files: (1, 'no backup can be made or restored'),
    repozo.is_data_file: (1, 'two backups of the same second get one name'),
    file_storage_resolver.interpret_kwargs: (1, 'the URI of a file cannot be read'),
    ZODB._compat.PersistentUnpickler: (3, 'an error of a stored class is reported as damage'),
    Prompts.in_prompt_tokens: (1, 'the prompt of the shell does not say whether it reads or writes'),
    TerminalInteractiveShell.set_custom_exc: (3, 'the shell shows a traceback for each foreseen error'),
    TerminalInteractiveShell.register_magic_function: (4, 'the shell does not know %commit'),
    TerminalInteractiveShell.push: (2, 'the shell does not know the components'),
}

#: Private names that are not in the tables above.
OTHERS = {
    '_create_connection': 'RelStorage: calls of libpq have no end, and an old primary is not noticed',
    '_adapter': 'RelStorage: what was stored last is not remembered, and a PostgreSQL that lacks it is not refused',
    '_select_driver': 'RelStorage: as _create_connection, as its own driver is used',
    '_srcfile': 'logging: a line of the log costs twice as much, because its caller is looked up',
    '_exit': 'os, where it is documented: Ctrl-C during the start shows a traceback',
    '_name': 'fspack.GC: a pack that meets damage does not name the file',
}

#: Names from within these packages that are documented, or that all applications of ZODB use.
PACKAGES = ('ZODB', 'ZEO', 'transaction', 'zodburi', 'zodbpickle', 'zc', 'IPython', 'click', 'persistent')
DOCUMENTED = {
    'IPython.core.completer.CompletionContext',
    'IPython.core.completer.SimpleCompletion',
    'IPython.core.completer.context_matcher',
    'IPython.core.oinspect.OInfo',
    'IPython.terminal.ipapp.TerminalIPythonApp',
    'IPython.terminal.prompts.Prompts',
    'ZEO.ClientStorage.ClientStorage',
    'ZEO.Exceptions.ClientDisconnected',
    'ZODB.Connection.Connection',
    'ZODB.DemoStorage.DemoStorage',
    'ZODB.FileStorage.FileStorage',
    'ZODB.POSException.ConflictError',
    'ZODB.POSException.POSError',
    'ZODB.POSException.POSKeyError',
    'ZODB.POSException.ReadOnlyError',
    'ZODB.POSException.StateLoadError',
    'ZODB.POSException.StorageError',
    'ZODB.POSException.UndoError',
    'ZODB.blob.copyTransactionsFromTo',
    'ZODB.broken.Broken',
    'ZODB.broken.find_global',
    'ZODB.serialize.referencesf',
    'ZODB.utils.get_pickle_metadata',
    'ZODB.utils.load_current',
    'ZODB.utils.p64',
    'ZODB.utils.u64',
    'ZODB.utils.z64',
    'click.core.ParameterSource',
    'persistent.Persistent',
    'persistent.TimeStamp.TimeStamp',
    'persistent.list.PersistentList',
    'persistent.mapping.PersistentMapping',
    'persistent.wref.WeakRef',
    'transaction.interfaces.NoTransaction',
    'transaction.interfaces.TransactionError',
    'transaction.interfaces.TransientError',
    'zc.lockfile.LockError',
    'zc.lockfile.LockFile',
    'zodbpickle.pickle',
}

#: Those that are not, and which a test below uses as the package does.
UNDOCUMENTED = {
    'ZEO.StorageServer.StorageServer',
    'ZEO.StorageServer.ZEOStorage',
    'ZEO.asyncio.client.exc_factories',
    'ZEO.asyncio.server.Acceptor',
    'ZEO.asyncio.server.Result',
    'ZEO.zconfig.ClientStorageConfig',
    'ZODB.Connection.TransactionMetaData',
    'ZODB.FileStorage.FileStorage.RedundantPackWarning',
    'ZODB.FileStorage.FileStorage.TempFormatter',
    'ZODB.FileStorage.FileStorage.packed_version',
    'ZODB.FileStorage.format.CorruptedError',
    'ZODB.FileStorage.format.FileStorageFormatter',
    'ZODB.FileStorage.format.TRANS_HDR',
    'ZODB.FileStorage.fspack.FileStoragePacker',
    'ZODB.FileStorage.fspack.GC',
    'ZODB._compat.PersistentUnpickler',
    'ZODB.scripts.repozo',
    'ZODB.serialize.ObjectReader',
    'zodburi.datatypes.convert_int',
    'zodburi.resolvers.client_storage_resolver',
    'zodburi.resolvers.file_storage_resolver',
}


@pytest.fixture(scope='module')
def things(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A file, a server that shares it, and a client, all of them open."""
    path = str(tmp_path_factory.mktemp('foreign') / 'data.fs')
    with ExitStack() as resources:
        file = resources.enter_context(closing(FileStorage(path)))
        server = resources.enter_context(closing(SharedStorageServer(file, path)))
        folder = resources.enter_context(closing(PrivateFolder(folder_of(path))))
        client = resources.enter_context(closing(connect(folder)))
        database = resources.enter_context(closing(ZODB.DB(client)))
        manager = transaction.TransactionManager(explicit=True)
        connection = database.open(manager)
        resources.callback(connection.close)
        manager.begin()
        resources.callback(manager.abort)
        connection.root()['new'] = PersistentMapping()
        manager.savepoint()
        (handler,) = server._server.stats['1'].connections
        yield {
            'file': file,
            'connection': connection,
            'savepoint': connection._storage,
            'reader': connection._reader,
            'client': client,
            'runner': client._server,
            'client connection': client._server.client,
            'client protocol': client._server.client.protocol,
            'zconfig section': ClientStorageConfig(SimpleNamespace(getSectionName=lambda: 'main')),
            'server': server._server,
            'acceptor': server._server.acceptor,
            'lock manager': server._server.lock_managers['1'],
            'statistics': server._server.stats['1'],
            'handler': handler,
            'protocol': handler.connection,
            'sized messages': handler.connection.sm_protocol,
        }


@pytest.mark.parametrize(('thing', 'name'), [(thing, name) for thing, names in ATTRIBUTES.items() for name in names])
def test_an_attribute_is_there(things: dict[str, Any], thing: str, name: str) -> None:
    assert hasattr(things[thing], name), f'{thing}.{name} is gone: {ATTRIBUTES[thing][name]}'


@pytest.mark.parametrize('function', FUNCTIONS, ids=lambda function: function.__qualname__)
def test_a_function_takes_as_many_arguments_as_it_gets(function: Callable[..., Any]) -> None:
    count, consequence = FUNCTIONS[function]
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError as error:
        pytest.fail(f'{function.__qualname__}{inspect.signature(function)} ({error}): {consequence}')


@pytest.fixture(scope='module')
def used() -> Iterator[set[str]]:
    """The private names that the package uses; its commands set a hook when they are imported."""
    hook = sys.excepthook
    yield {name for name, _ in private_names()}
    sys.excepthook = hook


def test_no_private_name_is_used_that_is_not_listed(used: set[str]) -> None:
    listed = {name for names in ATTRIBUTES.values() for name in names}
    listed |= {function.__name__ for function in FUNCTIONS} | {*OTHERS}
    assert used - listed == set(), 'what breaks when a new release changes it? say so in a table of this file'


def test_no_private_name_is_listed_that_is_not_used(used: set[str]) -> None:
    listed = {name for names in ATTRIBUTES.values() for name in names}
    listed |= {function.__name__ for function in FUNCTIONS} | {*OTHERS}
    assert {name for name in listed if name.startswith('_')} - used == set()


def test_what_is_imported_from_within_other_packages_is_documented_or_listed() -> None:
    assert {name for name, _ in imports(*PACKAGES)} == DOCUMENTED | UNDOCUMENTED


def test_a_connection_joins_its_transaction_at_the_first_change() -> None:
    """Else a transaction over a network would not be marked; and `join` is replaced to refuse changes in queries."""
    manager = transaction.TransactionManager(explicit=True)
    with closing(ZODB.DB(None)) as database, closing(database.open(manager)) as connection:
        current = manager.begin()
        joined: list[Any] = []
        join, current.join = current.join, joined.append
        assert connection._needs_to_join
        connection.root()['changed'] = True
        assert joined == [connection]
        assert not connection._needs_to_join
        join(connection)
        manager.abort()


def test_a_savepoint_is_the_storage_of_its_connection_and_knows_what_is_new(things: dict[str, Any]) -> None:
    """Else a migration could not say what it would change."""
    savepoint, root = things['savepoint'], things['connection'].root()
    assert set(savepoint.index) == {root._p_oid, root['new']._p_oid}
    assert [oid for oid in savepoint.index if oid in savepoint.creating] == [root['new']._p_oid]
    assert b'persistent.mapping' in savepoint.load(root['new']._p_oid)[0]
    assert things['connection']._savepoint_storage is savepoint


def test_a_file_begins_with_the_magic_bytes_and_has_transactions_with_this_header(things: dict[str, Any]) -> None:
    """Else no file would be taken for one of ours, or its damage not be found."""
    with open(things['file']._file_name, 'rb') as file:
        assert file.read(len(packed_version)) == packed_version == b'FS30'
    assert file_format.TRANS_HDR == '>8sQcHHH'
    assert issubclass(file_format.CorruptedError, Exception)
    assert issubclass(RedundantPackWarning, Exception)


def test_the_finish_of_a_file_is_what_ours_repeats() -> None:
    """GuardedFile._finish has the same lines, except the last: it does not close the file when the disk fails."""
    source = ''.join(inspect.getsource(FileStorage._finish).split())
    for line in ('self._file.seek(self._pos+16)', '(self._tstatus)', 'self._finish_finish(tid)'):
        assert line in source, f'FileStorage._finish has no {line} any more: see what GuardedFile._finish has to do'


def test_a_readers_place_and_record_are_where_we_look_for_them() -> None:
    """Else an error of a stored class would be reported as damage: we read them from the frames of a traceback."""
    assert 'pickle' in inspect.signature(ObjectReader.setGhostState).parameters
    assert 'pickle' in inspect.signature(ObjectReader.getState).parameters
    assert 'p' in ZODB.Connection.Connection.setstate.__code__.co_varnames


def test_zodbs_unpickler_asks_for_each_class_by_name() -> None:
    """Else an error of a stored class would be reported as damage."""
    asked: list[tuple[str, ...]] = []

    def find(*name: str) -> type:
        asked.append(name[:2])
        return PersistentMapping

    ZODB._compat.PersistentUnpickler(find, None, BytesIO(b'cmodule\nname\n.')).load()
    assert asked == [('module', 'name')]


def test_repozo_reads_no_option_that_it_does_not_get() -> None:
    """Else each backup or restore would end with an AttributeError."""
    tree = ast.parse(inspect.getsource(repozo))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name != 'parseargs']
    read = {
        node.attr
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == 'options'
    }
    given = set(vars(_options('folder', file='file', output='output', test_now=())))
    assert read - {'mode'} <= given  # which only its main reads


def test_repozo_names_its_files_as_we_expect(tmp_path: Any) -> None:
    """Else the order of backups, and whether the list of a full one is complete, could not be told."""
    path = tmp_path / 'data.fs'
    with closing(ZODB.DB(str(path))):
        options = _options(str(tmp_path), file=str(path), full=True, test_now=(2026, 1, 31, 12, 0, 0))
        repozo.do_backup(options)
    assert repozo.find_files(options) == [f'{tmp_path}/2026-01-31-12-00-00.fs']
    assert repozo.is_data_file('2026-01-31-12-00-00.fs')
    assert (tmp_path / '2026-01-31-12-00-00.dat').read_text().split()[0] == f'{tmp_path}/2026-01-31-12-00-00.fs'


def test_zodburi_separates_the_options_of_a_file_from_those_of_a_database() -> None:
    """Else the options of a file: URI would have no effect."""
    options, others = file_storage_resolver.interpret_kwargs({'read_only': '1', 'connection_pool_size': '5'})
    assert bool(options['read_only'])
    assert others == {'connection_pool_size': '5'}


def test_zodburi_separates_the_options_of_zeo_from_those_of_a_database() -> None:
    """Else the options of a zeo: URI would have no effect."""
    options, others = client_storage_resolver.interpret_kwargs({'wait_timeout': '7', 'connection_pool_size': '5'})
    assert options == {'wait_timeout': 7}
    assert others == {'connection_pool_size': '5'}


def test_zeo_has_a_table_of_errors_that_we_add_to() -> None:
    """Else a client would take an error of the server's disk for damage."""
    error = ZEO.asyncio.client.exc_factories['builtins.OSError']('builtins.OSError', (5, 'Input/output error'))
    assert isinstance(error, OSError)
    assert error.errno == 5


def test_zeos_server_is_made_of_the_acceptor_that_it_is_given(things: dict[str, Any]) -> None:
    """Else clients that are just connecting would not be disconnected at the end."""
    assert type(things['server'].acceptor).__module__ == 'hitcounter.state.storage.sharing'
    assert type(things['handler']).__module__ == 'hitcounter.state.storage.sharing'


def test_ipython_takes_our_prompt_commands_and_completions() -> None:
    """Else the shell would neither start nor complete."""
    assert {'banner1', 'confirm_exit', 'prompts'} <= set(TerminalInteractiveShell.class_trait_names())
    assert 'ipython_dir' in TerminalIPythonApp.class_trait_names()
    assert {'token', 'text_until_cursor'} <= set(dir(CompletionContext)) | set(CompletionContext.__annotations__)
    assert SimpleCompletion(text='hits', type='function').text == 'hits'
    assert callable(context_matcher()(lambda context: {'completions': []}))
    assert OInfo(found=True, obj=1, namespace=None, ismagic=False, isalias=False, parent=None).obj == 1
    assert Config().TerminalIPythonApp is not None


def test_logging_looks_for_no_caller_without_its_source_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each line of the log would cost twice as much."""
    monkeypatch.setattr(logging, '_srcfile', None)
    record: list[logging.LogRecord] = []
    monkeypatch.setattr(logging.getLogger('of this test'), 'handle', record.append)
    logging.getLogger('of this test').warning('a line')
    assert record[0].pathname == '(unknown file)'
