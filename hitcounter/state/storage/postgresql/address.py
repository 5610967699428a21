"""The address of a database on PostgreSQL; the packages that open it are imported only then."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....errors import DatabaseRefused
from ..kind import Database, Filling
from ..resolved import ResolvedAddress
from ..uri import public

if TYPE_CHECKING:
    from types import ModuleType

    from .database import PostgresDatabase


@dataclass(frozen=True, repr=False)
class PostgresAddress(ResolvedAddress):
    """What postgres: and postgresql: name, as libpq reads it."""

    def file(self) -> str:
        raise DatabaseRefused(
            f'{str(self)!r} is not a file: PostgreSQL is backed up and restored by its own tools, such as pg_dump and '
            f'pg_restore, or pg_basebackup'
        )

    def _open(self, share: bool, read_only: bool) -> Database:
        return self._opened(read_only)

    def _open_alone(self) -> Database:
        with ExitStack() as opened:
            database = opened.enter_context(self._opened(read_only=False))
            database.keep_others_out()
            opened.pop_all()
            return database

    @contextmanager
    def filling(self) -> Iterator[Filling]:
        with self._room().filling(self.uri) as filling:
            yield filling

    def _opened(self, read_only: bool) -> 'PostgresDatabase':
        opened: PostgresDatabase = self._room().open_database(self.uri, read_only=read_only)
        return opened

    def _room(self) -> 'ModuleType':
        try:
            from . import database
        except ImportError as error:
            raise DatabaseRefused(
                f'{public(self.uri)!r} needs packages that are not installed here ({error}): '
                f'pip install hitcounter-agi[postgresql]'
            ) from error
        return database
