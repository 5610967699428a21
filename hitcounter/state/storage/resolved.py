"""Storages that zodburi opens: zconfig:, demo:, and those that other packages bring."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any, ClassVar

import zodburi
from ZEO.ClientStorage import ClientStorage
from ZEO.zconfig import ClientStorageConfig

from ...errors import DatabaseRefused
from ..model.classes import LookingDB
from .kind import Address, Database, for_threads, refused
from .sharing import always_fresh
from .uri import public
from .zeo_place import naming, refuse_plain
from .zeo_waits import with_bounded_waits

#: URIs of these schemes can say read_only; the storage, or the server behind it, then refuses to write.
_CAN_READ_ONLY = frozenset({'mysql', 'oracle'})


@dataclass(frozen=True, repr=False)
class ResolvedAddress(Address):
    """What a URI of zodburi names."""

    is_remote: ClassVar[bool] = True

    @classmethod
    def parse(cls, uri: str) -> 'ResolvedAddress':
        return cls(uri)

    @property
    def resolvable(self) -> str:
        """The URI as zodburi takes it."""
        return self.uri

    def _open(self, share: bool, read_only: bool) -> Database:
        factory, options = _resolve(self._read_only() if read_only else self.resolvable)
        _check_plain(self.uri, factory)
        with ExitStack() as resources:
            storage = resources.enter_context(closing(_opened(self.uri, factory)))
            if isinstance(storage, ClientStorage):
                always_fresh(with_bounded_waits(storage))
            db = resources.enter_context(closing(LookingDB(storage, **for_threads(options))))
            return Database(db, public(self.resolvable), resources.pop_all(), is_remote=self.is_remote)

    def _read_only(self) -> str:
        """The URI with which the storage refuses to write."""
        _resolve(self.uri)  # a storage that is not installed is refused first
        if self.uri.partition(':')[0] not in _CAN_READ_ONLY:
            raise DatabaseRefused(
                f'{str(self)!r} cannot be opened read-only: name the storage behind it, or open it for writing'
            )
        return f'{self.uri}{"&" if "?" in self.uri else "?"}read_only=1'


def _check_plain(uri: str, factory: Any) -> None:
    """Raise DatabaseRefused if a zconfig: file names a ZEO server on another machine, without TLS."""
    section = getattr(factory, '__self__', None)
    if not isinstance(section, ClientStorageConfig) or section.config.ssl:
        return
    with naming(uri):
        for address in (server.address for server in section.config.server):
            if not isinstance(address, str):  # a unix socket
                refuse_plain(address)


def _resolve(uri: str) -> tuple[Callable[[], Any], dict[str, Any]]:
    """What opens the storage, and the options for the database on it."""
    try:
        factory, options = zodburi.resolve_uri(uri)
        return factory, options
    except zodburi.NoResolverForScheme as error:
        raise DatabaseRefused(
            f'{public(uri)!r} names a kind of storage that is not installed here: file:, memory:, zeo:, '
            f'postgresql:, demo: and zconfig: are'
        ) from error
    except Exception as error:  # each kind of storage has errors of its own
        raise refused(uri, error) from error


def _opened(uri: str, factory: Callable[[], Any]) -> Any:
    try:
        return factory()
    except Exception as error:  # here, too
        raise refused(uri, error) from error
