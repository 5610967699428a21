"""Packing, backup, migration, verification, history, status; asks a database what it can do, never what kind it is."""
