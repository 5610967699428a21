"""The address of a database on PostgreSQL; the packages that open it are imported only then."""

from dataclasses import dataclass

from ....errors import DatabaseRefused
from ..kind import Database
from ..resolved import ResolvedAddress
from ..uri import public


@dataclass(frozen=True, repr=False)
class PostgresAddress(ResolvedAddress):
    """What postgres: and postgresql: name, as libpq reads it."""

    def _open(self, share: bool, read_only: bool) -> Database:
        try:
            from . import database
        except ImportError as error:
            raise DatabaseRefused(
                f'{public(self.uri)!r} needs packages that are not installed here ({error}): '
                f'pip install hitcounter-agi[postgresql]'
            ) from error
        return database.open_database(self.uri, read_only=read_only)
