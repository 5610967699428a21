"""Calls that last: how much memory each takes, and how much longer than Asterisk's own commands.

    python benchmarks/held.py [CALLS] [SECONDS_A_COMMAND]

The calls come 800 a second, and are all there at once when the last one has come.
"""

import sys
import threading

from load import Load, resident, serving

_RATE = 800.0


def main(calls: str = '5000', pause: str = '2', port: str = '4599', *command: str) -> None:
    count = int(calls)
    with serving(int(port), '--max-calls', str(count + 100), command=command) as server:
        Load(int(port)).run(16, 0.5)
        before = resident(server)
        most: list[float] = []
        looking = threading.Timer(count / _RATE + 0.1, lambda: most.append(resident(server)))
        looking.start()
        load = Load(int(port), float(pause))
        load.hold(count, _RATE)
        looking.join()
    results = load.results
    print(
        f'{len(results.numbers)} calls, {results.wrong} numbers missing or twice; {(most[0] - before) / count:.1f} KiB '
        f'each; waited for the server in all: {results.percentiles()}'
    )


if __name__ == '__main__':
    main(*sys.argv[1:])
