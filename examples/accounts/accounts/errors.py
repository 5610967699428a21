"""The one error of this package."""

from hitcounter.errors import HitcounterError


class AccountRefused(HitcounterError):
    """An account cannot be added, changed or removed as asked; nothing was stored."""
