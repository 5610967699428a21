"""Accounts with PINs, and sessions that outlive a call: a package of its own, which hitcounter's server serves."""

from .component import Account, Accounts, Attempt, Row
from .errors import AccountRefused
from .sessions import Sessions, log_in, remove

__all__ = ['Account', 'AccountRefused', 'Accounts', 'Attempt', 'Row', 'Sessions', 'log_in', 'remove']
