"""Long calls: how much memory each takes, and how long each waits for the server.

    python benchmarks/held.py [CALLS] [SECONDS_A_COMMAND]

800 calls per second arrive. All of them are there at the same time once the last one has arrived.
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
        f'{len(results.numbers)} calls, {results.wrong} numbers missing or given twice; '
        f'{(most[0] - before) / count:.1f} KiB each; waited for the server in all: {results.percentiles()}'
    )


if __name__ == '__main__':
    main(*sys.argv[1:])
