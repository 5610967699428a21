"""The status of a database: how large it is, what was last done to it, and who works with it."""

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
    with closing(ReadConnection(database.db)) as session:
        schemas = dict(session.root.get(SCHEMAS, {}))
    return {
        'database': database.description,
        'bytes': database.size,
        'objects': len(database.db.storage),
        'last_transaction': _last_transaction(database),
        'schemas': schemas,
        'packs_from': to_come(database),
        'packed': _stamp(database, PackStamp),
        'backed_up': _stamp(database, BackupStamp),
        'server': _server(database),
    }


def _last_transaction(database: Database) -> dict[str, Any] | None:
    last = database.db.storage.lastTransaction()
    if last == bytes(8):
        return None
    what = None
    for found in database.transactions(last):
        what = found.description.decode(errors='backslashreplace')
    return {'id': last.hex(), 'time': TimeStamp(last).timeTime(), 'what': what}


def _stamp(database: Database, kind: type[Stamp]) -> dict[str, Any] | None:
    stamp = database.stamp(kind)
    return asdict(stamp) if stamp else None


def _server(database: Database) -> dict[str, Any] | None:
    """What the server that shares the database says of itself; None if there is none."""
    told = database.server_status()
    if told is None:
        return None
    # All processes by the ids that they have for the server, which need not be ours where containers share a database.
    others = [process for process in told.get('processes', []) if process != told['asking']]
    return {
        'started': told.get('started'),  # what a server of ZEO's own says is the local time of who knows where
        'commits': told['commits'],
        'conflicts': told['conflicts'],
        'processes': [{'id': process, 'command': told['commands'][process]} for process in others],
        'unseen': told.get('unseen', 0) - (told.get('asking') == 0),
    }
