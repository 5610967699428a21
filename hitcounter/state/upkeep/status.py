"""The status of a database: how large it is, what was last done to it, and who works with it."""

import os
from contextlib import closing
from dataclasses import asdict
from typing import Any

from persistent.TimeStamp import TimeStamp

from ..model.root import SCHEMAS
from ..storage.database import Database
from ..storage.stamps import BackupStamp, PackStamp, Stamp
from ..transactions.connection import ReadConnection
from .packing import to_come


def status(database: Database) -> dict[str, Any]:
    """What there is to say, in plain values, as JSON has them; times are in seconds since 1970, UTC."""
    storage = database.db.storage
    with closing(ReadConnection(database.db)) as session:
        schemas = dict(session.root.get(SCHEMAS, {}))
    return {
        'database': database.description,
        'bytes': os.path.getsize(database.path) if database.path else int(storage.getSize()),
        'objects': len(storage),
        'last_transaction': _last_transaction(storage),
        'schemas': schemas,
        'packs_from': to_come(database),
        'packed': _note(PackStamp, database.path),
        'backed_up': _note(BackupStamp, database.path),
        'server': _server(storage),
    }


def _last_transaction(storage: Any) -> dict[str, Any] | None:
    last = storage.lastTransaction()
    if last == bytes(8):
        return None
    what = None
    if hasattr(storage, 'iterator'):
        for found in storage.iterator(last):
            what = found.description.decode(errors='backslashreplace')
    return {'id': last.hex(), 'time': TimeStamp(last).timeTime(), 'what': what}


def _note(kind: type[Stamp], path: str | None) -> dict[str, Any] | None:
    note = kind.read(path) if path else None
    return asdict(note) if note else None


def _server(storage: Any) -> dict[str, Any] | None:
    """What the server that shares the database says of itself; None if there is none."""
    if not hasattr(storage, 'server_status'):
        return None
    told = storage.server_status()
    # All processes by the ids that they have for the server, which need not be ours where containers share a database.
    others = [process for process in told.get('processes', []) if process != told['asking']]
    return {
        'started': told.get('started'),  # what a server of ZEO's own says is the local time of who knows where
        'commits': told['commits'],
        'conflicts': told['conflicts'],
        'processes': [{'id': process, 'command': told['commands'][process]} for process in others],
        'unseen': told.get('unseen', 0) - (told.get('asking') == 0),
    }
