"""Runs the code of an earlier commit on a database, in a process of its own, and prints what it saw as JSON.

python earlier.py code-1c7726c.zip /path/to/database.fs
"""

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main(code: str, path: str) -> None:
    sys.path.insert(0, str(HERE / code))
    import hitcounter

    assert code in str(hitcounter.__file__), hitcounter.__file__
    json.dump(_seen(path), sys.stdout)


def _seen(path: str) -> dict[str, Any]:
    """What is in the database, then what two updates of it return."""
    from diary import Diary
    from hitcounter.state.notes import BackedUp, Packed
    from hitcounter.state.session import Session
    from hitcounter.state.verification import findings

    from hitcounter.hits import Caller, HitCounter
    from hitcounter.state import State, open_database

    with closing(open_database(f'file:{path}', share=True)) as database:
        seen: dict[str, Any] = {'findings': [finding.sentence for finding in findings(database)]}
        with closing(Session(database.db)) as session:
            seen['marks'] = [mark.number for mark in session.root.get('marks', {}).values()]
        with closing(State(database, [HitCounter, Diary])) as state:
            hits, diary = state[HitCounter], state[Diary]
            seen['lines'] = hits.lines()
            seen['calls'] = [hits.call(line, count) for line, count in seen['lines'].items()]
            seen['hours'] = [sum(hits.hours(line).values()) for line in seen['lines']]
            seen['pages'], seen['totals'] = diary.pages(), list(diary.totals().items())
            seen['hit'] = hits.hit('earlier', Caller('555', 'Zoë', '1.1', False))
            seen['page'] = diary.add(6, 'written by the earlier code')
    seen['packed'] = Packed.read(path) is not None
    seen['backed up'] = BackedUp.read(path) is not None
    return seen


if __name__ == '__main__':
    main(*sys.argv[1:])
