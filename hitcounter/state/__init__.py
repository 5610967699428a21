"""Native Python objects, durable and ACID, in ZODB. It knows nothing of phones."""

from .journal import Journal
from .model.component import Component, migration, query, update
from .shards import Components
from .state import State
from .storage.database import Database, open_database
from .tally import Tally
from .transactions.connection import ReadConnection, WriteConnection
from .transactions.lost_changes import finding_lost_changes
from .transactions.subscription import Stored, Subscription

__all__ = [
    'Component',
    'Components',
    'Database',
    'Journal',
    'ReadConnection',
    'State',
    'Stored',
    'Subscription',
    'Tally',
    'WriteConnection',
    'finding_lost_changes',
    'migration',
    'open_database',
    'query',
    'update',
]
