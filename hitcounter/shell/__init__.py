"""The shell: Python on the live database, from a workspace of names and one transaction."""
