"""Durable call counting for Asterisk, and call scripts in Python on native, durable objects."""
