"""A hit: one counted call, and who made it."""

from typing import NamedTuple

from ..agi import Call, Presentation
from .bounds import CALLER, UNIQUE_ID, cut
from .times import format_time


class Caller(NamedTuple):
    """Who called, as the phone says; None for what Asterisk does not know, or may not show."""

    caller_id: str | None
    name: str | None
    unique_id: str
    #: Whether the caller withheld number and name; None for calls that were counted before this was stored.
    withheld: bool | None = None

    @classmethod
    def of(cls, call: Call) -> 'Caller':
        environment = call.environment
        if call.caller_withheld:
            return cls(None, None, environment.unique_id, withheld=True)
        withheld = environment.presentation is Presentation.PROHIBITED
        return cls(environment.caller_id, environment.caller_name, environment.unique_id, withheld)

    def cut(self) -> 'Caller':
        """The same caller, with texts cut to Asterisk's own limits."""
        return Caller(
            cut(self.caller_id, CALLER), cut(self.name, CALLER), cut(self.unique_id, UNIQUE_ID), self.withheld
        )


#: The caller of a call that was erased, or is known only by its number.
ERASED = Caller(None, None, '')


class Hit(NamedTuple):
    """One counted call."""

    number: int
    #: When it was counted, in seconds since 1970, UTC.
    time: float
    caller: Caller


def fields_of(line: str, hit: Hit) -> dict[str, object]:
    """One call of a line, as in an export."""
    return {'line': line, 'number': hit.number, 'time': format_time(hit.time), **hit.caller._asdict()}
