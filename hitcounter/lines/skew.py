"""A round opens only while the clocks agree by which servers decide who was in time."""

from ..errors import RoundRefused
from ..state import Database
from ..state.upkeep.clocks import MOST_SKEW, why_skewed


def refuse_skew(database: Database) -> None:
    """Raise RoundRefused if this machine's clock and the database's differ by more than MOST_SKEW.

    Servers on several machines would then disagree on who came before the close.
    """
    if reason := why_skewed(database):
        raise RoundRefused(f'no round opens while the clocks differ by more than {MOST_SKEW:g} s: {reason}')
