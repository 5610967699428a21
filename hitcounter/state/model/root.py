"""The root of a database: its type, and which of its keys are not components."""

from typing import Any

Root = Any  # the top mapping of a database, as ZODB gives it: untyped

#: The schema of each component in the database.
SCHEMAS = 'schemas'

#: The marks of writers over a network, see marks.py.
MARKS = 'marks'

#: Which components of the state live in other databases, see shards.py.
ELSEWHERE = 'storage-of'

#: The key there, in a database that holds single components, of the main database; no component has this name.
OWNER = ''

#: What is there in place of a database's name for a component whose move to this one was interrupted.
INCOMPLETE = ''
