"""The hit counter: you call a number, and it says which caller you are."""

from .counter import Caller, Hit, HitCounter, Line, fields_of, forget
from .script import APOLOGY, PROMPTS, tell_the_number

__all__ = ['APOLOGY', 'PROMPTS', 'Caller', 'Hit', 'HitCounter', 'Line', 'fields_of', 'forget', 'tell_the_number']
