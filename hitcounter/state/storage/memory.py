"""A database in the memory of this process; it is gone when it is closed."""

from dataclasses import dataclass
from typing import ClassVar

from .resolved import ResolvedAddress
from .uri import with_slashes


@dataclass(frozen=True, repr=False)
class MemoryAddress(ResolvedAddress):
    """What memory: names. Another process has another memory: there is nothing to share, or to protect."""

    is_remote: ClassVar[bool] = False

    @property
    def resolvable(self) -> str:
        return with_slashes(self.uri)

    def _read_only(self) -> str:
        return self.resolvable
