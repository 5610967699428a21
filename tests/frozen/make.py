"""Makes the databases that lie here, each once, when its schema was the latest: they are never made again.

python make.py hits-1.fs
"""

import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from hitcounter.hits import Caller, Hit, HitCounter
from hitcounter.state import State, open_database

HERE = Path(__file__).parent

#: How many calls each line had. A journal has 32 of them in one object.
CALLS = {'31415': 200, '2718': 64, 'échecs': 65, '0': 1}

#: Seconds between two calls, and when the first was.
PAUSE, FIRST = 600, 1_700_000_000.5


def hit(number: int, schema: int = 1) -> Hit:
    """The call of that number, on each line, as it is read from a database that was made with that schema."""
    caller = Caller(None, None, f'{number}.0') if number % 10 == 0 else Caller(f'555{number}', 'Zoë', f'{number}.1')
    if schema > 1:
        caller = caller._replace(withheld=number % 20 == 0)
    return Hit(number, FIRST + PAUSE * number, caller)


def vote(number: int) -> tuple[str, str, str]:
    """What was voted for, with which remark, and by whom."""
    return ['tea', 'coffee', 'maté'][number % 3], f'remark {number}', f'555{number}'


def _hits(storage: str) -> None:
    with closing(open_database(storage, share=True)) as database, closing(State(database, [HitCounter])) as state:
        for line, calls in CALLS.items():
            state.bulk(HitCounter.take, ((line, hit(number, HitCounter.schema)) for number in range(1, calls + 1)))
        state[HitCounter].forget('2718', FIRST + PAUSE * 10)


def _polls(storage: str) -> None:
    sys.path.insert(0, str(HERE / 'polls' / '1'))
    from ballots import Ballots

    with closing(open_database(storage, share=True)) as database, closing(State(database, [Ballots])) as state:
        state.bulk(Ballots.vote, map(vote, range(1, 101)))


MAKERS: dict[str, Callable[[str], None]] = {'hits-1.fs': _hits, 'hits-2.fs': _hits, 'polls-1.fs': _polls}

if __name__ == '__main__':
    (name,) = sys.argv[1:]
    with TemporaryDirectory() as folder:
        MAKERS[name](f'file://{folder}/{name}')
        with open(HERE / name, 'xb') as file:
            file.write(Path(folder, name).read_bytes())
