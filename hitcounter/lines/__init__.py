"""Lines by name, their rounds, and the rules by which a round is decided: "you are caller 65, caller 100 wins"."""

from .calling import Desk, Visit, decide
from .component import Lines
from .identity import SameCaller
from .outcome import Outcome, Result
from .rules import Rules, canonical
from .rules_table import parse_rules
from .script import Query, announce, serve_line, variables
from .settings import DEFAULT, Settings, parse_settings

__all__ = [
    'DEFAULT',
    'Desk',
    'Lines',
    'Outcome',
    'Query',
    'Result',
    'Rules',
    'SameCaller',
    'Settings',
    'Visit',
    'announce',
    'canonical',
    'decide',
    'parse_rules',
    'parse_settings',
    'serve_line',
    'variables',
]
