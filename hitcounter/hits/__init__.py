"""The hit counter: you call a number, and it says which caller you are."""

from . import counter
from .counter import HitCounter, Line, forget
from .hit import Caller, Hit, fields_of
from .script import APOLOGY, PROMPTS, tell_the_number

__all__ = ['APOLOGY', 'PROMPTS', 'Caller', 'Hit', 'HitCounter', 'Line', 'fields_of', 'forget', 'tell_the_number']

# The persistent classes are named by this module, in databases too, and Python looks for their source in its file.
__file__ = counter.__file__
