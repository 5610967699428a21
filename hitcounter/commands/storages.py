"""The storages of a command: the main one, and those of components that live elsewhere, opened and closed together."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial

from ..errors import HitcounterError
from ..state import Component, Database, State
from ..state.shards import refuse_unknown
from ..state.storage.database import Address
from . import plugins


@contextmanager
def opened(
    storage: Address,
    storage_of: Mapping[str, Address],
    components: Iterable[type[Component]],
    open_address: Callable[[Address], Database],
) -> Iterator[tuple[Database, dict[str, Database]]]:
    """The main database, and by the names of their components those of others; a storage is opened once.

    Nothing is opened, or made, before all names are known to be right.
    """
    refuse_unknown(storage_of, components)
    for name, address in storage_of.items():
        if _identity(address) == _identity(storage):
            raise HitcounterError(
                f'{str(storage)!r} is the storage of all components, {name!r} among them: leave out --storage-of '
                f'{name}, or name another'
            )
    with ExitStack() as resources:
        main = resources.enter_context(closing(open_address(storage)))
        others: dict[object, Database] = {}
        for address in storage_of.values():
            if _identity(address) not in others:
                others[_identity(address)] = resources.enter_context(closing(open_address(address)))
        yield main, {name: others[_identity(address)] for name, address in storage_of.items()}


@contextmanager
def state_of(
    storage: Address, storage_of: Mapping[str, Address], seconds: float, *, read_only: bool = False
) -> Iterator[tuple[Database, State]]:
    """The main database, and the state of all components, for a command; an update may take that many seconds."""
    components = plugins.components()
    with (
        opened(storage, storage_of, components, partial(Address.open, read_only=read_only)) as (database, elsewhere),
        closing(State(database, components, seconds, elsewhere=elsewhere, read_only=read_only)) as state,
    ):
        yield database, state


def _identity(address: Address) -> object:
    """What two addresses of one storage have in common."""
    return address.files or address.uri
