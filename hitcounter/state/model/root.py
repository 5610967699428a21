"""The root of a database: its type, and which of its keys are not components."""

from typing import Any

Root = Any  # the top mapping of a database, as ZODB gives it: untyped

#: The schema of each component in the database.
SCHEMAS = 'schemas'

#: The marks of writers over a network, see marks.py.
MARKS = 'marks'
