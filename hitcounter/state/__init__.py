"""Native Python objects, durable and ACID, in ZODB. It knows nothing of phones."""

from .component import Component, migration, query, update
from .database import Database, open_database
from .journal import Journal
from .lost_changes import finding_lost_changes
from .reading import ReadingState
from .session import Session, WritingSession
from .state import Parts, State
from .subscription import Stored, Subscription
from .tally import Tally

__all__ = [
    'Component',
    'Database',
    'Journal',
    'Parts',
    'ReadingState',
    'Session',
    'State',
    'Stored',
    'Subscription',
    'Tally',
    'WritingSession',
    'finding_lost_changes',
    'migration',
    'open_database',
    'query',
    'update',
]
