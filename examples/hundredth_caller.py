"""A radio station's line: the hundredth caller wins, and each caller before hears how many are still to come.

    python examples/hundredth_caller.py
    hitcounter call --to agi://127.0.0.1:4573/hits/hundredth

Where `hitcounter-serve` runs anyway, two of its commands do the same: `hitcounter line declare` and
`hitcounter round open`. Here the server is a program of its own.
"""

import signal
import time
import tomllib

from hitcounter.agi import Server
from hitcounter.hits import HitCounter
from hitcounter.lines import Desk, Lines, canonical, parse_rules, parse_settings, serve_line
from hitcounter.state import State, open_database

LINE = 'hundredth'

RULES = tomllib.loads("""
win = "at 100"
close-when-won = true
""")

SETTINGS = tomllib.loads("""
[say]
counted = [{number = "to-go"}]
won = ["auth-thankyou"]
too-late = ["vm-goodbye"]
""")


def prepare(state: State) -> None:
    """Declare the line, and open its round, unless an earlier start did so."""
    if state[Lines].rounds(LINE):
        return
    settings, now = parse_settings(SETTINGS, f'line.{LINE}'), time.time()
    state[Lines].declare(LINE, settings)
    state[Lines].open_round(LINE, canonical(parse_rules(RULES, settings, now)), now, by='hundredth_caller.py')


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    with (
        open_database('file:var/game.fs', share=True) as database,
        State(database, [HitCounter, Lines]) as state,
        state.serving(),  # which makes the result final when its time has come
    ):
        prepare(state)
        server = Server([serve_line.bind(desk=Desk(state))])
        server.start()
        signal.sigwait([signal.SIGTERM, signal.SIGINT])
        server.stop(drain=30)


if __name__ == '__main__':
    main()
