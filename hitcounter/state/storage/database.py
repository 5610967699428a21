"""Opening a database by its URI. What is particular to one kind of storage is in its own module, named here."""

from dataclasses import dataclass

from ...errors import DatabaseRefused
from .file import FileAddress
from .kind import Address, Database, refusing
from .memory import MemoryAddress
from .postgresql.address import PostgresAddress
from .resolved import ResolvedAddress
from .zeo import ZeoAddress

__all__ = ['Address', 'Database', 'address_of', 'open_alone', 'open_as_stored', 'open_database']

#: What the URIs of each scheme name. All others are zodburi's.
_KINDS: dict[str, type[FileAddress | ResolvedAddress]] = {
    'file': FileAddress,
    'memory': MemoryAddress,
    'zeo': ZeoAddress,
    'postgres': PostgresAddress,
    'postgresql': PostgresAddress,
}


def address_of(uri: str | Address) -> Address:
    """What `uri` names; nothing is opened yet. Raises DatabaseRefused for a file: URI that is wrong."""
    if isinstance(uri, Address):
        return uri
    if not isinstance(uri, str):
        raise _not_a_uri(uri)
    scheme, colon, _ = uri.partition(':')
    if not scheme or not colon:
        return NoAddress(uri)
    with refusing(uri):
        return _KINDS.get(scheme, ResolvedAddress).parse(uri)


@dataclass(frozen=True, repr=False)
class NoAddress(Address):
    """What is not a URI. As with an unknown scheme, that is an error only once it is used."""

    def file(self) -> str:
        raise _not_a_uri(str(self))

    def _open(self, share: bool, read_only: bool) -> Database:
        raise _not_a_uri(str(self))


def _not_a_uri(uri: object) -> DatabaseRefused:
    return DatabaseRefused(f'{uri!r} is not a URI of a database: write it like file:var/hitcounter.fs')


def open_database(uri: str | Address, *, share: bool = False, read_only: bool = False) -> Database:
    """Open what `uri` names.

    With `share`, be the process that owns it and lets others in; a file that is missing is made. Without,
    go through the process that shares it, if there is one. Raises DatabaseInUse or DatabaseRefused.
    """
    return address_of(uri).open(share=share, read_only=read_only)


def open_as_stored(uri: str | Address) -> Database:
    """Open what `uri` names for reading, as it is now; a file is read directly, even if a process shares it."""
    return address_of(uri).open_as_stored()


def open_alone(uri: str | Address) -> Database:
    """Open what `uri` names to change all of it; meanwhile no other process can open it if it is a file.

    Raises DatabaseInUse if one has it open for longer than a moment, or DatabaseRefused.
    """
    return address_of(uri).open_alone()
