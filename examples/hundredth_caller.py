"""A radio station's line: the hundredth caller wins, and each caller before hears how many are still to come.

    python -c 'import hundredth_caller; hundredth_caller.main()'
    hitcounter call --to agi://127.0.0.1:4573/hundredth

Import this module instead of running it: the database refers to Game by its module, where other processes must find it.
"""

import signal

from hitcounter.agi import Call, Server, script
from hitcounter.state import Component, State, open_database, query, update

WINS = 100


class Game(Component):
    """Who called, and who has won."""

    name = 'game'

    def __init__(self) -> None:
        self.callers = 0
        self.winner: str | None = None

    @update
    def enter(self, caller_id: str | None) -> int:
        """Count one more caller; returns how many are still to come: 0 for the winner, negative after that."""
        self.callers += 1
        if self.callers == WINS:
            self.winner = caller_id
        return WINS - self.callers

    @query
    def won_by(self) -> str | None:
        return self.winner


@script('hundredth')
def play(call: Call, state: State) -> None:
    call.answer()
    to_come = state[Game].enter(None if call.caller_withheld else call.environment.caller_id)
    if to_come > 0:
        call.say_number(to_come)
    elif to_come == 0:
        call.stream_file('auth-thankyou')
    else:
        call.stream_file('vm-goodbye')


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    with (
        open_database('file:var/game.fs', share=True) as database,
        State(database, [Game]) as state,
    ):
        server = Server([play.bind(state=state)])
        server.start()
        signal.sigwait([signal.SIGTERM, signal.SIGINT])
        server.stop(drain=30)
