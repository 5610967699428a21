"""Native Python objects, durable and ACID, in ZODB. It knows nothing of phones."""

from .component import Component, query, update
from .database import Database, open_database
from .journal import Journal
from .state import Parts, State
from .tally import Tally

__all__ = ['Component', 'Database', 'Journal', 'Parts', 'State', 'Tally', 'open_database', 'query', 'update']
