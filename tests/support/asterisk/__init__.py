"""A real Asterisk for the tests, those who call it, and the server that it finds."""
