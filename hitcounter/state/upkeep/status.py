"""The status of a database: its size, its last pack and backup, and the processes that use it."""

from dataclasses import asdict
from typing import Any

from persistent.TimeStamp import TimeStamp

from ..model.root import SCHEMAS
from ..storage.database import Database
from ..storage.stamps import BackupStamp, PackStamp, Stamp
from ..transactions.connection import ReadConnection
from .packing import to_come


def status(database: Database) -> dict[str, Any]:
    """The status in plain values, as JSON has them; times are in seconds since 1970, UTC."""
    with ReadConnection(database.db) as session:
        schemas = dict(session.root.get(SCHEMAS, {}))
    return {
        'database': database.description,
        'bytes': database.size,
        'objects': database.objects,
        'last_transaction': _last_transaction(database),
        'schemas': schemas,
        'packs_from': to_come(database),
        'packed': _stamp(database, PackStamp),
        'backed_up': _stamp(database, BackupStamp),
        'server': _server(database),
        'members': database.members(),
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
    status = database.server_status()
    if status is None:
        return None
    # All processes by the ids that they have for the server, which need not be ours where containers share a database.
    others = [process for process in status.get('processes', []) if process != status['asking']]
    return {
        'started': status.get('started'),  # ZEO's own server gives its local time, in an unknown zone
        'commits': status['commits'],
        'conflicts': status['conflicts'],
        'processes': [{'id': process, 'command': status['commands'][process]} for process in others],
        'unseen': status.get('unseen', 0) - (status.get('asking') == 0),
    }
