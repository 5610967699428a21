"""Calls per second: a number of calls at the same time, each with four or five commands that take no time.

python benchmarks/calls.py [CALLS_AT_ONCE] [SECONDS]
python benchmarks/calls.py 128 5 4600 python other_server.py 4600      # another server, and its port
"""

import sys
import time

from load import Load, serving


def main(at_once: str = '128', seconds: str = '5', port: str = '4599', *command: str) -> None:
    with serving(int(port), command=command):
        Load(int(port)).run(16, 0.5)
        load = Load(int(port))
        begun = time.perf_counter()
        load.run(int(at_once), float(seconds))
        took = time.perf_counter() - begun
    results = load.results
    print(
        f'{len(results.numbers) / took:.0f} calls/s, {results.percentiles()}, '
        f'{results.wrong} numbers missing or given twice'
    )


if __name__ == '__main__':
    main(*sys.argv[1:])
