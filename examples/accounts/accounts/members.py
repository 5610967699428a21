"""The script by which members vote: whoever is logged in is one caller of a line, whatever phone they call from."""

import time

from hitcounter.agi import Call, script
from hitcounter.hits import Caller
from hitcounter.lines import DEFAULT, Lines, Outcome, Query, Result, Visit, announce, decide, variables
from hitcounter.state import Components, State

from .errors import AccountRefused
from .scripts import TOKEN, Clock
from .sessions import Sessions, key_of


@script('member/{line}')
def vote(call: Call, state: State, clock: Clock = time.time) -> None:
    """Count whoever is logged in on this channel, by the rules of the line's round: an account is one caller.

    The dialplan and the caller are told what `hits/{line}` would tell them. If nobody is logged in, nothing is counted
    or said, and HITCOUNTER_RESULT is empty.
    """
    line, token = call.parameters['line'], call.get_variable(TOKEN)
    visit = Visit(line, Caller.of(call), call.arrived)
    outcome = state.update(enter_as_member, key_of(token), visit, clock()) if token else None
    if outcome is None:
        call.set_variables({'ACCOUNT': '', 'HITCOUNTER_RESULT': ''})
        return
    call.result = outcome.result
    call.set_variables(variables(line, outcome))
    plan = state[Lines].plan(line)
    announce(call, Query(), plan.settings if plan else DEFAULT, outcome)


def enter_as_member(components: Components, key: bytes, visit: Visit, now: float) -> Outcome | None:
    """Decide about a call by the account of its session; None if that has ended. One update: all of it, or nothing.

    Raises AccountRefused for a line without a round, on which a member could vote again and again.
    """
    session = components[Sessions].session(key, now)
    if session is None:
        return None
    outcome = decide(components, visit._replace(identity=f'account {session.account}'))
    if outcome.result is Result.COUNTED and outcome.round is None:
        raise AccountRefused(
            f'members cannot vote on line {visit.line!r}, which has no round: open one, as in "hitcounter round open '
            f'{visit.line} --once-per caller"'
        )
    return outcome
