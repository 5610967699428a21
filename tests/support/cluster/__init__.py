"""What the tests of several servers on one PostgreSQL share: servers, callers, a network to cut, and one judge."""
