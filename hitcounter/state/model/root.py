"""The root of a database: which of its keys are not components."""

#: The schema of each component in the database.
SCHEMAS = 'schemas'

#: The marks of writers over a network, see marks.py.
MARKS = 'marks'
